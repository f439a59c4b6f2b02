"""Memory that comes as it is touched, and tables in files: FLAGS_table_mmap_dir."""

import gc
import os

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import mapped, table_binding, tables
from fluidlite.hash_table import HashTable
from fluidlite.lazy_rows import LazyRows
from fluidlite.mapped import Reserve, file_array
from fluidlite.row_initializer import RowInitializer


@pytest.fixture
def folder(tmp_path):
    """FLAGS_table_mmap_dir says this folder."""
    fluid.set_flags({"FLAGS_table_mmap_dir": str(tmp_path)})
    yield tmp_path
    fluid.set_flags({"FLAGS_table_mmap_dir": ""})


@pytest.fixture
def small_files(monkeypatch):
    """Arrays of any size go to files."""
    for module in (mapped, tables, table_binding):
        monkeypatch.setattr(module, "SMALLEST_FILE", 0)


def files_of_this_process(folder):
    """Files without a name that this process holds open in a folder."""
    gc.collect()
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return {path for path in found if path.startswith(str(folder)) and path.endswith("(deleted)")}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (5000, 7), (100_003,), (3, 0)])
def test_a_reserve_is_an_array_of_zeros(shape, dtype):
    array = Reserve(shape, dtype, "x").array
    assert array.shape == shape and array.dtype == dtype and array.flags.writeable and not array.any()
    assert array.__array_interface__["data"][0] % 64 == 0


@pytest.mark.parametrize("span", [(0, 0), (0, 1), (3, 9000), (1, 20_000), (500, 501), (1365, 2731)])
def test_clearing_rows(span):
    reserve = Reserve((20_000, 3), np.float32, "x")
    reserve.array[:] = 1
    reserve.clear(*span)
    assert not reserve.array[slice(*span)].any()
    assert reserve.array.sum() == 3 * (20_000 - (span[1] - span[0]))


def test_too_much_is_refused_by_name():
    with pytest.raises(MemoryError, match="Table 'w' cannot reserve .* of address space") as error:
        Reserve((1 << 50, 8), np.float32, "Table 'w'")
    assert "overcommit" in error.value.hint


def test_a_reserve_lives_as_long_as_its_array():
    array = Reserve((1000, 3), np.float32, "x").array
    array[:] = 2
    assert array.sum() == 6000


class TestFiles:
    def test_an_array_lies_in_a_file(self, folder):
        array = file_array((1000, 3), np.float32, "x")
        array[:] = 3
        assert len(files_of_this_process(folder)) == 1
        assert os.listdir(folder) == []
        del array
        assert not files_of_this_process(folder)

    def test_its_room_is_there_before_it_is_used(self, folder):
        reserve = Reserve((10**7, 3), np.float64, "x")
        size = os.fstat(reserve._file).st_blocks
        reserve.commit(1000, "x")
        assert size < 100 < os.fstat(reserve._file).st_blocks
        reserve.array[:1000] = 1
        reserve.clear(10, 900)
        assert reserve.array.sum() == 3 * 110

    def test_a_full_disk_is_an_error(self, folder, monkeypatch):
        def full(*args):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(MemoryError, match="The moment needs .*FLAGS_table_mmap_dir.*No space left"):
            file_array((1000, 3), np.float32, "The moment")

    def test_a_folder_that_is_not_there(self, tmp_path):
        fluid.set_flags({"FLAGS_table_mmap_dir": str(tmp_path / "none")})
        try:
            with pytest.raises(MemoryError, match="in a file in"):
                file_array((1000, 3), np.float32, "x")
        finally:
            fluid.set_flags({"FLAGS_table_mmap_dir": ""})

    def test_a_table_of_any_ids(self, folder, threads):
        results = []
        for flag in (str(folder), ""):
            fluid.set_flags({"FLAGS_table_mmap_dir": flag})
            table = HashTable((10**7, 3), np.float32, RowInitializer("uniform", -1.0, 1.0, 2, 3))
            ids = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 20_000)
            table.admit(ids, np.empty(20_000, np.int64))
            table.erase(ids[::3])
            table.admit(ids, np.empty(20_000, np.int64))
            results.append((table.live_rows().tobytes(), table.ids.tobytes()))
            assert len(files_of_this_process(folder)) == (3 if flag else 0)
            del table
            fluid.set_flags({"FLAGS_table_mmap_dir": str(folder)})
        assert results[0] == results[1]

    def test_a_full_disk_makes_no_rows(self, folder, monkeypatch):
        table = HashTable((10**7, 3), np.float32, RowInitializer("uniform", -1.0, 1.0, 2, 3), "t")

        def full(*args):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(MemoryError, match="Table 't' needs"):
            table.admit(np.arange(5), np.empty(5, np.int64))
        assert len(table) == 0
        monkeypatch.undo()
        fluid.set_flags({"FLAGS_table_mmap_dir": str(folder)})
        table.admit(np.arange(5), np.empty(5, np.int64))
        assert len(table) == 5

    @pytest.mark.parametrize("any_ids", [False, True])
    def test_training_gives_the_same_bits(self, make_fresh, folder, small_files, monkeypatch, any_ids):
        monkeypatch.setattr(tables, "SMALLEST_STATE", 0)
        losses = []
        for flag in (str(folder), ""):
            with make_fresh() as one:
                one.main.random_seed = one.startup.random_seed = 3
                fluid.set_flags({"FLAGS_table_mmap_dir": flag})
                ids = fluid.data("ids", [None], "int64")
                rows = fluid.embedding(ids, [50, 3], is_sparse=True, is_distributed=any_ids)
                loss = fluid.layers.reduce_sum(fluid.layers.square(rows))
                fluid.optimizer.SparseAdam(0.1).minimize(loss)
                one.start()
                assert bool(files_of_this_process(folder)) == bool(flag)
                rng = np.random.default_rng(0)
                losses.append([one.run({"ids": rng.integers(0, 50, 30)}, [loss])[0] for _ in range(4)])
        np.testing.assert_array_equal(*losses)


def test_the_flag_takes_a_path_and_says_so(tmp_path):
    fluid.set_flags({"FLAGS_table_mmap_dir": tmp_path})
    assert fluid.get_flags("FLAGS_table_mmap_dir") == {"FLAGS_table_mmap_dir": str(tmp_path)}
    fluid.set_flags({"FLAGS_table_mmap_dir": None})
    assert fluid.get_flags("FLAGS_table_mmap_dir") == {"FLAGS_table_mmap_dir": ""}


class TestRowsMadeLazily:
    """Ordinary tables in files."""

    SIZE = (50, 3)
    INITIALIZERS = {
        "uniform": lambda: fluid.initializer.Uniform(-0.5, 0.25),
        "normal": lambda: fluid.initializer.Normal(1.0, 2.0),
        "truncated": lambda: fluid.initializer.TruncatedNormal(1.0, 2.0, seed=9),
        "xavier": lambda: fluid.initializer.Xavier(),
    }

    def build(self, one, initializer="uniform", optimizer=None, dtype="float32"):
        one.main.random_seed = one.startup.random_seed = 3
        attr = fluid.ParamAttr("w", initializer=self.INITIALIZERS[initializer]())
        rows = fluid.embedding(
            fluid.data("ids", [None], "int64"), list(self.SIZE), is_sparse=True, param_attr=attr, dtype=dtype
        )
        loss = fluid.layers.reduce_sum(fluid.layers.square(rows))
        (optimizer or fluid.optimizer.SparseAdam(0.1)).minimize(loss)
        return loss

    def eager(self, make_fresh, *arguments, feeds=(), **options):
        """The table after some steps, made as usual."""
        fluid.set_flags({"FLAGS_table_mmap_dir": ""})
        with make_fresh() as one:
            loss = self.build(one, *arguments, **options)
            one.start()
            losses = [one.run({"ids": ids}, [loss])[0] for ids in feeds]
            return losses, one.value("w")

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("initializer", INITIALIZERS)
    def test_values_are_those_of_a_table_made_at_once(self, make_fresh, folder, small_files, initializer, dtype):
        feeds = [np.array([7, 49, 7]), np.array([0, 49, 13])]
        with make_fresh() as one:
            loss = self.build(one, initializer, dtype=dtype)
            one.start()
            table = one.scope.find_var("w").bare_cell.value
            assert isinstance(table, LazyRows) and not table.made.any()
            losses = [one.run({"ids": ids}, [loss])[0] for ids in feeds]
            assert one.scope.find_var("w").bare_cell.value is table
            assert np.flatnonzero(table.made).tolist() == [0, 7, 13, 49] and not table.array[1:7].any()
            value = one.value("w")
            assert isinstance(one.scope.find_var("w").bare_cell.value, np.ndarray)
        expected, array = self.eager(make_fresh, initializer, dtype=dtype, feeds=feeds)
        np.testing.assert_array_equal(losses, expected)
        np.testing.assert_array_equal(value, array)

    @pytest.mark.parametrize("reader", ["optimizer", "op", "fetch", "get_table", "tensor"])
    def test_whoever_reads_all_gets_all(self, make_fresh, folder, small_files, reader):
        feeds = [np.array([7, 49, 7])]
        optimizer = fluid.optimizer.Adam(0.1) if reader == "optimizer" else None
        with make_fresh() as one:
            loss = self.build(one, optimizer=optimizer)
            fetched = [loss]
            if reader == "op":
                fetched.append(fluid.layers.scale(one.main.global_block().var("w"), 1.0))
            if reader == "fetch":
                fetched.append("w")
            tensor = one.scope.var("w").get_tensor()
            one.start()
            got = one.run({"ids": feeds[0]}, fetched)
            found = {
                "get_table": lambda: one.scope.find_var("w").get_table().lookup(range(50)),
                "tensor": lambda: np.array(tensor),
            }.get(reader, lambda: one.value("w"))()
        _, array = self.eager(make_fresh, optimizer=optimizer and fluid.optimizer.Adam(0.1), feeds=feeds)
        np.testing.assert_array_equal(found, array)
        if reader == "op":
            assert got[1][[7, 49]].any() and (got[1][:7] == array[:7]).all()
        if reader == "fetch":
            np.testing.assert_array_equal(got[1], array)

    def test_a_gradient_without_its_look_up_makes_rows(self, make_fresh, folder, small_files):
        with make_fresh() as one:
            one.main.random_seed = one.startup.random_seed = 3
            rows = fluid.embedding(fluid.data("ids", [None], "int64"), [50, 3], is_sparse=True, param_attr="w")
            fluid.optimizer.SGD(1.0).minimize(fluid.layers.reduce_sum(rows))
            one.start()
            one.run({"ids": np.array([3])})
            made = one.value("w")
            one.start()
            np.testing.assert_array_equal(made[3], one.value("w")[3] - 1)

    @pytest.mark.parametrize("id", [-1, 50])
    def test_an_id_outside_the_table_is_an_error(self, make_fresh, folder, small_files, id):
        with make_fresh() as one:
            self.build(one)
            one.start()
            with pytest.raises(IndexError, match=f"Id {id} at position 1"):
                one.run({"ids": np.array([3, id])})
