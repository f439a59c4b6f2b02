"""Whole models, trained for some steps."""

from .case import Run, case, integers, state, steps, uniform, variants

V, D, CLASSES, N = 11, 4, 11, 7


@case
def data_variables(fluid):
    """Every way to declare an input; described only."""
    layers = fluid.layers
    layers.data("batch", [3])
    layers.data("scalar", [1], dtype="int64")
    layers.data("whole", [2, 3], append_batch_size=False)
    layers.data("unknown_inside", [-1, 3])
    layers.data("none_inside", [None, 3])
    layers.data("sequence", [1], dtype="int64", lod_level=1)
    layers.data("nested", [3], lod_level=2)
    layers.data("differentiable", [3], stop_gradient=False)
    layers.data("doubles", [3, 5], dtype="float64")
    layers.data("flags", [1], dtype="bool")
    fluid.data("complete", [2, 3])
    fluid.data("vector", [None], dtype="int64")
    fluid.data("matrix", [None, 3], dtype="float64")
    fluid.data("minus_one", [-1, -1, 3], "float32")
    fluid.data("sequence_of_rows", [None, 3], lod_level=1)
    fluid.data("tuple_shape", (None, 3), "int32")
    return Run(feeds=[])


def ngram_feed(step):
    names = ("firstw", "secondw", "thirdw", "fourthw", "nextw")
    return {name: integers("ngram_" + name + step, V, N, 1) for name in names}


@variants(
    sgd_sparse={"sparse": True, "optimizer": "SGD", "rate": 0.1},
    sgd_dense={"sparse": False, "optimizer": "SGD", "rate": 0.1},
    adam_lazy_corrected={"sparse": True, "optimizer": "Adam", "rate": 0.05, "lazy_mode": True, "corrected": True},
    adam_dense={"sparse": False, "optimizer": "Adam", "rate": 0.05},
)
def ngram(fluid, sparse, optimizer, rate, corrected=False, **options):
    """The word model of the book: four words with one table predict the next.

    corrected: powers of the table that start at 1 undo the bias correction one step ahead of Fluid's sparse Adam.
    """
    words = [fluid.layers.data(name, [1], dtype="int64") for name in ("firstw", "secondw", "thirdw", "fourthw")]
    next_word = fluid.layers.data("nextw", [1], dtype="int64")
    tables = [
        fluid.layers.embedding(word, [V, D], dtype="float32", is_sparse=sparse, param_attr="shared_w") for word in words
    ]
    context = fluid.layers.concat(input=tables, axis=1)
    hidden = fluid.layers.fc(input=context, size=6, act="sigmoid")
    prediction = fluid.layers.fc(input=hidden, size=CLASSES, act="softmax")
    cost = fluid.layers.cross_entropy(input=prediction, label=next_word)
    average = fluid.layers.mean(cost)
    getattr(fluid.optimizer, optimizer)(rate, **options).minimize(average)
    powers = {"shared_w_beta1_pow_acc_0": 1.0, "shared_w_beta2_pow_acc_0": 1.0} if corrected else {}
    last = [name for name in state(fluid) if name not in powers and "pow_acc" not in name]
    return Run(steps(5, ngram_feed), [average, "shared_w@GRAD", "shared_w", "fc_1.b_0"], last, oracle_values=powers)


def classifier_feed(step):
    ids = integers("classifier_ids" + step, V, 9, 1)
    return {
        "words": (ids, [[2, 3, 4]]),
        "dense": uniform("classifier_dense" + step, 9, 3),
        "label": integers("classifier_label" + step, 2, 9, 1),
    }


@variants(sparse={"sparse": True}, dense={"sparse": False})
def token_classifier(fluid, sparse):
    """Every token of sequences of different length is classified from its row and dense features."""
    words = fluid.layers.data("words", [1], dtype="int64", lod_level=1)
    dense = fluid.layers.data("dense", [3])
    label = fluid.layers.data("label", [1], dtype="int64")
    table = fluid.layers.embedding(words, [V, D], is_sparse=sparse, param_attr="table")
    hidden = fluid.layers.fc([table, dense], 5, act="relu")
    prediction = fluid.layers.fc(hidden, 2, act="softmax")
    loss = fluid.layers.mean(fluid.layers.cross_entropy(prediction, label))
    accuracy = fluid.layers.accuracy(prediction, label)
    fluid.optimizer.SGD(0.5).minimize(loss)
    return Run(steps(3, classifier_feed), [loss, accuracy, prediction, "table@GRAD", "table"])


def ctr_feed(step):
    return {
        "user": integers("ctr_user" + step, V, 5, 1),
        "items": integers("ctr_items" + step, V, 5, 3),
        "label": uniform("ctr_label" + step, 5, 1, low=0.0).round(),
    }


@variants(sparse={"sparse": True}, dense={"sparse": False})
def click_through(fluid, sparse):
    """A factorisation of user and items: reduce_sum, square, sub, sigmoid cross entropy, and weight decay."""
    user = fluid.data("user", [None, 1], "int64")
    items = fluid.data("items", [None, 3], "int64")
    label = fluid.data("label", [None, 1])
    table = {"is_sparse": sparse, "param_attr": fluid.ParamAttr(name="factors")}
    of_user = fluid.embedding(user, [V, D], **table)
    of_items = fluid.embedding(items, [V, D], padding_idx=None, **table)
    factors = fluid.layers.concat([of_user, of_items], axis=1)
    squared_sum = fluid.layers.square(fluid.layers.reduce_sum(factors, 1))
    sum_squared = fluid.layers.reduce_sum(fluid.layers.square(factors), 1)
    logit = 0.5 * fluid.layers.reduce_sum(squared_sum - sum_squared, 1, keep_dim=True)
    logit = logit + fluid.layers.create_parameter([1], "float32", name="offset", is_bias=True)
    loss = fluid.layers.mean(fluid.layers.sigmoid_cross_entropy_with_logits(logit, label))
    fluid.optimizer.SGD(0.5, regularization=fluid.regularizer.L2Decay(0.01)).minimize(loss)
    return Run(steps(3, ctr_feed), [loss, logit, "factors@GRAD", "factors", "offset"])
