"""Layers over sequences: what they refuse and in which words, and sequences of words from the feed to the table."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError, InvalidTypeError

layers = fluid.layers
LENGTHS = [[2, 0, 3]]


def steps(width=2, lengths=LENGTHS, dtype="float32"):
    rows = sum(lengths[-1])
    return fluid.create_lod_tensor(np.arange(rows * width).reshape(rows, width).astype(dtype), lengths)


def declare(name="x", width=2, dtype="float32", lod_level=1):
    return fluid.data(name, [None, width], dtype, lod_level=lod_level)


NEED_LOD = {
    "SequencePool": lambda x: layers.sequence_pool(x, "sum"),
    "SequenceConv": lambda x: layers.sequence_conv(x, 3),
    "SequenceSoftmax": lambda x: layers.sequence_softmax(layers.reduce_sum(x, 1)),
    "SequencePad": lambda x: layers.sequence_pad(x, layers.fill_constant([1], "float32", 0.0))[0],
    "SequenceReshape": lambda x: layers.sequence_reshape(x, 4),
    "SequenceReverse": layers.sequence_reverse,
    "SequenceConcat": lambda x: layers.sequence_concat([x, x]),
    "SequenceExpandAs": lambda x: layers.sequence_expand_as(x, x),
    "SequenceExpand": lambda x: layers.sequence_expand(x, x),
    "SequenceEnumerate": lambda x: layers.sequence_enumerate(layers.cast(layers.reduce_sum(x, 1, True), "int64"), 2),
}


@pytest.mark.parametrize("op", NEED_LOD)
def test_input_without_lod_is_refused_when_it_runs(fresh, op):
    out = NEED_LOD[op](declare())
    fresh.start()
    with pytest.raises(InvalidArgumentError, match=f"Tensor of {op}Op does not contain LoD information") as caught:
        fresh.run({"x": np.ones((5, 2), np.float32)}, [out])
    assert "create_lod_tensor" in str(caught.value) and "test_sequence_layers.py" in str(caught.value)


@pytest.mark.parametrize("op", ["SequencePool", "SequencePad"])
def test_input_that_cannot_have_lod_is_refused_when_it_is_built(fresh, op):
    match = rf"Input\(X\) Tensor of {op}Op does not contain LoD information \('x'\)"
    with pytest.raises(InvalidArgumentError, match=match) as caught:
        NEED_LOD[op](declare(lod_level=0))
    assert "lod_level=1" in str(caught.value)


@pytest.mark.parametrize("op", sorted(set(NEED_LOD) - {"SequencePool", "SequenceSoftmax", "SequenceExpand"}))
def test_two_levels_are_refused_where_one_is_needed(fresh, op):
    out = NEED_LOD[op](declare(lod_level=2))
    fresh.start()
    with pytest.raises(InvalidArgumentError, match="has 2 levels of LoD"):
        fresh.run({"x": steps(lengths=[[1, 2], [2, 0, 3]])}, [out], return_numpy=False)


@pytest.mark.parametrize("make", [lambda x: layers.reshape(x, [-1, 1]), lambda x: layers.concat([x, x], axis=0)])
def test_lod_of_other_rows_is_not_followed_into_memory(fresh, make):
    pooled = layers.sequence_pool(make(declare()), "sum")
    with pytest.raises(InvalidArgumentError, match="does not (fit its rows|contain LoD information)"):
        fresh.run({"x": steps()}, [pooled])


@pytest.mark.parametrize("lengths", [[[2, 2]], [[3, 3]], [[1, 1], [2, 2, 1]]])
def test_a_fed_lod_that_does_not_fit_is_refused_by_name(fresh, lengths):
    out = declare() * 2.0
    tensor = fluid.LoDTensor(np.ones((5, 2), np.float32), [np.cumsum([0, *level]) for level in lengths])
    with pytest.raises(InvalidArgumentError, match="The LoD of fed Variable 'x' does not fit its rows") as caught:
        fresh.run({"x": tensor}, [out], return_numpy=False)
    assert "test_sequence_layers.py" in str(caught.value)


def test_a_tensor_that_is_set_anew_keeps_its_lengths_and_is_refused(fresh):
    out = layers.sequence_pool(declare(), "sum")
    tensor = steps()
    np.testing.assert_array_equal(fresh.run({"x": tensor}, [out])[0], [[2, 4], [0, 0], [18, 21]])
    tensor.set(np.ones((4, 2), np.float32))
    with pytest.raises(InvalidArgumentError, match="'x' does not fit its rows: level 0 covers 5 rows, but there are 4"):
        fresh.run({"x": tensor}, [out])
    tensor.set_recursive_sequence_lengths([[1, 3]])
    np.testing.assert_array_equal(fresh.run({"x": tensor}, [out])[0], [[1, 1], [3, 3]])


def test_batches_of_other_lengths_run_in_one_plan(fresh):
    pooled = layers.sequence_pool(declare(), "average", pad_value=-1.0)
    for lengths in ([[2, 0, 3]], [[1]], [[0]], [[7, 1, 1, 1]]):
        (out,) = fresh.run({"x": steps(lengths=lengths)}, [pooled])
        rows = np.split(np.arange(2 * sum(lengths[0])).reshape(-1, 2), np.cumsum(lengths[0])[:-1])
        np.testing.assert_array_equal(out, [r.mean(0) if len(r) else [-1, -1] for r in rows])


@pytest.mark.parametrize("kind", ["sum", "average", "sqrt", "max", "first", "last"])
def test_training_touches_only_rows_that_are_present(fresh, kind):
    word = fluid.data("word", [None, 1], "int64", lod_level=1)
    table = layers.embedding(word, [50, 3], is_sparse=True, param_attr="w")
    loss = layers.mean(layers.fc(layers.sequence_pool(table, kind), 2))
    fluid.optimizer.SGD(0.5).minimize(loss)
    fresh.start()
    before = fresh.value("w")
    ids = np.array([[4], [9], [4], [30], [49]])
    feed = {"word": fluid.create_lod_tensor(ids, [[2, 0, 3]])}
    grad, _ = fresh.run(feed, ["w@GRAD", loss])
    assert isinstance(grad, fluid.SelectedRows) and grad.rows.tolist() == ids[:, 0].tolist()
    changed = np.flatnonzero((fresh.value("w") != before).any(axis=1))
    expected = {"first": [4], "last": [9, 49]}.get(kind, sorted(set(ids[:, 0])))
    if kind == "max":
        assert set(changed) <= set(expected) and len(changed)
    else:
        assert changed.tolist() == expected


@pytest.mark.parametrize("num_threads", [1, 2])
def test_a_sum_of_words_is_a_product_with_counts(fresh, with_threads, num_threads):
    with_threads(num_threads)
    word = fluid.data("word", [None, 1], "int64", lod_level=1)
    pooled = layers.sequence_pool(layers.embedding(word, [50, 16], param_attr="w"), "sum")
    fresh.start()
    lengths = np.random.RandomState(0).randint(0, 60, 3000)
    ids = np.random.RandomState(1).randint(0, 50, (lengths.sum(), 1))
    (out,) = fresh.run({"word": fluid.create_lod_tensor(ids, [lengths.tolist()])}, [pooled])
    counts = np.zeros((3000, 50))
    np.add.at(counts, (np.repeat(np.arange(3000), lengths), ids[:, 0]), 1)
    np.testing.assert_allclose(out, counts @ fresh.value("w"), atol=1e-4)


def test_pad_and_unpad_are_inverse(fresh):
    x = declare()
    padded, length = layers.sequence_pad(x, layers.fill_constant([1], "float32", -7.0))
    back = layers.sequence_unpad(padded, length)
    tensor = steps()
    found, lengths, restored = fresh.run({"x": tensor}, [padded, length, back], return_numpy=False)
    assert np.array(lengths).tolist() == [2, 0, 3] and np.array(lengths).dtype == np.int64
    assert np.array(found).shape == (3, 3, 2) and (np.array(found) == -7).sum() == 8
    assert restored.lod() == tensor.lod()
    np.testing.assert_array_equal(np.array(restored), np.array(tensor))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            lambda x: layers.sequence_pad(x, layers.fill_constant([1], "float32", 0.0), 2)[0],
            "longer than padded_length",
        ),
        (lambda x: layers.sequence_unpad(x, layers.fill_constant([5], "int64", 9)), "is not that of a part"),
        (lambda x: layers.sequence_unpad(x, layers.fill_constant([4], "int64", 1)), "one length for each sequence"),
        (lambda x: layers.sequence_reshape(x, 4), "does not fill rows of width 4"),
        (lambda x: layers.sequence_expand(x, x, ref_level=1), "has no such level of LoD"),
        (lambda x: layers.sequence_expand_as(x, x), "one row for each sequence"),
        (lambda x: layers.lod_reset(x, target_lod=[0, 6]), "new LoD does not fit"),
        (lambda x: layers.lod_reset(x, layers.fill_constant([2], "float32", 0.0)), "no offsets"),
        (
            lambda x: layers.sequence_slice(
                x, layers.fill_constant([3, 1], "int64", 1), layers.fill_constant([3, 1], "int64", 1)
            ),
            "the part of sequence 1 .* lies outside of it",
        ),
        (
            lambda x: layers.sequence_slice(
                x, layers.fill_constant([2, 1], "int64", 0), layers.fill_constant([3, 1], "int64", 0)
            ),
            "one number for each sequence",
        ),
    ],
)
def test_what_does_not_fit_is_refused_when_it_runs(fresh, build, words):
    out = build(declare())
    with pytest.raises(InvalidArgumentError, match=words):
        fresh.run({"x": steps()}, [out], return_numpy=False)


def test_sequence_scatter_refuses_ids_outside(fresh):
    x = fluid.data("x", [None, 4])
    ids, updates = declare("ids", 1, "int64"), declare("updates", 1)
    out = layers.sequence_scatter(x, ids, updates)
    feed = {"x": np.zeros((3, 4), np.float32), "updates": steps(1)}
    feed["ids"] = fluid.create_lod_tensor(np.array([[0], [3], [4], [1], [1]]), LENGTHS)
    with pytest.raises(InvalidArgumentError, match="id 4 at position 2 of 'ids' is no column of 'x'"):
        fresh.run(feed, [out])
    feed["ids"] = fluid.create_lod_tensor(np.zeros((5, 1), np.int64), [[2, 1, 2]])
    with pytest.raises(InvalidArgumentError, match="'updates' do not go with 'ids'"):
        fresh.run(feed, [out])


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda x: layers.sequence_pool(x, "median"), InvalidArgumentError, "no such pooling"),
        (lambda x: layers.sequence_pool(x, 3), InvalidTypeError, "pool_type"),
        (lambda x: layers.sequence_pool(layers.cast(x, "int64"), "sum"), InvalidTypeError, "'input' in sequence_pool"),
        (lambda x: layers.sequence_conv(x, 3, filter_stride=2), InvalidArgumentError, "contextStride = 1"),
        (lambda x: layers.sequence_conv(x, 3, filter_size=0), InvalidArgumentError, "shape that no array|context"),
        (lambda x: layers.sequence_concat(x), InvalidTypeError, "must be list"),
        (lambda x: layers.sequence_concat([]), InvalidTypeError, "must be list"),
        (lambda x: layers.sequence_concat([x, layers.cast(x, "float64")]), InvalidTypeError, "differ"),
        (lambda x: layers.sequence_enumerate(x, 2), InvalidTypeError, "'input' in sequence_enumerate"),
        (lambda x: layers.sequence_mask(x, 0), InvalidArgumentError, "maxlen is no length"),
        (lambda x: layers.sequence_mask(np.ones(3)), InvalidTypeError, "must be Variable"),
        (lambda x: layers.lod_reset(x), InvalidArgumentError, "should not be both none"),
        (lambda x: layers.lod_reset(x, target_lod=[]), InvalidArgumentError, "says what the LoD is to be"),
        (lambda x: layers.lod_append(x, 3), InvalidArgumentError, "no list of offsets"),
        (lambda x: layers.sequence_reshape(x, 0), InvalidArgumentError, "rows of width 0"),
        (
            lambda x: layers.sequence_pad(x, layers.fill_constant([3], "float32", 0.0)),
            InvalidArgumentError,
            "does not fit the rows",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_built(fresh, build, error, words):
    with pytest.raises(error, match=words):
        build(declare())


def test_attention_refuses_what_does_not_fit(fresh):
    q, k, v = fluid.data("q", [2, 3, 8]), fluid.data("k", [2, 5, 8]), fluid.data("v", [2, 5, 4])
    attention = fluid.nets.scaled_dot_product_attention
    for given, heads in (((q, v, v), 1), ((q, k, layers.cast(v, "float64")), 1), ((q, k, q), 1), ((q, k, v), 3)):
        with pytest.raises((InvalidArgumentError, InvalidTypeError), match="scaled_dot_product_attention"):
            attention(*given, num_heads=heads)
    with pytest.raises(InvalidArgumentError, match="3-D"):
        attention(q, k, layers.reshape(v, [10, 4]))


def test_an_image_group_refuses_lists_of_another_length(fresh):
    image = fluid.data("image", [None, 1, 8, 8])
    with pytest.raises(InvalidArgumentError, match="conv_padding of img_conv_group"):
        fluid.nets.img_conv_group(image, [2, 3], 2, conv_padding=[1])
    with pytest.raises(InvalidTypeError, match="conv_num_filter"):
        fluid.nets.img_conv_group(image, 2, 2)
