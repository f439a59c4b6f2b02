"""fluid.metrics: values recorded from Fluid 1.8.5, what resetting does, and what is refused."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import metrics

PREDS, LABELS = np.array([[0.9], [0.2], [0.6], [0.5], [1.0]]), np.array([[1], [1], [0], [1], [1]])


def test_precision_and_recall():
    """Two of three predicted are right (0.5 rounds to 0), of four positives."""
    precision, recall = metrics.Precision(), metrics.Recall("recall")
    for metric in (precision, recall):
        assert metric.eval() == 0
        metric.update(PREDS[:2], LABELS[:2])
        metric.update(PREDS[2:], LABELS[2:])
    assert (precision.eval(), recall.eval()) == (2 / 3, 2 / 4)
    assert precision.get_config() == {"name": "Precision", "states": {"tp": 2, "fp": 1}}
    assert str(recall) == "recall" and recall.fn == 2
    precision.reset()
    assert precision.eval() == 0 and precision.get_config()["states"] == {"tp": 0, "fp": 0}


def test_a_composite_metric_asks_its_parts():
    both = metrics.CompositeMetric()
    for part in (metrics.Precision(), metrics.Recall()):
        both.add_metric(part)
    both.update(PREDS, LABELS)
    assert both.eval() == [2 / 3, 0.5]
    both.reset()
    assert both.eval() == [0, 0]
    with pytest.raises(ValueError, match="must be a metric"):
        both.add_metric(3)


def test_accuracy_is_weighted_by_batch_sizes():
    accuracy = metrics.Accuracy()
    with pytest.raises(ValueError, match="There is no data in Accuracy"):
        accuracy.eval()
    accuracy.update(value=0.5, weight=3)
    accuracy.update(np.array([0.25]), 1)
    assert accuracy.eval() == np.array([0.4375])
    config = accuracy.get_config()
    accuracy.reset()
    assert accuracy.value == 0 and config["states"]["value"] == 1.75, "the config is a copy"
    for value, weight, message in (("x", 1, "must be a number"), (1, None, "must be a number"), (1, -1, "negative")):
        with pytest.raises(ValueError, match=message):
            accuracy.update(value, weight)


def test_chunks():
    chunks = metrics.ChunkEvaluator()
    assert chunks.eval() == (0, 0, 0)
    chunks.update(np.array([4]), 5, np.array([[2]], np.int64))
    chunks.update(6, 3, 3)
    assert chunks.eval() == (0.5, 0.625, 0.5555555555555556)
    chunks.reset()
    assert chunks.eval() == (0, 0, 0)
    with pytest.raises(ValueError, match="num_label_chunks"):
        chunks.update(1, "x", 1)


def test_edit_distance():
    distance = metrics.EditDistance("distance")
    with pytest.raises(ValueError, match="There is no data in EditDistance"):
        distance.eval()
    distance.update(np.array([[1.0], [0.0], [2.0]]), np.array([3]))
    assert distance.eval() == (1.0, 2 / 3)
    distance.update(np.array([[0.0]]), 1)
    assert distance.eval() == (0.75, 0.5)
    with pytest.raises(ValueError, match="'distances' of EditDistance must be a numpy ndarray"):
        distance.update([1.0], 1)


def pairs_auc(scores, labels):
    """The share of pairs of a positive and a negative in the right order, ties as a half."""
    pos, neg = scores[labels == 1], scores[labels == 0]
    return (np.sign(pos[:, None] - neg) / 2 + 0.5).mean()


def test_auc_counts_pairs():
    random = np.random.RandomState(3)
    scores, labels = random.randint(0, 9, 200) / 8, random.randint(0, 2, 200)
    auc = metrics.Auc("auc", num_thresholds=8)
    for part in (slice(0, 70), slice(70, 71), slice(71, 71), slice(71, 200)):
        auc.update(np.stack((1 - scores[part], scores[part]), axis=1), labels[part, None])
    assert auc.eval() == pytest.approx(pairs_auc(scores, labels), rel=1e-12)
    auc.reset()
    assert auc.eval() == 0


@pytest.mark.parametrize("labels", [[[1], [1]], [[0], [0]]])
def test_auc_of_one_class_is_zero(labels):
    auc = metrics.Auc("auc")
    auc.update(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array(labels))
    assert auc.eval() == 0


@pytest.mark.parametrize("score", [-0.01, 1.01, np.nan])
def test_auc_takes_probabilities(score):
    auc = metrics.Auc("auc")
    with pytest.raises(ValueError, match="must be probabilities"):
        auc.update(np.array([[0.0, 0.5], [0.0, score]]), np.array([[1], [0]]))
    assert auc._stat_pos.sum() == 0
    with pytest.raises(ValueError, match="'preds' of Auc must be a numpy ndarray"):
        auc.update([[0.0, 0.5]], np.array([[1]]))


def test_auc_agrees_with_the_layer(fresh):
    x, y = fluid.data("x", [None, 2]), fluid.data("y", [None, 1], "int64")
    total, window, states = fluid.layers.auc(x, y, slide_steps=2)
    exe, random = fluid.Executor(), np.random.RandomState(5)
    exe.run(fluid.default_startup_program())
    batches, whole = [], metrics.Auc("auc")
    for _ in range(4):
        batches.append((random.rand(50, 2).astype(np.float32), random.randint(0, 2, (50, 1))))
        whole.update(*batches[-1])
        feed = dict(zip(("x", "y"), batches[-1], strict=True))
        values = exe.run(feed=feed, fetch_list=[total, window])
        last = metrics.Auc("auc")
        for batch in batches[-2:]:
            last.update(*batch)
        np.testing.assert_allclose(values, [[whole.eval()], [last.eval()]], rtol=1e-12)
    before = [np.array(fluid.global_scope().find_var(v.name).get_tensor()) for v in states]
    with pytest.raises(ValueError, match=r"row 1 of 'x' is no probability"):
        exe.run(feed={"x": np.array([[0, 1], [0, 1.5]], np.float32), "y": np.array([[1], [1]])}, fetch_list=[total])
    for variable, value in zip(states, before, strict=True):
        np.testing.assert_array_equal(np.array(fluid.global_scope().find_var(variable.name).get_tensor()), value)


def test_the_base_asks_for_definitions():
    base = metrics.MetricBase(None)
    assert str(base) == "MetricBase"
    for call in (lambda: base.update(1, 2), base.eval):
        with pytest.raises(NotImplementedError):
            call()


def test_a_metric_of_ones_own_is_reset_by_kind():
    class Mine(metrics.MetricBase):
        """A state of every kind."""

        def __init__(self):
            super().__init__(None)
            self.count, self.total, self.array, self.other, self._kept = 3, 2.5, np.ones((2, 3)), "x", 7

    mine = Mine()
    mine.reset()
    assert (mine.count, mine.total, mine.other, mine._kept) == (0, 0.0, None, 7) and isinstance(mine.total, float)
    assert mine.array.shape == (2, 3) and not mine.array.any()
