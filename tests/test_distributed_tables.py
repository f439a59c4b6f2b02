"""Tables of any ids in programs: embedding(is_sparse=True, is_distributed=True) from the line of code to the update."""

import copy
import os
import pickle

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.hash_table import HashTable, TableState

LOW, HIGH = -(2**63), 2**63 - 1
V, D = 1_000_000_000, 7

OPTIMIZERS = {
    "sgd": lambda: fluid.optimizer.SGD(0.1),
    "momentum": lambda: fluid.optimizer.Momentum(0.1, 0.9),
    "momentum_lazy": lambda: fluid.optimizer.Momentum(0.1, 0.9, use_nesterov=True, lazy_mode=True),
    "adagrad": lambda: fluid.optimizer.Adagrad(0.1, initial_accumulator_value=0.25),
    "rmsprop": lambda: fluid.optimizer.RMSProp(0.1, momentum=0.5, centered=True),
    "rmsprop_lazy": lambda: fluid.optimizer.RMSProp(0.1, lazy_mode=True),
    "ftrl": lambda: fluid.optimizer.Ftrl(0.1, l1=0.01),
    "adam": lambda: fluid.optimizer.Adam(0.1),
    "adam_lazy": lambda: fluid.optimizer.Adam(0.1, lazy_mode=True),
    "sparse_adam": lambda: fluid.optimizer.SparseAdam(0.1),
}


def embed(x, size, *, any_ids=True, **options):
    return fluid.embedding(x, size, is_sparse=True, is_distributed=any_ids, **options)


def build(one, optimizer="sparse_adam", *, size=(V, D), any_ids=True, lookups=1, attr="w", seed=11, **options):
    """A loss over rows of one table, looked up once or several times; returns (rows, loss, program for tests)."""
    one.main.random_seed = one.startup.random_seed = seed
    rows = [
        embed(fluid.data(f"x{k}", [None, 2], "int64"), list(size), any_ids=any_ids, param_attr=attr, **options)
        for k in range(lookups)
    ]
    terms = [fluid.layers.reduce_sum(fluid.layers.square(r) * (0.5 + k) + r) for k, r in enumerate(rows)]
    loss = fluid.layers.sums(terms) if lookups > 1 else terms[0]
    test = one.main.clone(for_test=True)
    if optimizer:
        OPTIMIZERS[optimizer]().minimize(loss)
    return rows, loss, test


def table_of(one, name="w"):
    return one.scope.find_var(name).get_table()


def batches(ids, n_steps=5, n=33, lookups=1, seed=1):
    rng = np.random.default_rng(seed)
    return [{f"x{k}": rng.choice(ids, (n, 2)) for k in range(lookups)} for _ in range(n_steps)]


def any_ids(n=40, seed=0):
    edges = [LOW, LOW + 1, -1, 0, 1, 2**32, HIGH]
    return np.array(edges + np.random.default_rng(seed).integers(LOW, HIGH, n - len(edges)).tolist())


@pytest.mark.parametrize("lookups", [1, 3])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_trains_as_an_ordinary_table_over_the_same_ids(make_fresh, threads, optimizer, lookups):
    ids = any_ids()
    number = {id: k for k, id in enumerate(ids.tolist())}
    feeds = batches(ids, lookups=lookups)
    with make_fresh() as one:
        _, loss, _ = build(one, optimizer, lookups=lookups)
        one.start()
        initial = np.empty((len(ids), D), np.float32)
        table_of(one).initializer.fill(initial, ids)
        losses = [one.run(feed, [loss])[0] for feed in feeds]
        rows = table_of(one).lookup(ids)
        seen = np.isin(ids, table_of(one).ids)
    with make_fresh() as one:
        _, loss, _ = build(one, optimizer, size=(len(ids), D), any_ids=False, lookups=lookups)
        one.start()
        one.set("w", initial)
        ordinary = [{k: np.vectorize(number.get)(x) for k, x in feed.items()} for feed in feeds]
        expected = [one.run(feed, [loss])[0] for feed in ordinary]
        np.testing.assert_array_equal(losses, expected)
        np.testing.assert_array_equal(rows[seen], one.value("w")[seen])
        assert seen.sum() > 30


def test_bits_do_not_depend_on_threads(make_fresh, with_threads):
    results = []
    ids = np.random.default_rng(0).integers(LOW, HIGH, 9000)
    for n_threads in (1, 2):
        with_threads(n_threads)
        with make_fresh() as one:
            _, loss, _ = build(one)
            one.start()
            losses = [one.run(feed, [loss])[0].tobytes() for feed in batches(ids, n=8000)]
            table = table_of(one)
            results.append((losses, table.ids.tobytes(), table.live_rows().tobytes()))
    assert results[0] == results[1]


def test_unseen_ids_are_zeros_and_make_no_row_outside_training(fresh):
    (rows,), loss, test = build(fresh)
    fresh.start()
    feed = {"x0": np.array([[3, -1], [LOW, 3]])}
    assert not fresh.exe.run(test, feed=feed, fetch_list=[rows])[0].any()
    assert len(table_of(fresh)) == 0
    fresh.run(feed)
    assert len(table_of(fresh)) == 3
    (out,) = fresh.exe.run(test, feed={"x0": np.array([[3, 77], [-1, LOW]])}, fetch_list=[rows])
    np.testing.assert_array_equal(out.reshape(4, D), table_of(fresh).lookup([3, 77, -1, LOW]))
    assert not out[0, 1].any() and out[0, 0].any() and len(table_of(fresh)) == 3
    # A program that only reads is no training, cloned or not.
    inference, _ = fluid.Program(), None
    with fluid.program_guard(inference, fluid.Program()):
        read = embed(fluid.data("x", [None], "int64"), [V, D], param_attr="w")
    assert not fresh.exe.run(inference, feed={"x": np.array([99])}, fetch_list=[read])[0].any()
    assert len(table_of(fresh)) == 3


def test_a_saved_model_for_inference_makes_no_rows(fresh, tmp_path):
    (rows,), _, _ = build(fresh)
    fresh.start()
    fresh.run({"x0": np.array([[0, 1]])})
    pruned = fresh.main.clone(for_test=True)
    again = fluid.Program.parse_from_string(pruned.serialize_to_string())
    before = table_of(fresh).lookup([1, 2])
    (out,) = fresh.exe.run(again, feed={"x0": np.array([[1, 2]])}, fetch_list=[rows.name])
    np.testing.assert_array_equal(out[0], before)
    assert len(table_of(fresh)) == 2


@pytest.mark.parametrize("padding", [-1, 0, 5, LOW, HIGH])
def test_padding_is_the_literal_id(fresh, padding):
    (rows,), loss, test = build(fresh, padding_idx=padding)
    fresh.start()
    feed = {"x0": np.array([[padding, 8], [padding, -2]])}
    out, grad = fresh.run(feed, [rows, "w@GRAD"])
    assert not out[:, 0].any() and out[:, 1].all()
    assert sorted(grad.rows) == [-2, 8] and sorted(table_of(fresh).ids) == [-2, 8]
    assert not fresh.exe.run(test, feed=feed, fetch_list=[rows])[0][:, 0].any()


def test_without_padding_minus_one_is_an_id(fresh):
    (rows,), _, _ = build(fresh)
    fresh.start()
    assert fresh.run({"x0": np.array([[-1, -1]])}, [rows])[0].all()
    assert table_of(fresh).ids.tolist() == [-1]


def test_two_lookups_may_have_two_paddings(fresh):
    x = fluid.data("x", [None], "int64")
    one, two = (embed(x, [V, D], param_attr="w", padding_idx=padding) for padding in (4, None))
    loss = fluid.layers.reduce_sum(one) + fluid.layers.reduce_sum(two) * 2.0
    fluid.optimizer.SGD(1.0).minimize(loss)
    fresh.start()
    grad = fresh.run({"x": np.array([4, 5])}, ["w@GRAD"])[0].merge()
    assert grad.rows.tolist() == [4, 5] and grad.value[:, 0].tolist() == [2, 3]


def test_a_fetched_gradient_shows_ids(fresh):
    _, _, _ = build(fresh, lookups=2)
    fresh.start()
    feed = {"x0": np.array([[7, LOW], [7, HIGH]]), "x1": np.array([[HIGH, -5]])}
    (grad,) = fresh.run(feed, ["w@GRAD"])
    given = grad.rows.tolist()
    assert sorted(given) == sorted([7, LOW, 7, HIGH, HIGH, -5])
    merged = grad.merge()
    assert merged.rows.tolist() == [LOW, -5, 7, HIGH]
    np.testing.assert_array_equal(merged.value[2], grad.value[grad.rows == 7].sum(axis=0))
    table_of(fresh).erase([7])
    assert grad.rows.tolist() == given
    with pytest.raises(ValueError, match="no dense form"):
        grad.to_dense()


@pytest.mark.parametrize("clip", ["value", "norm", "global"])
def test_clips_work_on_rows(fresh, clip):
    clips = {
        "value": fluid.clip.GradientClipByValue(0.5),
        "norm": fluid.clip.GradientClipByNorm(0.5),
        "global": fluid.clip.GradientClipByGlobalNorm(0.5),
    }
    rows = embed(fluid.data("x", [None], "int64"), [V, D], param_attr="w")
    fluid.optimizer.SGD(1.0, grad_clip=clips[clip]).minimize(fluid.layers.reduce_sum(rows * 3.0))
    fresh.start()
    ids = np.array([HIGH, 2, HIGH])
    first = np.empty((2, D), np.float32)
    table_of(fresh).initializer.fill(first, ids[:2])
    fresh.run({"x": ids})
    step = first - table_of(fresh).lookup(ids[:2])
    if clip == "value":
        np.testing.assert_allclose(step, 0.5, rtol=1e-5)
    else:
        np.testing.assert_allclose(np.sqrt((step.astype(np.float64) ** 2).sum()), 0.5, rtol=1e-5)
        np.testing.assert_allclose(step[0], 2 * step[1], rtol=1e-4)


# -------------------------------------------------------------------------------------------------------------- errors


def test_too_many_ids_name_the_table_and_the_layer(fresh):
    _, loss, _ = build(fresh, size=(3, D))
    fresh.start()
    fresh.run({"x0": np.array([[1, 2]])})
    before = table_of(fresh).live_rows().copy(), fresh.value("w_step_0")
    with pytest.raises(IndexError, match="Table 'w' is full.*dict_size 3") as error:
        fresh.run({"x0": np.array([[1, 8], [9, 8]])})
    assert "test_distributed_tables.py" in error.value.where
    assert (table_of(fresh).live_rows() == before[0]).all() and fresh.value("w_step_0") == before[1]
    fresh.run({"x0": np.array([[9, 1]])})


def test_weight_decay_is_refused_by_name(fresh):
    rows = embed(fluid.data("x", [None], "int64"), [V, D], param_attr="w")
    loss = fluid.layers.mean(rows)
    for optimizer in (fluid.optimizer.SGD, fluid.optimizer.Adam):
        with pytest.raises(ValueError, match="'w' takes any ids .* cannot have weight decay"):
            optimizer(0.1, regularization=fluid.regularizer.L2Decay(0.1)).minimize(loss)


def test_dense_ops_on_the_table_are_refused_by_name(fresh):
    build(fresh)
    w = fresh.main.global_block().var("w")
    norm = fluid.layers.reduce_sum(w)
    fresh.start()
    with pytest.raises(ValueError, match="Op reduce_sum reads 'w' as an array, but it is a table of any ids"):
        fresh.run({"x0": np.array([[1, 2]])}, [norm])
    moment = fluid.layers.reduce_sum(fresh.main.global_block().var("w_moment1_0"))
    with pytest.raises(ValueError, match="'w_moment1_0' as an array, but it is a state of a table"):
        fresh.run({"x0": np.array([[1, 2]])}, [moment])
    assert len(table_of(fresh)) == 0


def test_initial_arrays_are_refused(fresh):
    array = fluid.initializer.NumpyArrayInitializer(np.zeros((5, D), np.float32))
    ids = fluid.data("x", [None], "int64")
    with pytest.raises(ValueError, match="cannot begin as a given array"):
        embed(ids, [5, D], param_attr=fluid.ParamAttr("w", initializer=array))
    assert not fresh.main.all_parameters() and not fresh.startup.all_parameters()


def test_a_shared_table_is_of_one_kind(fresh):
    ids = fluid.data("x", [None], "int64")
    embed(ids, [V, D], param_attr="w")
    for sparse, distributed in ((True, False), (False, False)):
        with pytest.raises(ValueError, match="shares the table 'w'"):
            fluid.embedding(ids, [V, D], is_sparse=sparse, is_distributed=distributed, param_attr="w")


def test_is_distributed_alone_is_an_ordinary_table_and_warns(fresh):
    ids = fluid.data("x", [None], "int64")
    with pytest.warns(UserWarning, match="is_distributed has no effect .* needs is_sparse=True"):
        rows = fluid.embedding(ids, [9, D], is_distributed=True, param_attr="w")
    fresh.start()
    with pytest.raises(IndexError):
        fresh.run({"x": np.array([9])}, [rows])


@pytest.mark.parametrize("padding", [HIGH + 1, LOW - 1])
def test_a_padding_that_is_no_int64_is_refused(fresh, padding):
    with pytest.raises(ValueError, match="is no id"):
        embed(fluid.data("x", [None], "int64"), [V, D], padding_idx=padding)


# ----------------------------------------------------------------------------------------------------------- the layers


def test_sparse_embedding(fresh):
    entry = fluid.contrib.CountFilterEntry(2)
    word = fluid.layers.data("word", [1], dtype="int64", lod_level=1)
    rows = fluid.contrib.layers.sparse_embedding(word, [V, D], padding_idx=-3, entry=entry, param_attr="w")
    assert rows.name.startswith("sparse_embedding_0") and rows.shape == (-1, D) and rows.lod_level == 1
    fluid.optimizer.SGD(1.0).minimize(fluid.layers.reduce_sum(rows))
    fresh.start()
    words = fluid.create_lod_tensor(np.array([[5], [-3], [6]]), [[2, 1]])
    assert not fresh.run({"word": words}, [rows], return_numpy=False)[0].__array__().any()
    out, grad = fresh.run({"word": words}, [rows, "w@GRAD"], return_numpy=False)
    assert np.asarray(out)[[0, 2]].all() and not np.asarray(out)[1].any() and out.lod() == [[0, 2, 3]]
    assert grad.rows.tolist() == [5, 6]
    with pytest.raises(TypeError, match="entry of sparse_embedding"):
        fluid.contrib.layers.sparse_embedding(word, [V, D], entry="count_filter_entry:10")


def test_sparse_embedding_for_tests(fresh):
    word = fluid.layers.data("word", [1], dtype="int64")
    rows = fluid.contrib.layers.sparse_embedding(word, [V, D], is_test=True, param_attr="w")
    fluid.optimizer.SGD(1.0).minimize(fluid.layers.reduce_sum(fluid.layers.fc(rows, 2)))
    fresh.start()
    assert not fresh.run({"word": np.array([[1], [2]])}, [rows])[0].any()
    assert len(table_of(fresh)) == 0


@pytest.mark.parametrize("initializer", ["Constant", "Uniform", "Normal", "TruncatedNormal", "Xavier", "MSRA"])
def test_rows_begin_as_the_initializer_says(fresh, initializer):
    options = {"Constant": {"value": 0.5}, "Xavier": {"fan_in": 30}, "MSRA": {"fan_in": 30}}.get(initializer, {})
    attr = fluid.ParamAttr("w", initializer=getattr(fluid.initializer, initializer)(**options))
    (rows,), _, _ = build(fresh, attr=attr)
    fresh.start()
    ids = np.arange(10_000).reshape(5000, 2)
    (out,) = fresh.run({"x0": ids}, [rows])
    deviation = {
        "Constant": 0, "Uniform": 3**-0.5, "Normal": 1, "TruncatedNormal": 0.88, "Xavier": (2 / 37) ** 0.5,
        "MSRA": (2 / 30) ** 0.5,
    }[initializer]  # fmt: skip
    assert abs(out.std() - deviation) < 0.02 * deviation + 1e-6
    assert abs(out.mean() - (0.5 if initializer == "Constant" else 0)) < 0.02


def test_starting_again_begins_anew_and_seeds_make_rows(make_fresh):
    rows = []
    for seed in (3, 3, 4):
        with make_fresh() as one:
            (out,), _, _ = build(one, seed=seed)
            feed = {"x0": np.array([[1, 2]])}
            one.start()
            rows.append(one.run(feed, [out])[0])
            one.run(feed)
            one.start()
            assert len(table_of(one)) == 0
            np.testing.assert_array_equal(one.run(feed, [out])[0], rows[-1])
    assert (rows[0] == rows[1]).all() and (rows[0] != rows[2]).any()


# ------------------------------------------------------------------------------------------ programs, processes, memory


def test_clones_copies_pickles_and_files_of_a_program(fresh):
    _, loss, _ = build(fresh)
    fresh.start()
    feed = {"x0": np.array([[3, LOW]])}
    fresh.run(feed)
    copies = [fresh.main.clone(), copy.deepcopy(fresh.main), pickle.loads(pickle.dumps(fresh.main))]
    copies.append(fluid.Program.parse_from_string(fresh.main.serialize_to_string()))
    for k, program in enumerate(copies):
        fresh.exe.run(program, feed={"x0": np.array([[3, k]])})
        assert table_of(fresh).steps == k + 2
    assert table_of(fresh).ids.tolist() == [3, LOW, 0, 1, 2]
    startup = fluid.Program.parse_from_string(fresh.startup.serialize_to_string())
    fresh.exe.run(startup)
    assert isinstance(table_of(fresh), HashTable) and len(table_of(fresh)) == 0
    assert isinstance(table_of(fresh, "w_moment1_0"), TableState)


def test_a_forked_child_trains_a_table_of_its_own(fresh, threads):
    _, loss, _ = build(fresh)
    fresh.start()
    feeds = batches(any_ids(), n_steps=4)
    for feed in feeds[:2]:
        fresh.run(feed)
    before = table_of(fresh).live_rows().copy()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, np.array([fresh.run(feed, [loss])[0] for feed in feeds[2:]]).tobytes())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (table_of(fresh).live_rows() == before).all()
    expected = np.array([fresh.run(feed, [loss])[0] for feed in feeds[2:]])
    assert os.read(reader, 1000) == expected.tobytes()


def test_every_scope_has_a_table_of_its_own(fresh):
    build(fresh)
    other = fluid.Scope()
    for scope in (fresh.scope, other):
        fresh.exe.run(fresh.startup, scope=scope)
    fresh.run({"x0": np.array([[1, 2]])})
    assert len(table_of(fresh)) == 2 and len(other.find_var("w").get_table()) == 0


def test_memory_follows_the_ids_seen(fresh):
    def anonymous():
        with open("/proc/self/status") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("RssAnon"))

    _, loss, _ = build(fresh, size=(V, 16))
    fresh.start()
    ids = np.random.default_rng(0).integers(LOW, HIGH, (20, 10_000, 2))
    fresh.run({"x0": ids[0]})
    before, live = anonymous(), len(table_of(fresh))
    for part in ids[1:]:
        fresh.run({"x0": part})
    table = table_of(fresh)
    added = (len(table) - live) * 16 * 4 * 3
    assert table.nbytes < 1.25 * len(table) * 16 * 4 * 3
    # Of so small a table the last pages weigh more: three arrays and two more may each end in a large one.
    assert anonymous() - before < 1.25 * added + 5 * 2**21


def test_an_array_set_before_the_start_is_an_ordinary_table(fresh):
    (rows,), loss, _ = build(fresh, "sgd", size=(5, D))
    fresh.start()
    fresh.scope.var("w").cell.value = None
    fresh.set("w", np.ones((5, D), np.float32))
    assert (fresh.run({"x0": np.array([[4, 0]])}, [rows])[0] == 1).all()
    assert (fresh.value("w")[[1, 2, 3]] == 1).all() and (fresh.value("w")[[0, 4]] < 1).all()


def test_nan_is_found_in_tables(fresh):
    build(fresh, "sgd")
    fresh.start()
    fresh.run({"x0": np.array([[1, 2]])})
    table_of(fresh).set([1], np.full((1, D), np.inf))
    fluid.set_flags({"FLAGS_check_nan_inf": True})
    try:
        with pytest.raises(FloatingPointError):
            fresh.run({"x0": np.array([[1, 2]])})
    finally:
        fluid.set_flags({"FLAGS_check_nan_inf": False})
