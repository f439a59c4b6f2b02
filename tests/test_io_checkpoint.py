"""Checkpoints: training goes on with the same bits, values of every kind come back."""

import mmap
import random
import tracemalloc

import checkpoint_models
import numpy as np
import pytest
from checkpoint_models import OPTIMIZERS, D, V, sizes, train, word_model

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError, NotFoundError
from fluidlite.io import load_checkpoint, save_checkpoint
from fluidlite.selected_rows import SelectedRows
from fluidlite.tables import RowState

small = checkpoint_models.small
folder = checkpoint_models.folder


class Samples(fluid.io.Dataset):
    def __getitem__(self, i):
        return (np.array(i * 7 % V),)

    def __len__(self):
        return 90


def shuffled_loader(ids):
    return fluid.io.DataLoader(Samples(), [ids], fluid.CPUPlace(), batch_size=11, shuffle=True)


def take(fresh, loss, loader, n):
    """`n` steps over as many epochs as they take; the loop that was left stays open."""
    losses, epoch = [], getattr(fresh, "open_epoch", None)
    while len(losses) < n:
        epoch = iter(loader) if epoch is None else epoch
        for feed in epoch:
            losses.append(fresh.run(feed, [loss])[0].tobytes())
            if len(losses) == n:
                break
        else:
            epoch = None
    fresh.open_epoch = epoch
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_going_on_gives_the_bits_of_never_having_stopped(make_fresh, small, threads, folder, name):
    random.seed(3)
    np.random.seed(4)
    with make_fresh() as one:
        ids, loss = word_model(one, name)
        one.start()
        loader = shuffled_loader(ids)
        take(one, loss, loader, 13)  # in the second epoch of 9 batches
        save_checkpoint(one.exe, folder, 13, readers=[loader])
        expected = take(one, loss, loader, 17)
        finally_ = one.snapshot()
        if name in ("lazy_adam", "sparse_adam", "lazy_rmsprop", "adagrad", "ftrl"):
            values = [v.cell.value for v in one.scope._vars.values()]
            assert any(isinstance(value, RowState) for value in values)
    random.seed(99)
    np.random.seed(99)
    with make_fresh() as other:
        ids, loss = word_model(other, name)
        loader = shuffled_loader(ids)
        assert load_checkpoint(other.exe, folder, readers=[loader]) == 13
        assert loader.state_dict()["epoch"] == 1 and loader.state_dict()["batch"] == 4
        assert take(other, loss, loader, 17) == expected
        assert other.snapshot() == finally_


def test_state_by_rows_comes_back_by_rows(make_fresh, small, folder):
    with make_fresh() as one:
        _, loss = word_model(one)
        one.start()
        train(one, loss, 3)
        save_checkpoint(one.exe, folder, 3)
        saved, store = one.snapshot(), one.scope.find_var("table_moment1_0").cell.value.store
    with make_fresh() as other:
        word_model(other)
        load_checkpoint(other.exe, folder)
        assert other.snapshot() == saved
        states = [other.scope.find_var(f"table_moment{k}_0").cell.value for k in (1, 2)]
        assert all(isinstance(state, RowState) for state in states)
        assert states[0].store is states[1].store and [state.column for state in states] == [0, 1]
        for part in ("slots", "data", "count"):
            np.testing.assert_array_equal(getattr(states[0].store, part), getattr(store, part))


def test_an_untouched_state_stays_empty(make_fresh, small, folder):
    with make_fresh() as one:
        word_model(one)
        one.start()
        save_checkpoint(one.exe, folder, 0)
        saved = one.snapshot()
        assert one.scope.find_var("table_moment1_0").cell.value.is_empty
    with make_fresh() as other:
        _, loss = word_model(other)
        load_checkpoint(other.exe, folder)
        assert other.snapshot() == saved and other.scope.find_var("table_moment1_0").cell.value.is_empty
        train(other, loss, 2)


def test_a_program_without_state_by_rows_gets_arrays(make_fresh, small, folder):
    with make_fresh() as one:
        _, loss = word_model(one)
        one.start()
        train(one, loss, 2)
        save_checkpoint(one.exe, folder, 2)
        expected = train(one, loss, 5, 2)
    with make_fresh() as other:
        _, loss = word_model(other)
        for name in ("table_moment1_0", "table_moment2_0"):
            other.main.global_block().var(name).row_state = False
        load_checkpoint(other.exe, folder)
        assert type(other.scope.find_var("table_moment1_0").cell.value) is np.ndarray
        assert train(other, loss, 5, 2) == expected


def test_the_random_seed(make_fresh, folder):
    with make_fresh() as one:
        _, loss = word_model(one, "sgd")
        one.start()
        train(one, loss, 2)
        save_checkpoint(one.exe, folder, 2)
        expected = train(one, loss, 4, 2)
    with make_fresh() as other:
        _, loss = word_model(other, "sgd")
        other.start()
        train(other, loss, 3)  # plans with another seed, and another number of draws
        load_checkpoint(other.exe, folder)
        assert train(other, loss, 4, 2) == expected
        assert other.main.drawn_seed == one.main.drawn_seed
    with make_fresh() as third:
        word_model(third, "sgd")
        third.main.random_seed = 8
        with pytest.warns(UserWarning, match="random_seed=8 and draws other numbers"):
            load_checkpoint(third.exe, folder)


def test_draws_that_never_were_are_taken_back(make_fresh, folder):
    with make_fresh() as one:
        _, loss = word_model(one, "sgd")
        one.start()
        save_checkpoint(one.exe, folder, 0)
        expected = train(one, loss, 3)
        load_checkpoint(one.exe, folder)
        assert train(one, loss, 3) == expected


def test_another_program(make_fresh, folder):
    with make_fresh() as one:
        _, loss = word_model(one)
        one.start()
        train(one, loss, 1)
        save_checkpoint(one.exe, folder, 1)
        table = one.value("table")
    with make_fresh() as other:
        fluid.embedding(fluid.data("ids", [None], "int64"), [V, D], param_attr="table")
        with pytest.warns(UserWarning, match="other ops, attributes or variables"):
            load_checkpoint(other.exe, folder)
        assert set(other.scope.local_var_names()) == {"table", "@RANDOM_STEP@"}
        assert other.value("table").tobytes() == table.tobytes()
    with make_fresh() as other:
        fluid.embedding(fluid.data("ids", [None], "int64"), [V + 1, D], param_attr="table")
        with pytest.raises(InvalidArgumentError, match=r"(?s)'table' does not fit.*\(212, 3\).*\(211, 3\)"):
            load_checkpoint(other.exe, folder)
        fluid.embedding(fluid.data("ids", [None], "int64"), [V, D], param_attr="tables")
        assert not other.scope.local_var_names()
    with make_fresh() as other:
        fluid.embedding(fluid.data("ids", [None], "int64"), [V, D], param_attr="tables")
        with pytest.raises(NotFoundError, match="(?s)'tables' is not in.*did you mean 'table'"):
            load_checkpoint(other.exe, folder)


def test_values_of_every_kind(fresh, folder):
    block = fresh.main.global_block()
    arrays = {
        "float64": np.linspace(0, 1, 6).reshape(2, 3),
        "int64": np.array([1 << 62, -1]),
        "int32": np.zeros((0, 3), np.int32),
        "bool": np.array([True, False, True]),
        "float32": np.asfortranarray(np.arange(35, dtype=np.float32).reshape(5, 7)),
    }
    for dtype, array in arrays.items():
        block.create_var(name=dtype, shape=array.shape, dtype=dtype, persistable=True)
        fresh.scope.var(dtype).cell.value = array
    block.create_var(name="sequences", shape=(-1, 2), dtype="float32", persistable=True, lod_level=2)
    sequences = fluid.LoDTensor(np.arange(10, dtype=np.float32).reshape(5, 2), [[0, 1, 3], [0, 2, 2, 5]])
    cell = fresh.scope.var("sequences").cell
    cell.value, cell.lod_offsets = sequences.value, sequences.lod_offsets
    block.create_var(
        name="rows", shape=(7, 2), dtype="float32", persistable=True, type=fluid.core.VarDesc.VarType.SELECTED_ROWS
    )
    fresh.scope.var("rows").cell.value = SelectedRows([5, 0, 5], np.ones((3, 2), np.float32), 7)
    save_checkpoint(fresh.exe, folder, 0)
    saved = fresh.snapshot()
    for name in fresh.scope.local_var_names():
        fresh.scope.find_var(name).cell.value, fresh.scope.find_var(name).cell.lod_offsets = None, ()
    load_checkpoint(fresh.exe, folder)
    assert fresh.snapshot() == saved
    for name, array in arrays.items():
        value = fresh.scope.find_var(name).cell.value
        assert value.dtype == array.dtype and value.shape == array.shape and value.flags.c_contiguous
    assert fresh.scope.find_var("sequences").cell.lod() == sequences.lod()
    rows = fresh.scope.find_var("rows").cell.value
    assert rows.rows.tolist() == [5, 0, 5] and rows.height == 7


def test_saving_takes_no_second_copy(fresh, folder):
    fluid.layers.create_parameter(
        [1 << 20, 16], "float32", name="w", default_initializer=fluid.initializer.Constant(2.0)
    )
    fresh.start()
    tracemalloc.start()
    try:
        save_checkpoint(fresh.exe, folder, 0)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
    assert sizes(folder, 0) == 64 << 20


def test_large_tables_in_files(make_fresh, folder, tmp_path):
    """FLAGS_table_mmap_dir: what is loaded lies in a file as well."""
    with make_fresh() as one:
        rows = fluid.embedding(fluid.data("ids", [None], "int64"), [1 << 21, 8], is_sparse=True, param_attr="table")
        fluid.optimizer.SparseAdam(0.1).minimize(fluid.layers.reduce_sum(rows))
        one.start()
        one.run({"ids": np.array([3, 5, (1 << 21) - 1])})
        save_checkpoint(one.exe, folder, 1)
        (tmp_path / "map").mkdir()
        fluid.set_flags({"FLAGS_table_mmap_dir": str(tmp_path / "map")})
        try:
            scope = fluid.Scope()
            load_checkpoint(one.exe, folder, scope=scope)
            table = scope.find_var("table").cell.value
            assert table.tobytes() == one.value("table").tobytes()
            memory = table
            while isinstance(memory, np.ndarray | memoryview):
                memory = memory.base if isinstance(memory, np.ndarray) else memory.obj
            assert isinstance(memory, mmap.mmap)
            for where in (scope, one.scope):
                one.exe.run(one.main, feed={"ids": np.array([3, 4])}, scope=where)
            np.testing.assert_array_equal(table[:6], one.value("table")[:6])
        finally:
            fluid.set_flags({"FLAGS_table_mmap_dir": ""})


def test_numbers_of_numpy_and_paths(fresh, tmp_path):
    fluid.layers.create_parameter([2, 3], "float32", name="w")
    fresh.start()
    assert save_checkpoint(fresh.exe, tmp_path / "c", np.int64(7)) == str(tmp_path / "c" / "checkpoint-7")
    assert load_checkpoint(fresh.exe, tmp_path / "c", fluid.CompiledProgram(fresh.main)) == 7
