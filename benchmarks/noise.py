"""Is the machine quiet? Who else computed while a peer was measured?"""

import os
import time

LOUD_SHARE = 0.08
TICK = 1.0 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)


def busy_seconds():
    """CPU seconds that all cores have worked, stolen time included; None where the system does not tell."""
    try:
        with open("/proc/stat") as stat:
            fields = [int(word) for word in stat.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    idle, waiting = fields[3], fields[4]
    return (sum(fields) - idle - waiting) * TICK


def wait_for_quiet(seconds):
    """Sleep until no core works, for `seconds` at most. The threads of the peer that ran before are asleep then.

    OpenMP and BLAS threads go on spinning after their last job: 200 ms in Intel's runtime, some ms in the others.
    """
    deadline = time.monotonic() + seconds
    while True:
        before = busy_seconds()
        time.sleep(0.08)
        if before is not None and busy_seconds() - before <= 1.5 * TICK:
            return True
        if time.monotonic() >= deadline:
            return before is None


class Turn:
    """Measures what others did during a peer's turn: `with Turn() as turn: ...; turn.end(cpu_seconds_of_the_peer)`."""

    def __init__(self, quiet_before):
        self.quiet_before = quiet_before
        self.busy, self.start = busy_seconds(), time.monotonic()

    def end(self, own_seconds):
        """What to record of the turn: `others`, the share of all cores that other processes took."""
        elapsed = time.monotonic() - self.start
        others = None
        if self.busy is not None:
            worked = busy_seconds() - self.busy - own_seconds
            # Two ticks are the resolution of the two clocks together.
            others = round(max(0.0, worked - 2 * TICK) / (elapsed * (os.cpu_count() or 1)), 3)
        loud = not self.quiet_before or (others or 0.0) > LOUD_SHARE
        return {"loud": loud, "quiet_before": self.quiet_before, "others": others, "load": list(os.getloadavg())}
