"""DataLoader and PyReader: what is yielded, in which order, what is refused, and threads that end."""

import gc
import subprocess
import sys
import textwrap
import threading
import time
import traceback

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import prefetch
from fluidlite.io import BatchSampler, DataLoader, Dataset, PyReader, default_collate_fn
from fluidlite.reader import batch

PLACE = fluid.CPUPlace()
TWO = fluid.cpu_places(2)


def reader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("fluidlite")]


@pytest.fixture(autouse=True)
def no_thread_stays():
    assert not reader_threads()
    yield
    wait_until(lambda: not reader_threads())


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never happens"
        time.sleep(0.002)


def variables():
    return [fluid.data("x", [None, 2]), fluid.data("y", [None, 1], "int64")]


def samples(count):
    """A reader of samples (full of i, i)."""
    return lambda: ((np.full(2, i, "float32"), i) for i in range(count))


def arrays(count):
    """A reader of batches of i + 1 rows."""
    return lambda: ((np.full((i + 1, 2), i, "float32"), np.full((i + 1, 1), i)) for i in range(count))


def loader(**options):
    return DataLoader.from_generator(variables(), capacity=2, **options)


def labels(feeds):
    """The labels of the batches of all places, and a look at the kinds of everything."""
    assert isinstance(feeds, list)
    for feed in feeds:
        assert isinstance(feed, dict)
        assert list(feed) == ["x", "y"]
        assert all(type(value) is fluid.LoDTensor for value in feed.values())
        assert feed["x"].value.dtype == "float32"
        np.testing.assert_array_equal(feed["x"].value, np.repeat(feed["y"].value, 2, axis=1).astype("float32"))
    return [feed["y"].value[:, 0].tolist() for feed in feeds]


# What an iterable loader yields


def test_samples_become_batches_of_one_place(fresh):
    made = loader()
    assert made.set_sample_generator(samples(5), 2, places=PLACE) is made
    assert made() is made
    assert made.iterable
    for _ in range(2):
        assert [labels(feeds) for feeds in made] == [[[0, 1]], [[2, 3]]]
    made.set_sample_generator(samples(5), 2, drop_last=False, places=[PLACE])
    assert [labels(feeds) for feeds in made()] == [[[0, 1]], [[2, 3]], [[4]]]


def test_lists_of_samples_and_batches(fresh):
    made = loader()
    assert made.set_sample_list_generator(batch(samples(5), 2), PLACE) is made
    assert [labels(feeds) for feeds in made] == [[[0, 1]], [[2, 3]], [[4]]]
    assert made.set_batch_generator(arrays(3), PLACE) is made
    assert [labels(feeds) for feeds in made] == [[[0]], [[1, 1]], [[2, 2, 2]]]


@pytest.mark.parametrize(("drop_last", "expected"), [(True, [[0, 1], [2, 3]]), (False, [[0, 1], [2, 3], [4]])])
@pytest.mark.parametrize("return_list", [True, False])
def test_several_places_get_one_batch_after_the_other(fresh, drop_last, expected, return_list):
    made = loader(drop_last=drop_last, return_list=return_list)
    made.set_sample_list_generator(batch(samples(5), 1), TWO)
    if return_list:
        epoch = list(made)
        assert all(type(t) is fluid.LoDTensor for group in epoch for tensors in group for t in tensors)
        found = [[int(y.value[0, 0]) for _, y in group] for group in epoch]
    else:
        found = [[y for (y,) in labels(group)] for group in made]
    assert found == expected


def test_what_is_yielded_is_fed(fresh):
    made = loader().set_sample_generator(samples(4), 2, places=PLACE)
    z = fluid.layers.scale(made._feed_list[0], 2.0)
    assert [fresh.run(feeds, [z])[0].tolist() for feeds in made] == [[[0, 0], [2, 2]], [[4, 4], [6, 6]]]


def test_lod(fresh):
    ids = fluid.data("ids", [None, 1], "int64", lod_level=1)
    made = DataLoader.from_generator([ids], capacity=2)
    made.set_sample_generator(lambda: (([i] * i,) for i in range(4)), 2, places=PLACE)
    assert [feed["ids"].lod() for (feed,) in made] == [[[0, 0, 1]], [[0, 2, 5]]]
    tensor = fluid.create_lod_tensor([[1, 2], [3]], [[2, 1]])
    made.set_batch_generator(lambda: iter([[tensor]]), PLACE)
    ((feed,),) = list(made)
    assert feed["ids"].lod() == [[0, 2, 3]]
    assert feed["ids"].value is not tensor.value


def test_a_generator_may_use_its_arrays_again(fresh):
    def reuse():
        x, y = np.zeros((1, 2), "float32"), np.zeros((1, 1), "int64")
        for i in range(4):
            x[...], y[...] = i, i
            yield x, y

    assert [labels(f) for f in loader().set_batch_generator(reuse, PLACE)] == [[[0]], [[1]], [[2]], [[3]]]


def test_batches_are_converted_on_the_thread(fresh):
    made = loader().set_batch_generator(lambda: iter([(np.ones((2, 2)), np.ones((2, 1), "int32"))]), PLACE)
    ((feed,),) = list(made)
    assert feed["x"].value.dtype == "float32"
    assert feed["y"].value.dtype == "int64"


def test_next_of_the_loader_itself(fresh):
    made = loader().set_sample_generator(samples(3), 1, places=PLACE)
    assert labels(next(made)) == [[0]]
    assert labels(made.next()) == [[1]]
    assert labels(next(made)) == [[2]]
    with pytest.raises(StopIteration):
        next(made)
    assert labels(next(made)) == [[0]]


def test_two_loops_over_one_loader_are_two_epochs(fresh):
    made = loader().set_sample_generator(samples(3), 1, places=PLACE)
    assert [labels(a) == labels(b) for a, b in zip(made, made, strict=True)] == [True] * 3


def test_the_thread_is_capacity_batches_ahead(fresh):
    made, count = [], threading.Semaphore(0)

    def endless():
        while True:
            made.append(len(made))
            count.release()
            yield np.zeros((1, 2), "float32"), np.zeros((1, 1), "int64")

    epoch = iter(DataLoader.from_generator(variables(), capacity=3).set_batch_generator(endless, PLACE))
    for _ in range(4):
        assert count.acquire(timeout=10)
    # Three wait, and the fourth is held by the thread.
    assert not count.acquire(timeout=0.05)
    next(epoch)
    assert count.acquire(timeout=10)
    assert len(made) == 5


# Ends of threads


def endless(closed):
    """An endless reader that notes that it was closed."""

    def read():
        try:
            i = 0
            while True:
                yield np.full((1, 2), i, "float32"), np.full((1, 1), i)
                i += 1
        finally:
            closed.append(i)

    return read


def test_a_loop_that_is_left_ends_its_thread_and_its_generator(fresh):
    closed = []
    made = loader().set_batch_generator(endless(closed), PLACE)
    for feeds in made:
        if labels(feeds) == [[2]]:
            break
    wait_until(lambda: not reader_threads())
    assert len(closed) == 1
    for feeds in made:
        assert labels(feeds) == [[0]]
        break
    wait_until(lambda: len(closed) == 2)


def test_the_generator_of_a_loop_that_was_left_rests_before_the_next_is_made(fresh):
    running = []

    def slow():
        running.append(1)
        assert len(running) == 1
        try:
            while True:
                time.sleep(0.02)
                yield np.zeros((1, 2), "float32"), np.zeros((1, 1), "int64")
        finally:
            running.pop()

    made = loader().set_batch_generator(slow, PLACE)
    for _ in range(3):
        for _ in made:
            break


def test_a_loader_that_nobody_has_ends_its_thread(fresh):
    closed = []
    made = loader().set_batch_generator(endless(closed), PLACE)
    next(made)
    assert reader_threads()
    del made
    wait_until(lambda: closed)


@pytest.mark.parametrize("batches", [0, 1])
def test_an_error_of_the_generator_comes_with_its_traceback(fresh, batches):
    class MyError(Exception):
        pass

    def failing():
        yield from arrays(batches)()
        raise MyError("mine")

    made, taken = loader().set_batch_generator(failing, PLACE), []
    with pytest.raises(MyError, match="mine") as caught:
        taken.extend(made)
    assert len(taken) == batches
    assert "failing" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def run_script(text, **options):
    """The exit code and the output of a program of its own."""
    script = "import time, numpy as np, fluidlite as fluid\nx = fluid.data('x', [None, 1])\n" + textwrap.dedent(text)
    return subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True, text=True, **options)


def test_the_interpreter_exits_with_an_epoch_going_on():
    done = run_script(
        """
        def endless():
            try:
                while True:
                    yield np.zeros((1, 1), "float32"),
            finally:
                print("closed")

        loader = fluid.io.DataLoader.from_generator([x], capacity=2)
        epoch = iter(loader.set_batch_generator(endless, fluid.CPUPlace()))
        next(epoch)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")


def test_the_interpreter_exits_although_a_generator_never_comes_back():
    done = run_script(
        """
        def stuck():
            yield np.zeros((1, 1), "float32"),
            time.sleep(1000)

        loader = fluid.io.DataLoader.from_generator([x], capacity=2)
        epoch = iter(loader.set_batch_generator(stuck, fluid.CPUPlace()))
        next(epoch)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_while_a_batch_is_waited_for():
    done = run_script(
        """
        import os, signal, threading

        def stuck():
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            time.sleep(1000)
            yield

        loader = fluid.io.DataLoader.from_generator([x], capacity=2, iterable=False)
        loader.set_batch_generator(stuck)
        loader.start()
        try:
            fluid.Executor().run(fetch_list=[x])
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


# What is refused


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (lambda: DataLoader.from_generator(variables()), ValueError, "Please give value to capacity."),
        (lambda: DataLoader.from_generator(capacity=2), ValueError, "Feed list must be given under static mode."),
        (lambda: DataLoader.from_generator(variables(), -1), ValueError, "capacity"),
        (lambda: loader().set_batch_generator(arrays(1)), AssertionError, "Places cannot be None"),
        (lambda: loader().set_batch_generator(arrays(1), []), ValueError, "places is empty"),
        (lambda: iter(loader()), AssertionError, "Data source of DataLoader has not set yet"),
        (lambda: loader().start(), AssertionError, r"start\(\) cannot be called when DataLoader is iterable"),
        (lambda: loader().reset(), AssertionError, r"reset\(\) cannot be called when DataLoader is iterable"),
        (lambda: iter(loader(iterable=False)), AssertionError, "DataLoader is not iterable"),
        (lambda: loader(iterable=False).start(), AssertionError, "Data source of reader"),
        (lambda: loader().set_sample_generator(samples(1), 0, places=PLACE), AssertionError, "larger than 0"),
        (lambda: loader().set_batch_generator(arrays(1)(), PLACE), TypeError, "is not a function"),
        (lambda: list(loader().set_batch_generator(lambda: [([1],)], PLACE)), AssertionError, "are not equal"),
        (lambda: list(loader().set_sample_list_generator(lambda: [[(1,)]], PLACE)), AssertionError, "number of fields"),
        (lambda: list(loader().set_sample_list_generator(lambda: [[(1, 1)]], PLACE)), ValueError, "Sample 0 .*'x'"),
        (lambda: list(loader().set_batch_generator(lambda: [([[1.0]], [[1]])], PLACE)), ValueError, "'x'"),
        (lambda: list(loader().set_batch_generator(lambda: [([[1, 2]], [[0.5]])], PLACE)), TypeError, "'y'"),
    ],
)
def test_what_is_refused(fresh, act, error, match):
    with pytest.raises(error, match=match) as caught:
        act()
    assert isinstance(caught.value, fluid.EnforceNotMet)


# Programs that read


def program_loader(fresh, **options):
    made = loader(iterable=False, **options)
    return made, fluid.layers.scale(made._feed_list[0], 2.0)


def read_epoch(fresh, made, fetch, exe=None):
    """The labels of the batches that runs of one epoch fetch."""
    found = []
    made.start()
    with pytest.raises(fluid.core.EOFException, match="There is no next data"):
        while True:
            y, z = (exe or fresh.exe).run(fresh.main, fetch_list=["y", fetch], scope=fresh.scope)
            np.testing.assert_array_equal(z, np.repeat(y, 2, axis=1) * 2.0)
            found.append(y[:, 0].tolist())
    made.reset()
    return found


def test_epochs_of_a_program(fresh):
    made, z = program_loader(fresh)
    assert not made.iterable
    made.set_sample_generator(samples(5), 2, drop_last=False)
    fresh.start()
    for _ in range(3):
        assert read_epoch(fresh, made, z) == [[0, 1], [2, 3], [4]]
    made.set_batch_generator(arrays(2))
    assert read_epoch(fresh, made, z) == [[0], [1, 1]]


@pytest.mark.parametrize("use_double_buffer", [True, False])
def test_the_ops_of_fluid(fresh, use_double_buffer):
    made = DataLoader.from_generator(variables(), 4, use_double_buffer, iterable=False)
    ops = fresh.main.global_block().ops
    suffix = ops[0].output("Out")[0].removeprefix("create_py_reader_")
    buffered = [("create_double_buffer_reader", [f"create_py_reader_{suffix}"], [f"double_buffer_{suffix}"])]
    assert [(op.type, op.input_arg_names, op.output_arg_names) for op in ops] == [
        ("create_py_reader", [f"lod_tensor_blocking_queue_{suffix}"], [f"create_py_reader_{suffix}"]),
        *(buffered if use_double_buffer else []),
        ("read", [f"double_buffer_{suffix}" if use_double_buffer else f"create_py_reader_{suffix}"], ["x", "y"]),
    ]
    shown = ("shape_concat", "ranks", "lod_levels", "dtypes", "need_check_feed")
    assert [ops[0].attr(name) for name in shown] == [[-1, 2, -1, 1], [2, 2], [0, 0], [5, 3], [1, 1]]
    assert [ops[-1].attr(name) for name in ("drop_last", "throw_eof_exp", "infer_out")] == [True] * 3
    assert not fresh.startup.global_block().ops
    assert made.queue.capacity() == 4


def test_names_of_loaders_go_on_under_a_guard(fresh):
    names = []
    for _ in range(2):
        with fluid.unique_name.guard(), fluid.program_guard(fluid.Program()):
            loader(iterable=False)
            names.append(fluid.default_main_program().global_block().ops[0].output("Out")[0])
    assert len(set(names)) == 2


def test_a_reader_belongs_to_no_scope_and_no_executor(fresh):
    made, z = program_loader(fresh)
    made.set_batch_generator(arrays(3))
    made.start()
    found = []
    for exe, scope in [(fluid.Executor(), fluid.Scope()), (fluid.Executor(), fresh.scope), (fresh.exe, fluid.Scope())]:
        with fluid.scope_guard(scope):
            found.append(exe.run(fresh.main, fetch_list=["y"])[0][:, 0].tolist())
    assert found == [[0], [1, 1], [2, 2, 2]]
    made.reset()


def test_reset_in_the_middle_begins_anew(fresh):
    made, z = program_loader(fresh)
    closed = []
    made.set_batch_generator(endless(closed))
    for _ in range(3):
        made.start()
        assert fresh.run({}, ["y"])[0].tolist() == [[0]]
        assert fresh.run({}, ["y"])[0].tolist() == [[1]]
        made.reset()
        assert not reader_threads()
    assert len(closed) == 3
    made.reset()


def test_a_run_before_start_and_a_second_start(fresh):
    made, z = program_loader(fresh)
    made.set_batch_generator(arrays(2))
    with pytest.raises(fluid.EnforceNotMet, match="is not started"):
        fresh.run({}, [z])
    made.start()
    with pytest.raises(RuntimeError, match="is started already"):
        made.start()
    assert read_rest(fresh, z) == 2
    with pytest.raises(fluid.core.EOFException):
        fresh.run({}, [z])
    made.start()
    assert read_rest(fresh, z) == 2


def read_rest(fresh, fetch):
    for count in range(100):
        try:
            fresh.run({}, [fetch])
        except fluid.core.EOFException:
            return count


@pytest.mark.parametrize("error", [ValueError, IndexError, KeyError, ZeroDivisionError])
def test_an_error_of_the_generator_is_raised_by_the_run(fresh, error):
    class MyError(error):
        pass

    def failing():
        yield from arrays(1)()
        raise MyError("mine")

    made, z = program_loader(fresh)
    made.set_batch_generator(failing)
    made.start()
    fresh.run({}, [z])
    with pytest.raises(MyError, match="mine") as caught:
        fresh.run({}, [z])
    assert "failing" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    made.reset()
    made.set_batch_generator(arrays(1))
    assert read_epoch(fresh, made, z) == [[0]]


def test_the_end_of_an_epoch_leaves_parameters_as_they_are(fresh):
    x, y = variables()
    made = DataLoader.from_generator([x, y], 2, iterable=False).set_batch_generator(arrays(2))
    loss = fluid.layers.mean(fluid.layers.fc(x, 3, param_attr="w"))
    fluid.optimizer.Adam(0.1).minimize(loss)
    fresh.start()
    made.start()
    assert read_rest(fresh, loss) == 2
    before = fresh.snapshot()
    assert read_rest(fresh, loss) == 0
    assert fresh.snapshot() == before


def test_copies_of_a_program_share_the_reader(fresh):
    made, z = program_loader(fresh)
    made.set_batch_generator(arrays(3))
    made.start()
    found = []
    for program in (fresh.main, fresh.main.clone(), fresh.main.clone(for_test=True)):
        found.append(fresh.exe.run(program, fetch_list=["y"])[0][:, 0].tolist())
    assert found == [[0], [1, 1], [2, 2, 2]]
    made.reset()


def test_check_nan_inf_looks_at_batches_and_not_at_readers(fresh):
    fluid.set_flags({"FLAGS_check_nan_inf": True})
    try:
        made, z = program_loader(fresh)
        made.set_batch_generator(lambda: iter([(np.full((1, 2), v, "float32"), [[0]]) for v in (1, np.nan)]))
        made.start()
        fresh.run({}, [z])
        with pytest.raises(FloatingPointError, match="Op read made a NaN"):
            fresh.run({}, [z])
        made.reset()
    finally:
        fluid.set_flags({"FLAGS_check_nan_inf": False})


def test_the_queue_says_how_much_is_made(fresh):
    made, z = program_loader(fresh)
    made.set_batch_generator(arrays(5))
    assert made.queue.size() == 0
    made.start()
    wait_until(lambda: made.queue.size() == made.queue.capacity() == 2)
    made.reset()


# PyReader and py_reader


def test_py_reader_object(fresh):
    made = PyReader(variables(), capacity=2)
    assert made.decorate_sample_generator(samples(5), 2, places=PLACE) is None
    assert [labels(feeds) for feeds in made()] == [[[0, 1]], [[2, 3]]]
    made.decorate_sample_list_generator(batch(samples(3), 2), PLACE)
    assert [labels(feeds) for feeds in made] == [[[0, 1]], [[2]]]
    made.decorate_batch_generator(arrays(2), PLACE)
    assert [labels(feeds) for feeds in made] == [[[0]], [[1, 1]]]
    as_list = PyReader(made._feed_list, capacity=2, return_list=True)
    as_list.decorate_batch_generator(arrays(1), PLACE)
    (((x, y),),) = list(as_list)
    assert x.value.shape == (1, 2)


def test_py_reader_object_in_a_program(fresh):
    made = PyReader(variables(), 2, True, False)
    z = fluid.layers.scale(made._feed_list[0], 2.0)
    made.decorate_sample_list_generator(batch(samples(3), 2))
    assert read_epoch(fresh, made, z) == [[0, 1], [2]]


@pytest.mark.parametrize("method", ["decorate_paddle_reader", "decorate_sample_list_generator"])
def test_py_reader_layer(fresh, method):
    reader = fluid.layers.py_reader(4, [(-1, 2), (-1, 1)], ["float32", "int64"])
    assert (reader.name, reader.shapes, reader.lod_levels) == ("double_buffer_0", [[-1, 2], [-1, 1]], [0, 0])
    assert reader.dtypes == [fluid.core.VarDesc.VarType.FP32, fluid.core.VarDesc.VarType.INT64]
    assert reader.type == fluid.core.VarDesc.VarType.READER
    assert reader.persistable
    assert reader.queue.capacity() == 4
    x, y = fluid.layers.read_file(reader)
    getattr(reader, method)(batch(samples(3), 2))
    fresh.start()
    for _ in range(2):
        reader.start()
        assert [fresh.run({}, [y])[0].tolist() for _ in range(2)] == [[[0], [1]], [[2]]]
        reader.reset()


def test_py_reader_layer_of_samples_and_batches(fresh):
    reader = fluid.layers.py_reader(4, [(-1, 2), (-1, 1)], ["float32", "int64"], use_double_buffer=False)
    x, y = fluid.layers.read_file(reader)
    for decorate, source, expected in [
        (lambda source: reader.decorate_sample_generator(source, 2), samples(3), [[0], [1]]),
        (reader.decorate_batch_generator, arrays(1), [[0]]),
        (reader.decorate_tensor_provider, arrays(1), [[0]]),
    ]:
        decorate(source)
        reader.start()
        assert fresh.run({}, [y])[0].tolist() == expected
        reader.reset()


def test_programs_that_train_and_test_have_readers_of_their_own(fresh):
    """Shared parameters, as in Fluid's documentation of py_reader."""

    def build(name):
        reader = fluid.layers.py_reader(4, [(-1, 2), (-1, 1)], ["float32", "int64"], name=name)
        x, y = fluid.layers.read_file(reader)
        return reader, fluid.layers.mean(fluid.layers.fc(x, 3, param_attr="w")), y

    test, test_startup = fluid.Program(), fluid.Program()
    with fluid.program_guard(test, test_startup), fluid.unique_name.guard():
        test_reader, test_loss, test_y = build("test")
    train_reader, loss, y = build("train")
    fluid.optimizer.SGD(0.1).minimize(loss)
    fresh.start()
    fresh.exe.run(test_startup)
    train_reader.decorate_paddle_reader(batch(samples(4), 2))
    test_reader.decorate_paddle_reader(batch(lambda: iter(list(samples(9)())[7:]), 1))
    train_reader.start()
    test_reader.start()
    assert fresh.run({}, [y])[0].tolist() == [[0], [1]]
    w = fresh.value("w")
    assert fresh.exe.run(test, fetch_list=[test_y])[0].tolist() == [[7]]
    np.testing.assert_array_equal(fresh.value("w"), w)
    assert fresh.run({}, [y])[0].tolist() == [[2], [3]]
    assert (fresh.value("w") != w).any()
    train_reader.reset()
    test_reader.reset()


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (lambda: fluid.layers.py_reader(2, [(-1, 2)], []), ValueError, "one length"),
        (lambda: fluid.layers.py_reader(0, [(-1, 2)], ["float32"]), ValueError, "capacity"),
        (lambda: fluid.layers.create_py_reader_by_data(2, tuple(variables())), TypeError, "should be a list of Var"),
        (lambda: fluid.layers.read_file(variables()[0]), TypeError, "needs a reader"),
        (lambda: fluid.layers.double_buffer(variables()[0]), TypeError, "needs a reader"),
        (lambda: [fluid.layers.py_reader(2, [(-1, 2)], ["float32"], name="r") for _ in "ab"], ValueError, "'r_reader'"),
        (lambda: fluid.layers.py_reader(2, [(-1, 2)], ["float32"]).start(), AssertionError, "has not set yet"),
    ],
)
def test_what_py_reader_refuses(fresh, act, error, match):
    with pytest.raises(error, match=match) as caught:
        act()
    assert isinstance(caught.value, fluid.EnforceNotMet)


def test_a_sample_that_does_not_fit_is_named_by_the_run(fresh):
    reader = fluid.layers.py_reader(2, [(-1, 2), (-1, 1)], ["float32", "int64"], name="train")
    x, y = fluid.layers.read_file(reader)
    reader.decorate_paddle_reader(lambda: iter([[([1, 2], 0), ([1, 2, 3], 0)]]))
    reader.start()
    with pytest.raises(
        ValueError, match=r"Sample 1 of the batch does not fit field 0 of feed_list, 'train_reader\[0\]'"
    ):
        fresh.run({}, [y])


# Datasets


class Squares(Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, i):
        return np.full(2, i, "float32"), np.array([i])


def test_a_dataset_with_numbered_samples(fresh):
    made = DataLoader(Squares(), variables(), PLACE, batch_size=2)
    assert len(made) == 3
    for _ in range(2):
        assert [labels(feeds) for feeds in made()] == [[[0, 1]], [[2, 3]], [[4]]]
    made = DataLoader(Squares(), made.feed_list, TWO, drop_last=True)
    assert [labels(feeds) for feeds in made] == [[[0], [1]], [[2], [3]]]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_workers_keep_the_order(fresh, num_workers):
    started = []

    class Slow(Squares):
        def __len__(self):
            return 23

        def __getitem__(self, i):
            time.sleep(0.003 * (i % 3 == 0))
            return super().__getitem__(i)

    options = {"num_workers": num_workers, "worker_init_fn": started.append, "timeout": 60}
    made = DataLoader(Slow(), variables(), PLACE, batch_size=2, **options)
    assert [y for feeds in made for y in labels(feeds)[0]] == list(range(23))
    assert set(started) <= set(range(num_workers))
    assert started
    for _ in made:
        break


def test_errors_of_a_dataset(fresh):
    class Failing(Squares):
        def __getitem__(self, i):
            if i == 3:
                raise KeyError("mine")
            return super().__getitem__(i)

    x = variables()
    for num_workers in (0, 2):
        found = []
        with pytest.raises(KeyError, match="mine"):
            for feeds in DataLoader(Failing(), x, PLACE, num_workers=num_workers):
                found.append(labels(feeds))
        assert found == [[[0]], [[1]], [[2]]]


def test_shuffled_samples_samplers_and_collate(fresh):
    x = variables()
    np.random.seed(7)
    made = DataLoader(Squares(), x, PLACE, batch_size=2, shuffle=True)
    epochs = [[y for feeds in made for y in labels(feeds)[0]] for _ in range(3)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1
    sampler = BatchSampler(indices=[4, 1, 0], batch_size=2)
    assert [labels(feeds) for feeds in DataLoader(Squares(), x, PLACE, batch_sampler=sampler)] == [[[4, 1]], [[0]]]
    made = DataLoader(Squares(), x, PLACE, batch_size=3, collate_fn=lambda batch: default_collate_fn(batch[:1]))
    assert [labels(feeds) for feeds in made] == [[[0]], [[3]]]
    (((x, y),), _, _) = list(DataLoader(Squares(), places=PLACE, return_list=True, batch_size=2))
    assert (x.shape(), y.shape()) == ([2, 2], [2, 1])


@pytest.mark.parametrize(
    ("count", "options", "expected"),
    [
        (5, {}, [[0, 1], [2, 3], [4]]),
        (5, {"drop_last": True}, [[0, 1], [2, 3]]),
        (4, {}, [[0, 1], [2, 3]]),
        (0, {}, []),
    ],
)
def test_batch_sampler(count, options, expected):
    sampler = BatchSampler(dataset=range(count), batch_size=2, **options)
    assert list(sampler) == expected
    assert len(sampler) == len(expected)


@pytest.mark.parametrize(
    "act",
    [
        lambda: BatchSampler(),
        lambda: BatchSampler(dataset=[1], indices=[0]),
        lambda: BatchSampler(indices=3),
        lambda: BatchSampler(indices=[0], batch_size=0),
        lambda: BatchSampler(indices=[0], shuffle=1),
        lambda: DataLoader(Squares(), places=PLACE),
        lambda: DataLoader(Squares(), variables()),
        lambda: DataLoader(Squares(), variables(), PLACE, num_workers=-1),
        lambda: DataLoader(Squares(), variables(), PLACE, batch_sampler=[[0]], shuffle=True),
        lambda: DataLoader.from_dataset(Squares(), PLACE),
    ],
)
def test_what_datasets_and_samplers_refuse(fresh, act):
    with pytest.raises(AssertionError) as caught:
        act()
    assert isinstance(caught.value, fluid.EnforceNotMet)


class Files:
    """As far as a loader is concerned, a dataset of files."""

    batch_size = 2

    def __init__(self):
        self.begun = 0

    def _counted_batches(self):
        self.begun += 1
        for i, n in enumerate([2, 2, 2, 1]):
            yield n, {"x": np.full((n, 2), i, "float32"), "y": fluid.LoDTensor(np.full((n, 1), i))}


@pytest.mark.parametrize(
    ("places", "drop_last", "expected"),
    [
        (PLACE, True, [[[0, 0]], [[1, 1]], [[2, 2]]]),
        ([PLACE], False, [[[0, 0]], [[1, 1]], [[2, 2]], [[3]]]),
        (TWO, True, [[[0, 0], [1, 1]]]),
        (TWO, False, [[[0, 0], [1, 1]], [[2, 2], [3]]]),
    ],
)
def test_a_dataset_of_files(places, drop_last, expected):
    dataset = Files()
    made = DataLoader.from_dataset(dataset, places, drop_last)
    for _ in range(2):
        assert [labels(feeds) for feeds in made()] == expected
    assert dataset.begun == 2


# Threads of readers that nobody resets


def test_a_program_that_nobody_has_ends_the_thread_of_its_reader(make_fresh):
    closed = []
    with make_fresh() as fresh:
        made, z = program_loader(fresh)
        made.set_batch_generator(endless(closed))
        made.start()
        fresh.run({}, [z])
        assert reader_threads()
    del made, z, fresh
    gc.collect()
    wait_until(lambda: closed)


def test_a_generator_that_does_not_come_back_is_left_alone(fresh, monkeypatch):
    monkeypatch.setattr(prefetch, "_PATIENCE", 0.02)
    stuck = threading.Event()

    def reader():
        yield np.zeros((1, 2), "float32"), np.zeros((1, 1), "int64")
        stuck.wait()

    made, z = program_loader(fresh)
    made.set_batch_generator(reader)
    made.start()
    fresh.run({}, [z])
    with pytest.warns(UserWarning, match="has not come back"):
        made.reset()
    made.set_batch_generator(arrays(1))
    assert read_epoch(fresh, made, z) == [[0]]
    stuck.set()


def test_threads_that_run_one_program_share_its_batches(fresh):
    made, z = program_loader(fresh)
    made.set_sample_generator(samples(60), 1)
    made.start()
    found = []

    def work():
        exe, scope = fluid.Executor(), fluid.Scope()
        try:
            while True:
                found.append(int(exe.run(fresh.main, fetch_list=["y"], scope=scope)[0][0, 0]))
        except fluid.core.EOFException:
            pass

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)
    assert sorted(found) == list(range(60))
    made.reset()


def test_an_op_that_writes_to_a_batch_does_not_write_to_the_users_tensor(fresh):
    x = fluid.data("count", [1])
    made = DataLoader.from_generator([x], 2, iterable=False)
    y = fluid.layers.scale(x, 2.0)
    tensor = fluid.create_lod_tensor(np.ones(1, "float32"), [])
    made.set_batch_generator(lambda: iter([(tensor,)] * 3))
    fresh.main.global_block().append_op("increment", {"X": x}, {"Out": x}, {"step": 1.0})
    made.start()
    assert [float(fresh.run({}, [y])[0][0]) for _ in range(3)] == [2.0] * 3
    made.reset()
