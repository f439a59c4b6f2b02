"""Tables of any ids in Fluid's formats: live rows out and in, whatever the ids; what does not fit changes nothing."""

import os
import struct

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, UnavailableError
from fluidlite.hash_table import HashTable, TableState
from fluidlite.io import table_files

LOW, HIGH = -(1 << 63), (1 << 63) - 1
V, D = 1 << 40, 3
POOL = np.array([0, -1, LOW, HIGH, V - 1, V, *range(7, 700, 13)])

OPTIMIZERS = {
    "sgd": lambda: fluid.optimizer.SGD(0.1),
    "adagrad": lambda: fluid.optimizer.Adagrad(0.1, initial_accumulator_value=0.5),
    "momentum": lambda: fluid.optimizer.Momentum(0.1, 0.9),
    "lazy_adam": lambda: fluid.optimizer.Adam(0.1, lazy_mode=True),
    "sparse_adam": lambda: fluid.optimizer.SparseAdam(0.1),
    "adam": lambda: fluid.optimizer.Adam(0.1),
}


def build(name="lazy_adam", *, size=(V, D), any_ids=True, dtype="float32"):
    """A loss; also the rows of the batch, for prediction."""
    fluid.default_startup_program().random_seed = 5
    ids = fluid.data("ids", [None, 1], "int64")
    attr = fluid.ParamAttr("table", initializer=fluid.initializer.Uniform(-0.3, 0.3))
    rows = fluid.embedding(ids, list(size), is_sparse=True, is_distributed=any_ids, param_attr=attr, dtype=dtype)
    rows = fluid.layers.reshape(rows, [-1, D])
    # SparseAdam has tables alone.
    out = rows if name == "sparse_adam" else fluid.layers.fc(rows, 2)
    OPTIMIZERS[name]().minimize(fluid.layers.reduce_mean(fluid.layers.square(out)))
    return out


def train(one, n, start=0, pool=POOL):
    for step in range(start, n):
        one.run({"ids": np.random.default_rng(step).choice(pool, (11, 1))})


def contents(scope):
    """Everything in the scope; of tables the rows by number."""
    found = {}
    for name in scope.local_var_names():
        value = scope.find_var(name).cell.value
        if isinstance(value, HashTable | TableState):
            found[name] = value.ids.tolist(), value.live_rows()[1:].tobytes()
        elif isinstance(value, np.ndarray) and name != "@RANDOM_STEP@":
            found[name] = value.tobytes()
    return found


def table_of(one, name="table"):
    return one.scope.find_var(name).get_table()


def moments(one):
    return [n for n in one.scope.local_var_names() if isinstance(one.scope.find_var(n).cell.value, TableState)]


def _each(one, folder):
    fluid.io.save_persistables(one.exe, folder)
    return lambda other: fluid.io.load_persistables(other.exe, folder)


def _combined(one, folder):
    fluid.io.save_persistables(one.exe, folder, filename="all")
    return lambda other: fluid.io.load_persistables(other.exe, folder, filename="all")


def _bytes(one, folder):
    data = fluid.io.save_persistables(one.exe, None)
    return lambda other: fluid.io.load_persistables(other.exe, None, filename=data)


def _pickles(one, folder):
    fluid.save(one.main, os.path.join(folder, "m"))
    return lambda other: fluid.load(other.main, os.path.join(folder, "m"))


def _state_of_pickles(one, folder):
    fluid.save(one.main, os.path.join(folder, "m"))
    return lambda other: fluid.set_program_state(other.main, fluid.load_program_state(os.path.join(folder, "m")))


def _load_of_files(one, folder):
    fluid.io.save_persistables(one.exe, folder)
    return lambda other: fluid.load(other.main, folder, other.exe)


def _state_of_files(one, folder):
    fluid.io.save_persistables(one.exe, folder)
    return lambda other: fluid.set_program_state(other.main, fluid.load_program_state(folder))


def _state_of_one_file(one, folder):
    chosen = [var for var in one.main.list_vars() if fluid.io.is_persistable(var)]
    fluid.io.save_vars(one.exe, folder, vars=chosen, filename="all")
    path = os.path.join(folder, "all")
    return lambda other: fluid.set_program_state(other.main, fluid.load_program_state(path, chosen))


WAYS = [_each, _combined, _bytes, _pickles, _state_of_pickles, _load_of_files, _state_of_files, _state_of_one_file]


@pytest.mark.filterwarnings("ignore:The program of .* is saved without its backward")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("way", WAYS)
def test_training_goes_on_with_the_same_bits(make_fresh, tmp_path, monkeypatch, way, optimizer):
    """Rows in pieces of 7; ids that come later begin as they would have begun."""
    monkeypatch.setattr(table_files, "_SLAB_ROWS", 7)
    monkeypatch.setattr("fluidlite.formats.tensor_stream.SLAB", 7 * D * 4)
    with make_fresh() as one:
        build(optimizer)
        one.start()
        train(one, 4)
        load = way(one, str(tmp_path))
        saved = contents(one.scope)
        train(one, 9, 4)
        expected = contents(one.scope)
        assert len(expected["table"][0]) > len(saved["table"][0])
    with make_fresh() as other:
        build(optimizer)
        other.start()
        train(other, 2, 0, POOL + 3)
        load(other)
        assert contents(other.scope) == saved
        train(other, 9, 4)
        assert contents(other.scope) == expected


@pytest.mark.parametrize("way", WAYS)
def test_a_table_without_rows(make_fresh, tmp_path, way):
    with make_fresh() as one:
        build()
        one.start()
        load = way(one, str(tmp_path))
        train(one, 1)
        load(one)
        assert len(table_of(one)) == 0
        train(one, 2)
        assert len(table_of(one)) > 0


def test_the_bytes_of_a_file(fresh, tmp_path):
    build()
    fresh.start()
    table_of(fresh).set([HIGH, -2], np.arange(6, dtype=np.float32).reshape(2, 3))
    fluid.io.save_params(fresh.exe, str(tmp_path))
    head = struct.pack("<IQqqqIi", 0, 2, HIGH, -2, V, 0, 6) + bytes.fromhex("080510021003")
    assert (tmp_path / "table").read_bytes() == head + struct.pack("<6f", *range(6))


def test_arrays_of_a_state(fresh, tmp_path):
    build()
    fresh.start()
    train(fresh, 3)
    path = str(tmp_path / "m")
    fluid.save(fresh.main, path)
    state, table = fluid.load_program_state(path), table_of(fresh)
    for name in ["table", *moments(fresh)]:
        assert state[name + "@IDS"].dtype == np.int64 and state[name + "@IDS"].tolist() == table.ids.tolist()
        np.testing.assert_array_equal(state[name], table_of(fresh, name).lookup(table.ids))


@pytest.mark.parametrize("combined", [None, "all"])
def test_an_inference_model_predicts_the_same(make_fresh, tmp_path, combined):
    seen, unseen = np.array([[LOW], [HIGH], [0], [-1]]), np.array([[12345678901], [-5]])
    with make_fresh() as one:
        out = build()
        one.start()
        one.run({"ids": seen})
        fluid.io.save_inference_model(str(tmp_path), ["ids"], [out], one.exe, one.main, params_filename=combined)
        test = one.main.clone(for_test=True)
        feed = {"ids": np.concatenate([seen, unseen])}
        expected = one.exe.run(test, feed=feed, fetch_list=[out.name], scope=one.scope)[0]
        bias = one.value("fc_0.b_0")
    with make_fresh() as other:
        program, feeds, fetches = fluid.io.load_inference_model(str(tmp_path), other.exe, params_filename=combined)
        (got,) = other.exe.run(program, feed={feeds[0]: feed["ids"]}, fetch_list=fetches)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(got[len(seen) :], [bias, bias])
        assert len(table_of(other)) == len(seen)
        assert not moments(other)


@pytest.mark.parametrize("combined", [None, "all"])
def test_a_predictor_reads_tables(fresh, tmp_path, combined):
    out = build()
    fresh.start()
    train(fresh, 3)
    folder = str(tmp_path)
    fluid.io.save_inference_model(folder, ["ids"], [out], fresh.exe, fresh.main, params_filename=combined)
    feed = np.array([*table_of(fresh).ids[:4], 12345678901])[:, None]
    expected = fresh.exe.run(fresh.main.clone(for_test=True), feed={"ids": feed}, fetch_list=[out.name])[0]
    before = contents(fresh.scope)
    (got,) = fluid.inference.Predictor(folder, params_filename=combined).run({"ids": feed}).values()
    np.testing.assert_array_equal(got, expected)
    assert contents(fresh.scope) == before


def test_an_inference_model_from_memory(make_fresh, tmp_path):
    with make_fresh() as one:
        out = build()
        one.start()
        train(one, 2)
        fluid.io.save_inference_model(str(tmp_path), ["ids"], [out], one.exe, one.main, params_filename="p")
        expected = table_of(one).ids.tolist()
    program, params = (tmp_path / "__model__").read_bytes(), (tmp_path / "p").read_bytes()
    with make_fresh() as other:
        fluid.io.load_inference_model(None, other.exe, program, params)
        assert table_of(other).ids.tolist() == expected


def test_two_shards_are_merged(make_fresh, tmp_path):
    """The call that the module documents."""
    pools, folders = [np.array([-3, 5, HIGH]), np.array([LOW, 5, 8, 9])], []
    with make_fresh() as one:
        build()
        for k, pool in enumerate(pools):
            one.start()
            train(one, 3, 0, pool)
            folders.append(str(tmp_path / str(k)))
            fluid.io.save_persistables(one.exe, folders[k])
        names = ["table", *moments(one)]
        assert len(names) == 3
        scopes = fluid.Scope(), fluid.Scope()
        for scope, folder in zip(scopes, folders, strict=True):
            with fluid.scope_guard(scope):
                one.exe.run(one.startup)
                fluid.io.load_persistables(one.exe, folder, one.main)
        shards = [[scope.find_var(name).get_table().lookup([-3, LOW, 5, 8]) for name in names] for scope in scopes]
        for name in names:
            first, second = (scope.find_var(name).get_table() for scope in scopes)
            first.load(second.slabs(2), on_duplicate="replace")
        for k, name in enumerate(names):
            merged = scopes[0].find_var(name).get_table()
            assert sorted(merged.ids) == sorted({*pools[0].tolist(), *pools[1].tolist()})
            np.testing.assert_array_equal(merged.lookup([-3]), shards[0][k][:1])
            np.testing.assert_array_equal(merged.lookup([LOW, 5, 8]), shards[1][k][1:])
        one.exe.run(one.main, feed={"ids": pools[1][:, None]}, scope=scopes[0])


def test_a_table_without_its_moments_keeps_them_for_rows_that_stay(fresh, tmp_path):
    build()
    fresh.start()
    fresh.run({"ids": np.array([[1], [2], [-9]])})
    fluid.io.save_params(fresh.exe, str(tmp_path))
    table_of(fresh).erase([2])
    fresh.run({"ids": np.array([[-9], [4]])})
    names = moments(fresh)
    before = {name: table_of(fresh, name).lookup([1, -9]) for name in names}
    fluid.io.load_params(fresh.exe, str(tmp_path))
    assert table_of(fresh).ids.tolist() == [1, 2, -9]
    for name in names:
        np.testing.assert_array_equal(table_of(fresh, name).lookup([1, -9]), before[name])
        assert before[name].all() and not table_of(fresh, name).lookup([2, 4]).any()


def test_moments_alone(fresh, tmp_path):
    build("adagrad")
    fresh.start()
    fresh.run({"ids": np.array([[1], [2]])})
    (name,) = moments(fresh)
    fluid.io.save_vars(fresh.exe, str(tmp_path), vars=[name])
    saved = table_of(fresh, name).lookup([1, 2])
    fresh.run({"ids": np.array([[2], [3]])})
    rows = contents(fresh.scope)["table"]
    fluid.io.load_vars(fresh.exe, str(tmp_path), vars=[name])
    np.testing.assert_array_equal(table_of(fresh, name).lookup([1, 2, 3]), [*saved, [0.5] * D])
    assert contents(fresh.scope)["table"] == rows
    table_of(fresh).erase([1])
    before = contents(fresh.scope)
    with pytest.raises(InvalidArgumentError, match=f"(?s){name}.*Id 1 .*has no row"):
        fluid.io.load_vars(fresh.exe, str(tmp_path), vars=[name])
    assert contents(fresh.scope) == before


def test_a_program_for_tests_may_load_all(make_fresh, tmp_path):
    with make_fresh() as one:
        out = build()
        test = one.main.clone(for_test=True)
        one.start()
        train(one, 2)
        fluid.io.save_persistables(one.exe, str(tmp_path))
        saved = contents(one.scope)
        train(one, 3, 2)
        fluid.io.load_persistables(one.exe, str(tmp_path), one.main)
        fluid.io.load_params(one.exe, str(tmp_path), test)
        assert contents(one.scope) == saved
    with fluid.scope_guard(fluid.Scope()):
        fluid.io.load_params(one.exe, str(tmp_path), test)
        assert one.exe.run(test, feed={"ids": np.array([[99]])}, fetch_list=[out.name])[0].shape == (1, 2)
        assert fluid.global_scope().find_var("table").get_table().ids.tolist() == saved["table"][0]


def test_size_may_change_but_rows_must_fit(make_fresh, tmp_path):
    with make_fresh() as one:
        build()
        one.start()
        table_of(one).set([LOW, 5, HIGH], np.ones((3, D)))
        saved = contents(one.scope)
        load_files, load_pickles = _each(one, str(tmp_path)), _pickles(one, str(tmp_path))
    for load in (load_files, load_pickles):
        with make_fresh() as other:
            build(size=(3, D))
            other.start()
            load(other)
            assert contents(other.scope) == saved
        with make_fresh() as other:
            build(size=(2, D))
            other.start()
            with pytest.raises(InvalidArgumentError, match="(?s)'table'.*3 rows, more than the 2"):
                load(other)


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("into_any_ids", [True, False])
def test_the_other_kind_of_table_is_refused(make_fresh, tmp_path, way, into_any_ids):
    with make_fresh() as one:
        build(size=(5, D), any_ids=not into_any_ids)
        one.start()
        train(one, 2, pool=np.arange(5))
        load = way(one, str(tmp_path))
    with make_fresh() as other:
        build(size=(5, D), any_ids=into_any_ids)
        other.start()
        before = contents(other.scope)
        match = "is a table of any ids" if into_any_ids else "is an ordinary tensor"
        with pytest.raises(InvalidArgumentError, match=f"(?s)table.*{match}"):
            load(other)
        assert contents(other.scope) == before


@pytest.mark.parametrize("way", [_each, _combined, _bytes, _pickles, _load_of_files])
def test_a_program_that_trains_needs_its_startup_program(make_fresh, tmp_path, way):
    with make_fresh() as one:
        build()
        one.start()
        load = way(one, str(tmp_path))
    with make_fresh() as other:
        build()
        with pytest.raises(UnavailableError, match="(?s)table.*startup program"):
            load(other)
        assert not contents(other.scope)


@pytest.mark.parametrize("dtype,width", [("float64", D), ("float32", D + 1)])
def test_another_dtype_or_width(make_fresh, tmp_path, dtype, width):
    with make_fresh() as one:
        build()
        one.start()
        train(one, 1)
        loads = [way(one, str(tmp_path / way.__name__)) for way in WAYS]
    with make_fresh() as other:
        ids = fluid.data("ids", [None, 1], "int64")
        fluid.embedding(ids, [V, width], is_sparse=True, is_distributed=True, param_attr="table", dtype=dtype)
        other.start()
        before = contents(other.scope)
        table = other.main.global_block().var("table")
        with pytest.raises(InvalidArgumentError, match="(?s)table.*program"):
            fluid.io.load_vars(other.exe, str(tmp_path / "_each"), vars=[table])
        with pytest.raises(InvalidArgumentError, match="(?s)table.*program"):
            fluid.load(other.main, str(tmp_path / "_pickles" / "m"))
        assert contents(other.scope) == before and len(loads) == len(WAYS)


@pytest.fixture
def saved(fresh, tmp_path):
    """A saved table whose file is `path`, and a scope in which it has other rows."""
    build()
    fresh.start()
    train(fresh, 2)
    fluid.io.save_persistables(fresh.exe, str(tmp_path / "each"))
    fluid.io.save_persistables(fresh.exe, str(tmp_path / "one"), filename="all")
    train(fresh, 4, 2)
    fresh.folder = tmp_path
    return fresh


def refused(saved, **options):
    before = contents(saved.scope)
    with pytest.raises(EnforceNotMet, match="cannot be read"):
        fluid.io.load_persistables(saved.exe, str(saved.folder / ("one" if options else "each")), **options)
    assert contents(saved.scope) == before


def test_truncations(saved):
    for path, options in ((saved.folder / "each" / "table", {}), (saved.folder / "one" / "all", {"filename": "all"})):
        data = path.read_bytes()
        for n in [*range(60), *range(60, len(data), 37), len(data) - 1]:
            path.write_bytes(data[:n])
            refused(saved, **options)
        path.write_bytes(data + b"\0")
        refused(saved, **options)


def test_lies(saved):
    path = saved.folder / "each" / "table"
    data = path.read_bytes()
    n = struct.unpack_from("<Q", data, 4)[0]
    for lie in (n + 1, n - 1, 0, 1 << 61, (1 << 64) - 1):
        path.write_bytes(data[:4] + struct.pack("<Q", lie) + data[12:])
        refused(saved)
    path.write_bytes(data[:12] + data[20:28] + data[20:])
    refused(saved)


def test_an_id_twice_says_so(saved):
    path = saved.folder / "each" / "table"
    data = path.read_bytes()
    path.write_bytes(data[:12] + data[20:28] + data[20:])
    with pytest.raises(InvalidArgumentError, match="(?s)'table'.*is given twice"):
        fluid.io.load_vars(saved.exe, str(saved.folder / "each"), vars=["table"])


def test_ids_that_do_not_fit_their_rows(saved):
    path = str(saved.folder / "m")
    fluid.save(saved.main, path)
    state, before = fluid.load_program_state(path), contents(saved.scope)
    for ids in (state["table@IDS"][1:], state["table@IDS"].astype(np.int32), state["table@IDS"] * 0):
        with pytest.raises(InvalidArgumentError, match="'table(@IDS)?'"):
            fluid.set_program_state(saved.main, {**state, "table@IDS": ids})
    with pytest.raises(InvalidArgumentError, match="(?s)Id .*has no row"):
        fluid.set_program_state(saved.main, {**state, "table@IDS": state["table@IDS"] ^ 2})
    assert contents(saved.scope) == before


def test_a_table_set_as_an_array_is_saved_as_one(fresh, tmp_path):
    build("sgd", size=(5, D))
    fresh.start()
    fresh.scope.var("table").cell.value = None
    array = np.arange(15, dtype=np.float32).reshape(5, D)
    fresh.set("table", array)
    fluid.io.save_params(fresh.exe, str(tmp_path))
    fresh.set("table", array * 2)
    fluid.io.load_params(fresh.exe, str(tmp_path))
    np.testing.assert_array_equal(fresh.value("table"), array)


def test_variables_without_a_program_load_into_the_table_that_is_there(fresh, tmp_path):
    build()
    fresh.start()
    train(fresh, 2)
    fluid.io.save_vars(fresh.exe, str(tmp_path), vars=["table"])
    saved = contents(fresh.scope)["table"]
    train(fresh, 4, 2)
    bare = fluid.Program()
    bare.global_block().create_var(name="table", shape=[V, D], dtype="float32", persistable=True)
    fluid.io.load_persistables(fresh.exe, str(tmp_path), bare)
    assert contents(fresh.scope)["table"] == saved
