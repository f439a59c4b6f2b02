"""Whole models that are saved by one library and loaded by the other: ``MODELS[name](fluid)`` builds one."""

from golden.cases.case import integers, steps, uniform

V, D, N = 11, 4, 7
# Steps before the model is saved, and after it is loaded.
BEFORE, AFTER = 2, 3


class Model:
    """A program that was built under the default programs.

    loss: variable fetched in training. inputs: names that the prediction needs. prediction: its variable.
    feeds: one for every step of training, before and after saving; name -> array or (array, recursive_seq_lens).
    """

    def __init__(self, loss, inputs, prediction, feeds):
        self.loss, self.inputs, self.prediction, self.feeds = loss, inputs, prediction, feeds

    def prediction_feed(self):
        return {name: self.feeds[0][name] for name in self.inputs}


def ngram(fluid):
    """Four words with one table predict the next; dense Adam, whose bias correction is the same everywhere."""
    names = ["firstw", "secondw", "thirdw", "fourthw"]
    words = [fluid.layers.data(name, [1], dtype="int64") for name in names]
    label = fluid.layers.data("nextw", [1], dtype="int64")
    rows = [fluid.layers.embedding(word, [V, D], param_attr="shared_w") for word in words]
    hidden = fluid.layers.fc(fluid.layers.concat(rows, axis=1), 6, act="sigmoid")
    prediction = fluid.layers.fc(hidden, V, act="softmax")
    loss = fluid.layers.mean(fluid.layers.cross_entropy(prediction, label))
    fluid.optimizer.Adam(0.05).minimize(loss)

    def feed(step):
        return {name: integers("model_" + name + step, V, N, 1) for name in names + ["nextw"]}

    return Model(loss, names, prediction, steps(BEFORE + AFTER, feed))


def deepfm(fluid):
    """Factorization machine and a hidden layer on one table of ids; sparse Adagrad; the states of an AUC."""
    layers = fluid.layers
    ids = fluid.data("ids", [None, 3], dtype="int64")
    dense = fluid.data("dense", [None, 2])
    label = fluid.data("label", [None, 1], dtype="int64")
    first = layers.reduce_sum(fluid.embedding(ids, [V, 1], is_sparse=True, param_attr="first"), 1)
    second = fluid.embedding(ids, [V, D], is_sparse=True, param_attr="second")
    of_sum = layers.square(layers.reduce_sum(second, 1))
    of_squares = layers.reduce_sum(layers.square(second), 1)
    crossed = layers.scale(layers.reduce_sum(layers.elementwise_sub(of_sum, of_squares), 1, keep_dim=True), 0.5)
    deep = layers.fc([layers.reshape(second, [-1, 3 * D]), dense], 5, act="relu")
    logit = layers.elementwise_add(layers.elementwise_add(first, crossed), layers.fc(deep, 1))
    prediction = layers.sigmoid(logit)
    loss = layers.mean(layers.log_loss(prediction, layers.cast(label, "float32")))
    both = layers.concat([layers.scale(prediction, -1.0, 1.0), prediction], axis=1)
    layers.auc(both, label, num_thresholds=15)
    fluid.optimizer.Adagrad(0.05).minimize(loss)

    def feed(step):
        return {
            "ids": integers("model_ids" + step, V, N, 3),
            "dense": uniform("model_dense" + step, N, 2),
            "label": integers("model_label" + step, 2, N, 1),
        }

    return Model(loss, ["ids", "dense"], prediction, steps(BEFORE + AFTER, feed))


def tagger(fluid):
    """A label for every word of sequences of different length, one of them empty: GRU, batch_norm, momentum."""
    layers = fluid.layers
    words = layers.data("words", [1], dtype="int64", lod_level=1)
    label = layers.data("label", [1], dtype="int64")
    rows = layers.embedding(words, [V, D], param_attr="table")
    states = layers.dynamic_gru(layers.fc(rows, 3 * D), D)
    normal = layers.batch_norm(layers.fc(states, 5))
    logits = layers.fc(layers.dropout(normal, 0.0), 3)
    loss = layers.mean(layers.softmax_with_cross_entropy(logits, label))
    fluid.optimizer.Momentum(0.05, 0.9).minimize(loss)

    def feed(step):
        lens = [[3, 0, 4]]
        return {
            "words": (integers("model_words" + step, V, N, 1), lens),
            "label": (integers("model_label" + step, 3, N, 1), lens),
        }

    return Model(loss, ["words"], layers.softmax(logits), steps(BEFORE + AFTER, feed))


def text_cnn(fluid):
    """A label for sequences of words: convolutions of two widths, pooled over time; sparse SGD."""
    layers = fluid.layers
    words = layers.data("words", [1], dtype="int64", lod_level=1)
    label = layers.data("label", [1], dtype="int64")
    rows = layers.embedding(words, [V, D], is_sparse=True, param_attr="table")
    convolved = [layers.sequence_conv(rows, 5, width, act="tanh") for width in (2, 3)]
    pooled = [layers.sequence_pool(one, kind) for one, kind in zip(convolved, ("max", "sqrt"))]  # noqa: B905
    prediction = layers.fc(pooled, 2, act="softmax")
    loss = layers.mean(layers.cross_entropy(prediction, label))
    fluid.optimizer.SGD(0.5).minimize(loss)

    def feed(step):
        return {
            "words": (integers("model_text" + step, V, N, 1), [[2, 1, 4]]),
            "label": integers("model_text_label" + step, 2, 3, 1),
        }

    return Model(loss, ["words"], prediction, steps(BEFORE + AFTER, feed))


MODELS = {"ngram": ngram, "deepfm": deepfm, "tagger": tagger, "text_cnn": text_cnn}
