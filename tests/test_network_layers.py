"""Normalization, recurrent and convolution layers in programs: what recordings do not reach."""

import numpy as np
import pytest

import fluidlite as fluid


def uniform(*shape, seed=0):
    return np.random.RandomState([seed, *shape]).uniform(-1, 1, shape).astype(np.float32)


# ------------------------------------------------------------------------------------------------------- normalization


def test_batch_norm_trains_on_batches_and_tests_on_moving_statistics(fresh):
    x = fluid.data("x", [None, 3])
    out = fluid.layers.batch_norm(x, momentum=0.5, moving_mean_name="mean", moving_variance_name="variance")
    test = fresh.main.clone(for_test=True)
    fresh.start()
    mean, variance = np.zeros(3), np.ones(3)
    for step in range(4):
        batch = 3 * uniform(7 + step, 3) + 1
        (value,) = fresh.run({"x": batch}, [out])
        np.testing.assert_allclose(value.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(value.var(axis=0), 1, rtol=1e-4)
        mean, variance = (mean + batch.mean(axis=0)) / 2, (variance + batch.var(axis=0)) / 2
    np.testing.assert_allclose(fresh.value("mean"), mean, rtol=1e-5)
    np.testing.assert_allclose(fresh.value("variance"), variance, rtol=1e-5)
    before = fresh.snapshot()
    (value,) = fresh.exe.run(test, feed={"x": batch[:1]}, fetch_list=[out.name], scope=fresh.scope)
    np.testing.assert_allclose(value, (batch[:1] - mean) / np.sqrt(variance + 1e-5), rtol=1e-4)
    assert fresh.snapshot() == before


def test_an_empty_batch_leaves_the_moving_statistics(fresh):
    out = fluid.layers.batch_norm(fluid.data("x", [None, 3]), moving_mean_name="mean")
    fresh.start()
    fresh.run({"x": uniform(5, 3)}, [out])
    before = fresh.snapshot()
    (value,) = fresh.run({"x": np.zeros((0, 3), np.float32)}, [out])
    assert value.shape == (0, 3) and fresh.snapshot() == before


def test_moving_statistics_are_not_trained(fresh):
    loss = fluid.layers.mean(fluid.layers.square(fluid.layers.batch_norm(fluid.data("x", [None, 3]))))
    _, pairs = fluid.optimizer.SGD(0.1).minimize(loss)
    assert sorted(p.name for p, _ in pairs) == ["batch_norm_0.b_0", "batch_norm_0.w_0"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: fluid.layers.batch_norm(x, bias_attr=False), "bias_attr is False"),
        (lambda x: fluid.layers.batch_norm(x, data_layout="CHW"), "does not find the channels"),
        (lambda x: fluid.layers.layer_norm(x, param_attr=False), "param_attr is False"),
        (lambda x: fluid.layers.layer_norm(x, begin_norm_axis=0), "cannot be normalized from dimension 0"),
    ],
)
def test_normalization_refuses(fresh, build, message):
    with pytest.raises(ValueError, match=message):
        build(fluid.data("x", [None, 3]))


# ----------------------------------------------------------------------------------------------------------- recurrent


def recurrent(kind, x, **options):
    if kind == "gru":
        return fluid.layers.dynamic_gru(x, 4, **options)
    return fluid.layers.dynamic_lstm(x, 16, **options)[0]


@pytest.mark.parametrize(("kind", "width"), [("gru", 12), ("lstm", 16)])
@pytest.mark.parametrize("is_reverse", [False, True])
def test_a_sequence_does_not_know_its_neighbours(fresh, kind, width, is_reverse):
    """Each sequence alone gives what it gives in a batch with others, up to rounding."""
    out = recurrent(kind, fluid.data("x", [None, width], lod_level=1), is_reverse=is_reverse)
    fresh.start()
    lengths = [2, 5, 0, 3, 5, 1]
    rows = uniform(sum(lengths), width)

    def run(rows, lengths):
        (value,) = fresh.run({"x": fluid.create_lod_tensor(rows, [lengths])}, [out], return_numpy=False)
        assert value.recursive_sequence_lengths() == [lengths]
        return np.array(value)

    together, begin = run(rows, lengths), 0
    for length in lengths:
        alone = run(rows[begin : begin + length], [length])
        np.testing.assert_allclose(together[begin : begin + length], alone, rtol=1e-5, atol=1e-6)
        begin += length


def test_dynamic_gru_is_gru_unit_step_by_step(fresh):
    """With one weight and one bias, on sequences of three steps."""
    attrs = {"param_attr": "w", "bias_attr": "b"}
    x = fluid.data("x", [None, 12], lod_level=1)
    whole = fluid.layers.dynamic_gru(x, 4, **attrs)
    steps, hidden = [fluid.data(f"x{t}", [None, 12]) for t in range(3)], fluid.data("h", [None, 4])
    states = []
    for step in steps:
        hidden = fluid.layers.gru_unit(step, hidden, 12, **attrs)[0]
        states.append(hidden)
    fresh.start()
    rows = uniform(5, 3, 12)
    feed = {f"x{t}": rows[:, t].copy() for t in range(3)} | {"h": np.zeros((5, 4), np.float32)}
    feed["x"] = fluid.create_lod_tensor(rows.reshape(15, 12), [[3] * 5])
    value, *others = fresh.run(feed, [whole, *states], return_numpy=False)
    expected = np.stack([np.array(o) for o in others], axis=1).reshape(15, 4)
    np.testing.assert_allclose(np.array(value), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "width"), [("gru", 12), ("lstm", 16)])
def test_recurrent_layers_learn_to_remember_the_first_step(fresh, kind, width):
    fresh.main.random_seed = fresh.startup.random_seed = 7
    x, y = fluid.data("x", [None, 1], lod_level=1), fluid.data("y", [None, 1])
    hidden = recurrent(kind, fluid.layers.fc(x, width))
    loss = fluid.layers.mean(fluid.layers.square_error_cost(fluid.layers.fc(hidden, 1), y))
    fluid.optimizer.Adam(0.02).minimize(loss)
    fresh.start()
    lengths = [2, 4, 3, 1]
    rows = uniform(10, 1)
    target = np.repeat(rows[np.cumsum([0, *lengths[:-1]])], lengths, axis=0)
    feed = {"x": fluid.create_lod_tensor(rows, [lengths]), "y": target}
    losses = [fresh.run(feed, [loss])[0].item() for _ in range(300)]
    assert losses[-1] < 0.02 * losses[0]


def test_the_cell_of_an_lstm_has_a_gradient(fresh):
    """Fluid's leaves it out."""
    x = fluid.data("x", [None, 8], lod_level=1)
    x.stop_gradient = False
    cell = fluid.layers.dynamic_lstm(x, 8)[1]
    (grad,) = fluid.gradients(fluid.layers.mean(cell), x)
    fresh.start()
    feed = {"x": fluid.create_lod_tensor(uniform(5, 8), [[2, 3]])}
    (value,) = fresh.run(feed, [grad], return_numpy=False)
    assert np.abs(np.array(value)).max() > 1e-3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: fluid.layers.dynamic_gru(x, 5), "does not fit its size"),
        (lambda x: fluid.layers.dynamic_gru(x, 4, gate_activation="exp"), "gate_activation is no activation"),
        (lambda x: fluid.layers.dynamic_lstm(x, 12, bias_attr=False), "needs its bias"),
        (lambda x: fluid.layers.dynamic_lstm(x, 12, h_0=x), "only one of h_0 and c_0"),
        (lambda x: fluid.layers.gru_unit(x, fluid.data("h", [None, 3]), 12), "HiddenPrev|'h' has another shape"),
        (lambda x: fluid.layers.gru_unit(x, fluid.data("h", [None, 4]), 12, activation="exp"), "no such activation"),
    ],
)
def test_recurrent_layers_refuse(fresh, build, message):
    with pytest.raises(ValueError, match=message):
        build(fluid.data("x", [None, 12], lod_level=1))


def test_recurrent_layers_want_sequences(fresh):
    h_0 = fluid.data("h_0", [None, 4])
    out = fluid.layers.dynamic_gru(fluid.data("x", [None, 12], lod_level=1), 4, h_0=h_0)
    fresh.start()
    rows, states = uniform(5, 12), uniform(3, 4)
    with pytest.raises(ValueError, match="'x' has no LoD"):
        fresh.run({"x": rows, "h_0": states}, [out])
    with pytest.raises(ValueError, match="'h_0' does not have one row for each sequence"):
        fresh.run({"x": fluid.create_lod_tensor(rows, [[2, 3]]), "h_0": states}, [out])


def test_gru_unit_takes_the_activation_it_is_given(fresh):
    """Fluid computes tanh whatever is given."""
    h = fluid.data("h", [None, 4])
    out = fluid.layers.gru_unit(fluid.data("x", [None, 12]), h, 12, activation="identity")[0]
    fresh.start()
    feed = {"x": 100 * uniform(5, 12), "h": uniform(5, 4)}
    assert np.abs(fresh.run(feed, [out])[0]).max() > 5


# --------------------------------------------------------------------------------------------------------- convolution


def test_a_convolution_in_pieces_is_the_whole(fresh, monkeypatch):
    """Windows are copied piece by piece; how many images a piece has changes no result."""
    from fluidlite.ops import convolution

    x = fluid.data("x", [None, 3, 6, 5])
    out = fluid.layers.conv2d(x, 4, 3, padding=1)
    (grad,) = fluid.gradients(fluid.layers.reduce_sum(fluid.layers.square(out)), fresh.main.all_parameters()[0])
    fresh.start()
    feed = {"x": uniform(7, 3, 6, 5)}
    whole = fresh.run(feed, [out, grad])
    monkeypatch.setattr(convolution, "_WINDOW_BYTES", 3 * 3 * 9 * 30 * 4)
    for one, other in zip(whole, fresh.run(feed, [out, grad]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: fluid.layers.conv2d(x, 4, 9), "no window fits"),
        (lambda x: fluid.layers.conv2d(x, 4, 3, groups=2), "cannot be cut into 2 groups"),
        (lambda x: fluid.layers.conv2d(x, 4, 3, param_attr=False), "param_attr is False"),
        (lambda x: fluid.layers.conv2d(x, 4, 3, padding="full"), "no such padding"),
        (lambda x: fluid.layers.conv2d(x, 4, [3, 3, 3]), "filter_size is not one int"),
        (lambda x: fluid.layers.conv2d(x, 4, 3, padding=[[1, 0], [0, 0], [0, 0], [0, 0]]), "height and the width"),
        (lambda x: fluid.layers.conv2d(x, 4, 3, data_format="CHW"), "no batch of images"),
        (lambda x: fluid.layers.pool2d(x), "needs a pool_size"),
        (lambda x: fluid.layers.pool2d(x, 2, "sum"), "no such pooling_type"),
        (lambda x: fluid.layers.pool2d(x, 2, ceil_mode=True, pool_padding="VALID"), "no ceil_mode"),
    ],
)
def test_convolution_refuses(fresh, build, message):
    with pytest.raises(ValueError, match=message):
        build(fluid.data("x", [None, 3, 6, 5]))


def test_images_of_unknown_size(fresh):
    x = fluid.data("x", [None, 3, None, None])
    hidden = fluid.layers.conv2d(x, 4, 3, stride=2)
    out = fluid.layers.pool2d(hidden, global_pooling=True, pool_type="avg")
    assert hidden.shape == (-1, 4, -1, -1) and out.shape == (-1, 4, 1, 1)
    fresh.start()
    for height, width in ((7, 9), (3, 4)):
        value, mean = fresh.run({"x": uniform(2, 3, height, width)}, [hidden, out])
        assert value.shape == (2, 4, (height - 1) // 2, (width - 1) // 2)
        np.testing.assert_allclose(mean[:, :, 0, 0], value.mean(axis=(2, 3)), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="no window fits into the images 'x'"):
        fresh.run({"x": uniform(2, 3, 2, 4)}, [out])
