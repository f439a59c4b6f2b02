"""A peer in a process of its own: JSON lines on stdin and stdout. Python 3.7 must be able to read this.

usage: python worker.py fluidlite|torch|fluid|floor. Requests, one object on a line, each answered by one line:

    {"do": "hello"}                                         versions
    {"do": "build", "key": K, "workload": {...}}            crc of the batches, touched rows, seconds
    {"do": "warm", "key": K, "threads": T, "seconds": S}    milliseconds of a warm step
    {"do": "steps", "key": K, "threads": T, "n": n, "warm": w}    ms of n steps after w others, and the CPU seconds used
    {"do": "memory"}                                        resident megabytes: now, at the peak, and how they were read

An answer with "error" says what went wrong; the worker then waits for the next request. It ends with stdin.
"""

import gc
import importlib
import json
import os
import resource
import sys
import time
import traceback

from batches import describe


class Worker:
    def __init__(self, peer):
        self.peer = importlib.import_module(peer + "_side")
        self.built = {}

    def hello(self, request):
        return {"versions": self.peer.versions()}

    def build(self, request):
        start = time.perf_counter()
        self.peer.set_threads(request["threads"])
        step, batches, prepare = self.peer.build(request["workload"])
        self.built[request["key"]] = Steps(step, prepare or (lambda s: None))
        answer = describe(request["workload"], batches)
        answer["seconds"] = time.perf_counter() - start
        return answer

    def warm(self, request):
        """At least 2 steps; 8 (every batch once, so that no page is new later) if these fit into `seconds`."""
        self.peer.set_threads(request["threads"])
        steps, times = self.built[request["key"]], []
        while len(times) < 2 or (len(times) < 8 and sum(times) < request["seconds"] * 1e3):
            times += steps.run(1)
        return {"ms": min(times[1:])}

    def steps(self, request):
        self.peer.set_threads(request["threads"])
        before = sum(os.times()[:2])
        steps = self.built[request["key"]]
        gc.collect()
        gc.disable()
        try:
            steps.run(request["warm"])
            times = steps.run(request["n"])
        finally:
            gc.enable()
        return {"ms": times, "cpu_seconds": sum(os.times()[:2]) - before}

    def memory(self, request):
        gc.collect()
        if os.path.exists("/proc/self/status"):
            with open("/proc/self/status") as status:
                lines = dict(line.split(":", 1) for line in status if ":" in line)
            now, peak = (int(lines[key].split()[0]) / 1e3 * 1.024 for key in ("VmRSS", "VmHWM"))
            return {"now": now, "peak": peak, "source": "VmRSS and VmHWM of /proc/self/status"}
        unit = 1e6 if sys.platform == "darwin" else 1e3 / 1.024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        return {"now": peak, "peak": peak, "source": "ru_maxrss, the peak"}


class Steps:
    """Counts the steps of one workload, so that its batches go on where they stopped."""

    def __init__(self, step, prepare):
        self.step, self.prepare, self.done = step, prepare, 0

    def run(self, n):
        """Milliseconds of each of the next n steps."""
        step, prepare, clock, times = self.step, self.prepare, time.perf_counter, []
        for s in range(self.done, self.done + n):
            prepare(s)
            start = clock()
            step(s)
            times.append((clock() - start) * 1e3)
        self.done += n
        return times


def main():
    # Libraries may print: their stdout becomes stderr, and the answers go out on a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(values):
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if worker is None:
                worker = Worker(sys.argv[1])
            answer(getattr(worker, request["do"])(request))
        except Exception as error:
            traceback.print_exc()
            text = str(error).strip().splitlines() or [""]
            answer({"error": f"{type(error).__name__}: {text[0]}"})


if __name__ == "__main__":
    main()
