"""accuracy, which counts in top k, auc, and the sums of ctr_metric_bundle."""

import numpy

from .case import Input, Run, case, integers, op_case, steps, uniform, variants


def accuracy_case(suffix, *, k, label):
    return op_case(
        "accuracy_" + suffix,
        lambda fluid, input, label: fluid.layers.accuracy(input, label, k=k),
        backward=False,
        input=Input(4, 5, grad=False),
        label=label,
    )


accuracy_case("k1", k=1, label=Input(4, 1, dtype="int64", high=5))
accuracy_case("k_numpy", k=numpy.int64(2), label=Input(4, 1, dtype="int64", high=5))
accuracy_case("k2", k=2, label=Input(4, 1, dtype="int64", high=5))
accuracy_case("k5", k=5, label=Input(4, 1, dtype="int64", high=5))


@case
def accuracy_counts(fluid):
    """The numbers of right and of all samples, in variables of the user."""
    x = fluid.data("x", [-1, 3])
    label = fluid.data("label", [-1, 1], "int64")
    correct = fluid.layers.create_tensor("int32", name="correct")
    total = fluid.layers.create_tensor("int32", name="total")
    value = fluid.layers.accuracy(x, label, correct=correct, total=total)
    feed = {"x": uniform("accuracy_counts", 5, 3), "label": integers("accuracy_counts", 3, 5, 1)}
    return Run([feed], [value, correct, total])


@case
def accuracy_beside_training(fluid):
    """A metric in a program that trains takes no part in the backward pass."""
    x = fluid.data("x", [-1, 3])
    label = fluid.data("label", [-1, 1], "int64")
    prediction = fluid.layers.fc(x, 4, act="softmax")
    loss = fluid.layers.mean(fluid.layers.cross_entropy(prediction, label))
    value = fluid.layers.accuracy(prediction, label, k=2)
    fluid.optimizer.SGD(0.5).minimize(loss)
    feeds = [{"x": uniform("accuracy" + step, 5, 3), "label": integers("accuracy" + step, 4, 5, 1)} for step in "01"]
    return Run(feeds, [loss, value, "fc_0.w_0", "fc_0.b_0", "fc_0.w_0@GRAD"])


def _auc_feed(key, width=2):
    return {"x": uniform("auc" + key, 6, width, low=0.0), "label": integers("auc" + key, 2, 6, 1)}


@variants(
    default={},
    window={"num_thresholds": 7, "slide_steps": 2},
    pr={"num_thresholds": 15, "curve": "PR", "topk": 2},
)
def auc(fluid, **options):
    """Both values and all counts, over more batches than the window holds."""
    x, label = fluid.data("x", [-1, 2]), fluid.data("label", [-1, 1], "int64")
    total, batch, states = fluid.layers.auc(x, label, **options)
    return Run(steps(4, _auc_feed), [total, batch], last=states)


@case
def auc_labels(fluid):
    """One column of scores, on borders of bins; labels that are neither 0 nor 1."""
    x, label = fluid.data("x", [-1, 1]), fluid.data("label", [-1, 1], "int64")
    total, batch, states = fluid.layers.auc(x, label, num_thresholds=8)
    scores = numpy.array([0.0, 1.0, 0.375, 0.375, 0.5, 0.9], "float32").reshape(6, 1)
    labels = [[-1, 2, 0, 1, 0, 1], [1, 1, 1, 1, 1, 1]]
    feeds = [{"x": scores, "label": numpy.array(row, "int64").reshape(6, 1)} for row in labels]
    return Run(feeds, [total, batch], last=states)


@case
def ctr_metric_bundle(fluid):
    """All sums, after each of three batches."""
    p, label = fluid.data("p", [-1, 1]), fluid.data("label", [-1, 1])
    sums = fluid.contrib.layers.ctr_metric_bundle(p, label)

    def feed(step):
        y = integers("bundle" + step, 2, 5, 1, dtype="float32")
        return {"p": uniform("bundle" + step, 5, 1, low=0.0), "label": y}

    return Run(steps(3, feed), sums)
