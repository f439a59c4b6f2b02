"""A PyTorch embedding and its SparseAdam, in and out: recorded with torch 2.13.0, and objects with the same methods."""

from pathlib import Path

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import exchange
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, UnavailableError

HEIGHT, WIDTH, RATE = 11, 3, 0.05
OPTIMIZERS = {
    "sparse_adam": lambda **o: fluid.optimizer.SparseAdam(RATE, **o),
    "lazy_adam": lambda **o: fluid.optimizer.Adam(RATE, lazy_mode=True, **o),
}


class Tensor:
    """What is used of a torch.Tensor on the CPU."""

    def __init__(self, array):
        self._array = array

    def detach(self):
        return Tensor(self._array)

    def clone(self):
        return Tensor(self._array.copy())

    def numpy(self):
        return self._array


class CudaTensor(Tensor):
    def detach(self):
        return self

    def numpy(self):
        raise TypeError("can't convert cuda:0 device type tensor to numpy.")


class Embedding:
    def __init__(self, array):
        self.weight = Tensor(array)


class SparseAdam:
    """What is used of a torch.optim.SparseAdam."""

    def __init__(self, weights, state=None, **options):
        group = {"lr": RATE, "betas": (0.9, 0.999), "eps": 1e-8, "maximize": False, "params": weights}
        self.param_groups, self.state = [group | options], state or {}

    def state_dict(self):
        numbers = {id(w): i for i, w in enumerate(self.param_groups[0]["params"])}
        state = {numbers[id(weight)]: value for weight, value in self.state.items()}
        return {"state": state, "param_groups": [self.param_groups[0] | {"params": list(numbers.values())}]}


@pytest.fixture(scope="module")
def recorded():
    with np.load(Path(__file__).parent / "golden" / "data" / "torch_embedding.npz") as found:
        return dict(found)


@pytest.fixture
def build(fresh):
    def make(kind="sparse_adam", height=HEIGHT, **options):
        ids, factor = fluid.data("ids", [None], "int64"), fluid.data("factor", [None, WIDTH])
        rows = fluid.embedding(ids, size=[height, WIDTH], is_sparse=True, param_attr="table")
        fresh.loss = fluid.layers.reduce_sum(fluid.layers.elementwise_mul(rows, factor))
        OPTIMIZERS[kind](**options).minimize(fresh.loss)
        fresh.start()
        return fresh

    return make


def train(fresh, recorded, first, last):
    for step in range(first, last):
        fresh.run(feed={"ids": recorded["ids"][step], "factor": recorded["factors"][step]})


def torch_side(recorded, when="middle", step=10):
    embedding = Embedding(recorded[f"weight_{when}"].copy())
    state = {key: Tensor(recorded[f"{key}_{when}"].copy()) for key in ("exp_avg", "exp_avg_sq")}
    return embedding, SparseAdam([embedding.weight], {embedding.weight: {"step": step} | state})


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("given", ["optimizer", "state_dict", "state", "arrays"])
def test_training_goes_on_where_torch_stopped(build, recorded, kind, given):
    fresh = build(kind)
    embedding, optimizer = torch_side(recorded)
    view = np.asarray(fresh.scope.find_var("table").get_tensor())
    state = optimizer.state[embedding.weight]
    if given == "arrays":
        embedding, state = embedding.weight.numpy(), {k: getattr(v, "_array", v) for k, v in state.items()}
    form = {"optimizer": optimizer, "state_dict": optimizer.state_dict(), "state": state, "arrays": state}[given]
    exchange.from_torch("table", embedding, form)
    np.testing.assert_array_equal(view, recorded["weight_middle"])
    train(fresh, recorded, 10, 20)
    np.testing.assert_allclose(fresh.value("table"), recorded["weight_end"], rtol=0, atol=1e-5)
    untouched = np.setdiff1d(np.arange(HEIGHT), recorded["ids"])
    assert untouched.size
    np.testing.assert_array_equal(fresh.value("table")[untouched], recorded["start"][untouched])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_torch_gets_what_it_would_have_had_itself(build, recorded, kind):
    fresh = build(kind)
    exchange.from_torch(fresh.main.global_block().var("table"), Embedding(recorded["start"]))
    train(fresh, recorded, 0, 10)
    embedding = Embedding(np.zeros((HEIGHT, WIDTH), np.float32))
    memory = embedding.weight.numpy()
    optimizer = SparseAdam([embedding.weight])
    exchange.to_torch("table", embedding, optimizer)
    assert embedding.weight.numpy() is memory
    np.testing.assert_allclose(memory, recorded["weight_middle"], rtol=0, atol=1e-5)
    state = optimizer.state[embedding.weight]
    assert sorted(state) == ["exp_avg", "exp_avg_sq", "step"] and state["step"] == 10 and type(state["step"]) is int
    for key in ("exp_avg", "exp_avg_sq"):
        np.testing.assert_allclose(state[key].numpy(), recorded[f"{key}_middle"], rtol=1e-5, atol=1e-7)
    # And back: not a bit changes, but in the powers of Adam, which are kept as products in float32.
    before = fresh.snapshot()
    exchange.from_torch("table", embedding, optimizer)
    after = fresh.snapshot()
    assert all(before[name] == after[name] or "_pow_" in name for name in before)


@pytest.mark.parametrize("steps", [0, 1, 700, 20_000])
def test_the_step_of_lazy_adam_is_told_from_its_powers(build, recorded, steps):
    build("lazy_adam")
    embedding, optimizer = torch_side(recorded, step=steps)
    exchange.from_torch("table", embedding, optimizer)
    target = Embedding(np.zeros((HEIGHT, WIDTH), np.float32))
    found = SparseAdam([target.weight])
    exchange.to_torch("table", target, found)
    assert found.state[target.weight]["step"] == steps


def test_an_optimizer_that_never_stepped_starts_from_zero(build, recorded):
    fresh = build()
    train(fresh, recorded, 0, 3)
    embedding = Embedding(recorded["start"])
    exchange.from_torch("table", embedding, SparseAdam([embedding.weight]))
    train(fresh, recorded, 0, 20)
    np.testing.assert_allclose(fresh.value("table"), recorded["weight_end"], rtol=0, atol=1e-5)


def test_large_tables_whose_moments_are_kept_by_row(build):
    height = 1_500_000
    fresh = build(height=height)
    fresh.run(feed={"ids": [3, height - 1], "factor": np.ones((2, WIDTH), np.float32)})
    names = [n for n in fresh.scope.local_var_names() if "moment" in n]
    assert all(isinstance(fresh.scope.find_var(n).cell.value, fluid.tables.RowState) for n in names) and len(names) == 2
    embedding = Embedding(np.zeros((height, WIDTH), np.float32))
    optimizer = SparseAdam([embedding.weight])
    exchange.to_torch("table", embedding, optimizer)
    moment = optimizer.state[embedding.weight]["exp_avg"].numpy()
    assert np.flatnonzero(moment.any(axis=1)).tolist() == [3, height - 1]
    exchange.from_torch("table", embedding, optimizer)
    assert np.array_equal(fresh.value(next(n for n in names if "moment1" in n)), moment)


def test_only_the_table(build, recorded):
    fresh = build()
    train(fresh, recorded, 0, 2)
    before = fresh.snapshot()
    target = Embedding(np.zeros((HEIGHT, WIDTH), np.float32))
    exchange.to_torch("table", target.weight)
    np.testing.assert_array_equal(target.weight.numpy(), fresh.value("table"))
    exchange.from_torch("table", recorded["start"])
    after = fresh.snapshot()
    assert {name for name in before if before[name] != after[name]} == {"table"}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda e, o: (Embedding(e.weight.numpy()[:, :2]), None), r"weight for 'table' does not fit(.|\n)*\(11, 3\)"),
        (lambda e, o: (Embedding(e.weight.numpy().astype(float)), None), "weight for 'table' does not fit"),
        (lambda e, o: (Embedding(e.weight.numpy()[:5]), o), "weight for 'table' does not fit"),
        (lambda e, o: (CudaTensor(e.weight.numpy()), None), "no array in memory(.|\n)*cpu"),
        (lambda e, o: (Embedding(e.weight.numpy()), o), "does not train this weight"),
        (lambda e, o: (e, SparseAdam([e.weight], o.state, betas=(0.9, 0.99))), r"differ in betas(.|\n)*0\.99\)"),
        (lambda e, o: (e, SparseAdam([e.weight], o.state, eps=1e-6)), "differ in eps"),
        (lambda e, o: (e, SparseAdam([e.weight], o.state, maximize=True)), "maximizes"),
        (lambda e, o: (e, {"exp_avg": e.weight}), "not that of an Adam"),
        (lambda e, o: (e, SparseAdam([e.weight, Tensor(None)], o.state).state_dict()), "does not say which"),
        (lambda e, o: (e, {"step": 3, "exp_avg": e.weight, "exp_avg_sq": Tensor(np.zeros(3))}), "exp_avg_sq for"),
    ],
)
def test_what_does_not_fit_changes_nothing(build, recorded, change, match):
    fresh = build()
    train(fresh, recorded, 0, 2)
    before = fresh.snapshot()
    embedding, optimizer = change(*torch_side(recorded))
    with pytest.raises(EnforceNotMet, match=match):
        exchange.from_torch("table", embedding, optimizer)
    assert fresh.snapshot() == before


def test_refusals_on_the_way_out(build, recorded):
    build()
    weight = np.zeros((HEIGHT, WIDTH), np.float32)
    with pytest.raises(InvalidTypeError, match="optimizer that is to be written to"):
        exchange.to_torch("table", Embedding(weight), {"step": 3})
    embedding = Embedding(weight)
    with pytest.raises(InvalidArgumentError, match="differ in eps"):
        exchange.to_torch("table", embedding, SparseAdam([embedding.weight], eps=1e-3))
    fixed = weight.copy()
    fixed.flags.writeable = False
    with pytest.raises(UnavailableError, match="cannot be written"):
        exchange.to_torch("table", Embedding(fixed))
    with pytest.raises(InvalidArgumentError, match="does not fit"):
        exchange.to_torch("table", Embedding(weight[:3]))
    assert not weight.any()


def test_refusals_on_our_side(fresh, recorded):
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.embedding(ids, size=[HEIGHT, WIDTH], is_sparse=True, param_attr="table")
    fluid.optimizer.SGD(0.1).minimize(fluid.layers.mean(rows))
    with pytest.raises(UnavailableError, match="'table' has no value"):
        exchange.from_torch("table", recorded["start"])
    fresh.start()
    embedding, optimizer = torch_side(recorded)
    with pytest.raises(InvalidArgumentError, match="as PyTorch's SparseAdam does(.|\n)*actual: sgd"):
        exchange.from_torch("table", embedding, optimizer)
    with pytest.raises(UnavailableError, match="'tabel' has no value(.|\n)*did you mean 'table'"):
        exchange.from_torch("tabel", embedding)
    with pytest.raises(InvalidTypeError, match="neither a Variable nor a name"):
        exchange.from_torch(3, embedding)


def test_tables_of_any_ids_are_refused(fresh, recorded):
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.embedding(ids, size=[HEIGHT, WIDTH], is_sparse=True, is_distributed=True, param_attr="table")
    fluid.optimizer.SparseAdam(0.1).minimize(fluid.layers.mean(rows))
    fresh.start()
    with pytest.raises(InvalidTypeError, match="'table' is a table of any ids"):
        exchange.from_torch("table", recorded["start"])
    with pytest.raises(InvalidTypeError, match="'table' is a table of any ids"):
        exchange.parameters()
