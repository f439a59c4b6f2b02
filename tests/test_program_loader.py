"""Loaders that a program reads, PyReader and py_reader: epochs, ops, errors, and threads that end."""

import gc
import threading
import traceback

import loader_sources
import numpy as np
import pytest
from loader_sources import PLACE, arrays, endless, labels, loader, reader_threads, samples, variables, wait_until

import fluidlite as fluid
from fluidlite import prefetch
from fluidlite.io import DataLoader, PyReader
from fluidlite.reader import batch

no_thread_stays = loader_sources.no_thread_stays


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
