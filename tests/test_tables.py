"""State of large tables: memory for the rows touched, and everything else as if it were an array."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import tables
from fluidlite._kernels import row_optimizers as kernels
from fluidlite.tables import RowState, RowStore, joint_store

V, D = 11, 3


@pytest.fixture
def small_states(monkeypatch):
    """Tables of any size have a RowState."""
    monkeypatch.setattr(tables, "SMALLEST_STATE", 0)


def chunks(seed, n=7, height=V):
    rng = np.random.default_rng(seed)
    return [(rng.integers(0, height, n), rng.normal(size=(n, D)).astype(np.float32), None)]


OPTIONS = {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8}


@pytest.mark.parametrize("n", [0, 1, 7, 5000])
@pytest.mark.parametrize("name", ["adam", "sparse_adam"])
def test_slots_give_the_bits_of_arrays(threads, name, n):
    height = 3001 if n > 100 else V
    param = np.random.default_rng(0).normal(size=(height, D)).astype(np.float32)
    other = param.copy()
    moments = np.zeros((2, height, D), np.float32)
    store = RowStore(height, 2 * D, np.float32)
    counters = [np.zeros(1, np.int64)] if name == "sparse_adam" else [np.full(1, b, np.float32) for b in (0.9, 0.99)]
    others = [c.copy() for c in counters]
    for step in range(4):
        batch = chunks(step, n, height)
        getattr(kernels, name + "_rows")(param, *moments, batch, *counters, **OPTIONS)
        getattr(kernels, name + "_slots")(other, store.slots, store.data, store.count, batch, *others, **OPTIONS)
    assert param.tobytes() == other.tobytes()
    assert [c.tobytes() for c in counters] == [c.tobytes() for c in others]
    touched = np.flatnonzero(store.slots)
    assert sorted(store.slots[touched]) == list(range(1, int(store.count[0]) + 1))
    lines = store.data[store.slots[touched] - 1]
    np.testing.assert_array_equal(lines, np.concatenate([moments[0][touched], moments[1][touched]], axis=1))
    assert not store.data[int(store.count[0]) :].any()


def test_slots_do_not_depend_on_threads(with_threads):
    stores = []
    for threads in (1, 2):
        with_threads(threads)
        store, param = RowStore(5000, 2 * D, np.float32), np.zeros((5000, D), np.float32)
        for step in range(3):
            kernels.sparse_adam_slots(
                param, store.slots, store.data, store.count, chunks(step, 4000, 5000), np.array([step]), **OPTIONS
            )
        stores.append((store.slots.tobytes(), store.data.tobytes(), param.tobytes()))
    assert stores[0] == stores[1]


@pytest.mark.parametrize("id", [-1, V])
def test_an_id_outside_the_table_changes_nothing(id):
    store, param, step = RowStore(V, 2 * D, np.float32), np.ones((V, D), np.float32), np.zeros(1, np.int64)
    batch = [(np.array([1, id]), np.ones((2, D), np.float32), None)]
    with pytest.raises(IndexError):
        kernels.sparse_adam_slots(param, store.slots, store.data, store.count, batch, step, **OPTIONS)
    assert (param == 1).all() and not store.slots.any() and not store.count[0] and not step[0]


def test_wrong_arguments_are_refused_by_name():
    store, param = RowStore(V, 2 * D, np.float32), np.ones((V, D), np.float32)
    good = {"slots": store.slots, "state": store.data, "count": store.count}
    for name, bad in (("slots", store.slots[:-1]), ("state", store.data[:, :-1].copy()), ("count", np.array([V + 1]))):
        with pytest.raises(ValueError, match=f"`{name}`"):
            kernels.sparse_adam_slots(
                param, chunks=chunks(0), step=np.zeros(1, np.int64), **(good | {name: bad}), **OPTIONS
            )
    with pytest.raises(TypeError, match="`slots` must be an array of int32"):
        kernels.sparse_adam_slots(
            param, chunks=chunks(0), step=np.zeros(1, np.int64), **(good | {"slots": np.zeros(V)}), **OPTIONS
        )


def test_states_share_a_store_from_their_first_use():
    one, two = RowState((V, D), np.float32), RowState((V, D), np.float32)
    store = joint_store((one, two))
    assert store.data.shape == (V, 2 * D)
    store.slots[4], store.count[0] = 1, 1
    store.data[0] = range(2 * D)
    assert joint_store((one, two)) is store
    assert joint_store((two, one)) is None
    assert joint_store((one, RowState((V, D), np.float32))) is None
    assert joint_store((np.zeros((V, D), np.float32), two)) is None
    np.testing.assert_array_equal(one.to_dense()[4], [0, 1, 2])
    np.testing.assert_array_equal(two.to_dense()[4], [3, 4, 5])
    assert two.touched_rows().tolist() == [4] and not np.delete(two.to_dense(), 4, axis=0).any()


def word_program(optimizer):
    rows = fluid.embedding(fluid.data("ids", [None], "int64"), [V, D], is_sparse=True, param_attr="table")
    loss = fluid.layers.reduce_sum(fluid.layers.square(rows))
    optimizer.minimize(loss)
    return loss


# How each is made, and its states.
_LAZY_RMSPROP = {"momentum": 0.5, "lazy_mode": True}
OPTIMIZERS = {
    "sparse_adam": (lambda: fluid.optimizer.SparseAdam(0.1), ["moment1", "moment2"]),
    "lazy_adam": (lambda: fluid.optimizer.Adam(0.1, lazy_mode=True), ["moment1", "moment2"]),
    "lazy_momentum": (lambda: fluid.optimizer.Momentum(0.1, 0.9, lazy_mode=True), ["velocity"]),
    "adagrad": (lambda: fluid.optimizer.Adagrad(0.1), ["moment"]),
    "lazy_rmsprop": (lambda: fluid.optimizer.RMSProp(0.1, **_LAZY_RMSPROP), ["mean_square", "momentum"]),
    "lazy_centered_rmsprop": (
        lambda: fluid.optimizer.RMSProp(0.1, centered=True, **_LAZY_RMSPROP),
        ["mean_square", "momentum", "mean_grad"],
    ),
    "ftrl": (lambda: fluid.optimizer.Ftrl(0.1, l1=0.01), ["squared", "linear"]),
}


def train(make_fresh, name, steps=4):
    with make_fresh() as fresh:
        fresh.startup.random_seed = 5
        make, states = OPTIMIZERS[name]
        word_program(make())
        fresh.start()
        tensors = [fresh.scope.find_var(f"table_{state}_0").get_tensor() for state in states]
        kinds = {type(tensor.value) for tensor in tensors}
        for step in range(steps):
            fresh.run({"ids": np.random.default_rng(step).integers(0, V, 5)})
        assert {type(tensor.value) for tensor in tensors} == kinds
        (kind,) = kinds
        if kind is RowState:
            assert len({id(tensor.value.store) for tensor in tensors}) == 1
        return kind, fresh.snapshot()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_gives_the_same_bits_with_and_without(make_fresh, monkeypatch, name):
    kind, arrays = train(make_fresh, name)
    assert kind is np.ndarray
    monkeypatch.setattr(tables, "SMALLEST_STATE", 0)
    kind, states = train(make_fresh, name)
    assert kind is RowState
    assert states == arrays


def test_a_moment_reads_sets_and_fetches_as_an_array(fresh, small_states):
    word_program(fluid.optimizer.SparseAdam(0.1))
    fresh.start()
    tensor = fresh.scope.find_var("table_moment1_0").get_tensor()
    assert tensor.shape() == [V, D] and not np.array(tensor).any()
    fresh.run({"ids": [3, 5]})
    assert np.flatnonzero(np.array(tensor).any(axis=1)).tolist() == [3, 5]
    (fetched,) = fresh.run({"ids": [3, 5]}, ["table_moment1_0"])
    np.testing.assert_array_equal(fetched, np.array(tensor))
    tensor.set(np.zeros((V, D), np.float32), fluid.CPUPlace())
    assert isinstance(tensor.value, RowState) and tensor.value.is_empty
    fresh.run({"ids": [3, 5]})
    assert np.flatnonzero(np.array(tensor).any(axis=1)).tolist() == [3, 5], "one of the two is an array now"
    fresh.start()
    tensor = fresh.scope.find_var("table_moment1_0").get_tensor()
    assert isinstance(tensor.value, RowState) and tensor.value.is_empty


def test_an_op_that_knows_arrays_gets_an_array(fresh, small_states):
    word_program(fluid.optimizer.SparseAdam(0.1))
    largest = fluid.layers.reduce_max(fresh.main.global_block().var("table_moment1_0"))
    fresh.start()
    fresh.run({"ids": [3]})
    assert fresh.run({"ids": [3]}, [largest])[0].shape == (1,)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_memory_follows_the_rows_touched(make_fresh, name):
    make, states = OPTIMIZERS[name]
    with make_fresh() as fresh:
        rows = fluid.embedding(fluid.data("ids", [None], "int64"), [1 << 20, 8], is_sparse=True, param_attr="table")
        make().minimize(fluid.layers.reduce_sum(rows))
        fresh.start()
        fresh.run({"ids": np.arange(0, 1 << 20, 1 << 10)})
        store = fresh.scope.find_var(f"table_{states[0]}_0").get_tensor().value.store
        assert store.data.shape == (1 << 20, 8 * len(states))
        assert store.count[0] == 1 << 10
        assert np.flatnonzero(store.data.any(axis=1)).max() < 1 << 10


@pytest.mark.parametrize(
    ("make", "state"),
    [
        (lambda: fluid.optimizer.Momentum(0.1, 0.9), "velocity"),
        (lambda: fluid.optimizer.RMSProp(0.1), "mean_square"),
        (lambda: fluid.optimizer.Adagrad(0.1, initial_accumulator_value=0.5), "moment"),
    ],
    ids=["momentum", "rmsprop", "adagrad that starts at 0.5"],
)
def test_states_of_every_row_are_arrays(fresh, small_states, make, state):
    word_program(make())
    fresh.start()
    fresh.run({"ids": [3, 5]})
    assert type(fresh.scope.find_var(f"table_{state}_0").get_tensor().value) is np.ndarray


def test_a_dense_gradient_turns_the_state_into_an_array(fresh, small_states):
    """Adagrad does not know before the first step whether a parameter's gradient is sparse."""
    rows = fluid.embedding(fluid.data("ids", [None], "int64"), [V, D], is_sparse=False, param_attr="table")
    fluid.optimizer.Adagrad(0.1).minimize(fluid.layers.reduce_sum(rows))
    fresh.start()
    tensor = fresh.scope.find_var("table_moment_0").get_tensor()
    assert type(tensor.value) is RowState
    fresh.run({"ids": [3, 5, 5]})
    assert type(tensor.value) is np.ndarray
    np.testing.assert_array_equal(fresh.value("table_moment_0")[[2, 3, 5]], [[0] * D, [1] * D, [4] * D])
