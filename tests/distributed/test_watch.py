"""The thread that sees lost ranks, in one process whose neighbour is a process that sleeps."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

BEGIN = """
import os, signal, subprocess, sys, threading, time
from fluidlite.distributed.watch import Watch

def process():
    "One that ends when this one does."
    return subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)


other = process()


class Ranks:
    "Rank 0 of two; the other one is a process that knows nothing of it."
    rank, size, place = 0, 2, None

    def all_gather(self, value):
        if isinstance(value, tuple):
            return [value, (*(self.place or value[:2]), other.pid)]
        return [value, True if value is True else None]


def watch(ranks=Ranks):
    return Watch(ranks(), lambda: "Resume from there.", lambda: os.write(2, b"aborted\\n"))


def end():
    other.kill()
    time.sleep(1.5)
    print("went on", flush=True)
    os._exit(0)
"""


TOLD = "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"
HANDLE = """
def handle():
    signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
"""
ON = """
os.kill(os.getpid(), signal.SIGTERM); time.sleep(1)
print("went on", flush=True); other.kill(); os._exit(0)
"""
RUNS = {
    "lost": "watch(); other.kill(); time.sleep(60)",
    "several": """
more = process()
class Three(Ranks):
    size = 3
    def all_gather(self, value):
        return [*super().all_gather(value), (*value[:2], more.pid) if isinstance(value, tuple) else value]
watch(Three); other.kill(); more.kill(); time.sleep(60)
""",
    "told": f"watch(); {TOLD}",
    "lost and told": f"""
import fluidlite.distributed.watch as module
module._PERIOD = 40
watch(); time.sleep(0.2); other.kill(); {TOLD}
""",
    # It has said that it leaves.
    "left": "w = watch(); w._marks[1] = 1; end()",
    "another host": "Ranks.place = 'another host', None; watch(); end()",
    "another numbering of processes": "Ranks.place = os.uname().nodename, 'another numbering'; watch(); end()",
    "stopped": "w = watch(); w.stop(); assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL; end()",
    "not to be seen": "other.kill(); other.wait(); watch(); end()",
    "a handler before": f"{HANDLE}handle(); watch(){ON}",
    "a handler after": f"{HANDLE}watch(); handle(){ON}",
    "a descriptor": """
ends = os.pipe(); os.set_blocking(ends[1], False)
signal.set_wakeup_fd(ends[1]); signal.signal(signal.SIGUSR1, lambda *_: None)
w = watch(); os.kill(os.getpid(), signal.SIGUSR1); time.sleep(0.3)
print(os.read(ends[0], 9) == bytes([signal.SIGUSR1]), flush=True)
w.stop(); print(signal.set_wakeup_fd(-1) == ends[1], flush=True); other.kill()
""",
    "a fork": """
watch()
child = os.fork()
if not child:
    time.sleep(60)
time.sleep(0.2)
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
time.sleep(1); print("went on", flush=True); other.kill(); os._exit(0)
""",
    "multiprocessing": """
import multiprocessing
watch()
for _ in range(20):  # so soon that the child has hardly begun
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start(); child.terminate(); child.join()
    assert child.exitcode == -signal.SIGTERM
time.sleep(1); print("went on", flush=True); other.kill(); os._exit(0)
""",
}


@pytest.fixture(scope="module")
def runs():
    """{name: (exit status, stdout, stderr, seconds)}."""

    def run(text):
        began = time.monotonic()
        # Python warns of every fork beside threads.
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEGIN + text]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr, time.monotonic() - began

    with ThreadPoolExecutor(5) as pool:
        return dict(zip(RUNS, pool.map(run, RUNS.values()), strict=True))


def test_a_lost_rank_is_named_and_ends_the_others(runs):
    code, _, said, seconds = runs["lost"]
    assert code == 1
    assert said.startswith("Rank 1 (process ") and "was lost: its process ended without a word" in said
    # Its launcher does nothing, so it does.
    assert said.endswith("Resume from there.\naborted\n") and said.count("\n") == 3
    assert seconds < 25


def test_several_lost_ranks_are_named_together(runs):
    code, _, said, _ = runs["several"]
    assert code == 1
    assert said.startswith("Rank 1 (process ") and " and rank 2 (process " in said and " were lost: " in said


def test_a_rank_that_is_told_to_end_says_where_to_go_on(runs):
    code, _, said, seconds = runs["told"]
    assert code == 143
    assert "were told to end (SIGTERM).\nResume from there.\n" in said and "lost" not in said
    assert seconds < 25


def test_a_launcher_that_ends_the_rest_is_faster_than_the_next_look(runs):
    code, _, said, seconds = runs["lost and told"]
    assert code == 1 and said.startswith("Rank 1 (process ") and "told to end" not in said
    assert seconds < 25


@pytest.mark.parametrize(
    "name", ["left", "another host", "another numbering of processes", "stopped", "not to be seen"]
)
def test_no_alarm(runs, name):
    assert runs[name][:3] == (0, "went on\n", "")


@pytest.mark.parametrize("name", ["a handler before", "a handler after"])
def test_a_handler_of_the_user_keeps_working(runs, name):
    assert runs[name][:3] == (0, "handled\nwent on\n", "")


def test_a_wakeup_descriptor_of_the_user_is_still_served(runs):
    assert runs["a descriptor"][:2] == (0, "True\nTrue\n")


def test_a_forked_child_is_no_rank(runs):
    assert runs["a fork"][:3] == (0, "-15\nwent on\n", "")
    assert runs["multiprocessing"][:3] == (0, "went on\n", "")
