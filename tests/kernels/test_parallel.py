"""The pool: how many threads, and that it neither hangs nor loses work under forks, exits, signals and many callers."""

import os
import signal
import subprocess
import sys
import sysconfig
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from checksums import CHECKS, crc

from fluidlite._kernels import _parallel
from fluidlite._kernels.optimizers import sgd_dense
from fluidlite._kernels.row_optimizers import sgd_rows

ELEMENTS = 300_000  # some ten chunks of work


def run_python(code, **environment):
    """Runs code in a fresh interpreter; a hang is a failure."""
    names = {"FLUIDLITE_NUM_THREADS", "OMP_NUM_THREADS"}
    env = {**{k: v for k, v in os.environ.items() if k not in names}, **environment}
    env["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def step(param, grad):
    before = param.copy()
    sgd_dense(param, grad, 0.5)
    np.testing.assert_array_equal(param, before - np.float32(0.5) * grad)


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(ELEMENTS).astype(np.float32), rng.standard_normal(ELEMENTS).astype(np.float32)


def test_set_and_get(with_threads):
    for n in (1, 3, np.int64(2)):
        with_threads(n)
        assert _parallel.get_num_threads() == n
        step(*arrays())


@pytest.mark.parametrize("n", [0, -1, 1025, 2**40])
def test_refuses_numbers_out_of_range(n):
    before = _parallel.get_num_threads()
    with pytest.raises(ValueError, match=f"number of threads, must be between 1 and 1024, but is {n}"):
        _parallel.set_num_threads(n)
    assert _parallel.get_num_threads() == before


@pytest.mark.parametrize("n", [2.0, "2", None, True])
def test_refuses_what_is_no_integer(n):
    with pytest.raises(TypeError, match="number of threads, must be an integer"):
        _parallel.set_num_threads(n)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FLUIDLITE_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"OMP_NUM_THREADS": "5", "FLUIDLITE_NUM_THREADS": "3"}, 3),
        ({"FLUIDLITE_NUM_THREADS": ""}, None),
    ],
)
def test_default_number(environment, expected):
    code = "from fluidlite._kernels import _parallel; print(_parallel.get_num_threads())"
    result = run_python(code, **environment)
    if expected is None:
        expected = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert result.stderr == "" and int(result.stdout) == expected


@pytest.mark.parametrize("value", ["0", "-2", "many", "1.5", "9999", "3,2"])
def test_invalid_environment_warns_once_and_is_ignored(value):
    code = "from fluidlite._kernels import _parallel; print(_parallel.get_num_threads())"
    result = run_python(code, FLUIDLITE_NUM_THREADS=value, OMP_NUM_THREADS="2")
    assert int(result.stdout) == 2
    assert result.stderr.count("FLUIDLITE_NUM_THREADS is ignored") == 1


def test_many_jobs_in_a_row(with_threads):
    """Jobs hot on the heels of each other meet workers that still look at the one before."""
    with_threads(4)
    param, grad = np.zeros(70_000, np.float32), np.ones(70_000, np.float32)
    for _ in range(3000):
        sgd_dense(param, grad, -1.0)
    assert (param == 3000).all()


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_many_python_threads_at_once(with_threads, n_threads):
    with_threads(n_threads)
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 5000, 20_000)
    value = rng.integers(-9, 10, (20_000, 8)).astype(np.float32)
    expected = np.zeros((5000, 8), np.float32)
    sgd_rows(expected, [(rows, value, None)], -1.0)
    expected *= 20
    results = [np.zeros((5000, 8), np.float32) for _ in range(6)]

    def work(param):
        for _ in range(20):
            sgd_rows(param, [(rows, value, None)], -1.0)

    workers = [threading.Thread(target=work, args=(param,)) for param in results]
    for worker in workers:
        worker.start()
    for n in (2, 3, n_threads):
        _parallel.set_num_threads(n)
    for worker in workers:
        worker.join()
    for param in results:
        np.testing.assert_array_equal(param, expected)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_all_kernels_in_several_python_threads(with_threads, n_threads):
    """They share the pool and scratch memory; without the GIL they are there side by side."""
    with_threads(n_threads)

    def run(width):
        found = {}
        for check in CHECKS:
            check(np.float32, width, lambda name, *results: found.__setitem__(name, crc(*results)))
        return found

    widths = [16, 7, 16, 50]
    expected = {width: run(width) for width in set(widths)}
    with ThreadPoolExecutor(len(widths)) as pool:
        for _ in range(3):
            for width, found in zip(widths, pool.map(run, widths), strict=True):
                assert found == expected[width]


def test_no_module_turns_the_gil_on():
    """Python would say so, too, on stderr."""
    code = """
    import importlib, pkgutil, sys
    import fluidlite
    for info in pkgutil.walk_packages(fluidlite.__path__, "fluidlite."):
        if not info.name.endswith("__main__"):
            importlib.import_module(info.name)
    print(getattr(sys, "_is_gil_enabled", lambda: True)())
    """
    result = run_python(code)
    assert result.stdout == f"{not sysconfig.get_config_var('Py_GIL_DISABLED')}\n" and result.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_of_a_fork_computes(with_threads):
    with_threads(2)
    param, grad = arrays()
    step(param, grad)
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a hang ends the child, and then its status is not zero
        status = 1
        try:
            for _ in range(20):
                step(param, grad)
            _parallel.set_num_threads(3)
            step(param, grad)
            status = 0
        finally:
            os._exit(status)
    step(param, grad)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_while_another_thread_computes():
    code = """
    import os, signal, threading
    import numpy as np
    from fluidlite._kernels import _parallel
    from fluidlite._kernels.optimizers import sgd_dense

    _parallel.set_num_threads(2)
    param, grad = np.zeros(3_000_000, np.float32), np.ones(3_000_000, np.float32)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            sgd_dense(param, grad, 0.1)

    worker = threading.Thread(target=work)
    worker.start()
    own, statuses = np.zeros(300_000, np.float32), []
    for _ in range(20):
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            sgd_dense(own, grad[:300_000], -1.0)
            os._exit(0 if (own == 1).all() else 1)
        statuses.append(os.waitpid(child, 0)[1])
    stop.set()
    worker.join()
    print(statuses)
    """
    result = run_python(code, PYTHONWARNINGS="ignore::DeprecationWarning")
    assert result.stdout.strip() == str([0] * 20), result.stderr


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(0)", "import os; os._exit(0)"])
def test_interpreter_exits_with_workers_asleep_or_spinning(ending):
    code = f"""
    import numpy as np
    from fluidlite._kernels import _parallel
    from fluidlite._kernels.optimizers import sgd_dense
    _parallel.set_num_threads(4)
    sgd_dense(np.zeros(300_000), np.ones(300_000), 0.1)
    {ending}
    """
    assert run_python(code).returncode == 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_signals_reach_the_main_thread(with_threads):
    """A worker that took a signal would delay the handler or break a system call."""
    with_threads(2)
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(threading.current_thread()))
    param, grad = arrays()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        while len(seen) < 20:
            sgd_dense(param, grad, 0.1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(seen) == {threading.main_thread()}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_affinity_of_the_caller_is_left_alone(with_threads):
    with_threads(2)
    before = os.sched_getaffinity(0)
    for _ in range(20):
        threading.Event().wait(0.002)  # long enough for the worker to fall asleep
        step(*arrays())
    assert os.sched_getaffinity(0) == before
