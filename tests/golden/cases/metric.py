"""accuracy, which counts in top k."""

from .case import Input, Run, case, integers, op_case, uniform


def accuracy_case(suffix, *, k, label):
    return op_case(
        "accuracy_" + suffix,
        lambda fluid, input, label: fluid.layers.accuracy(input, label, k=k),
        backward=False,
        input=Input(4, 5, grad=False),
        label=label,
    )


accuracy_case("k1", k=1, label=Input(4, 1, dtype="int64", high=5))
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
