"""The programs of fluidlite and of real Fluid 1.8.5: one text for both, with the module as an argument (Python 3.7)."""

import numpy as np
from batches import DENSE_FEATURES, FIELDS, make_batches

HIDDEN = 400


def build_step(fluid, workload):
    """Embedding, sum of squares; nothing is fetched."""
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.embedding(ids, [workload["V"], workload["D"]], is_sparse=workload.get("is_sparse", True))
    return fluid.layers.reduce_sum(fluid.layers.square(rows))


def build_ngram(fluid, workload):
    """The n-gram model of the Paddle book: four words share a table, fc, softmax."""
    layers = fluid.layers
    words = [layers.data(f"word{k}", [1], dtype="int64") for k in range(5)]
    size = [workload["V"], workload["D"]]
    context = [layers.embedding(word, size, is_sparse=True, param_attr="shared_w") for word in words[:4]]
    hidden = layers.fc(layers.concat(context, axis=1), workload["H"], act="sigmoid")
    scores = layers.fc(hidden, workload["V"], act="softmax")
    return layers.mean(layers.cross_entropy(scores, words[4]))


def build_deepfm(fluid, workload):
    """DeepFM: first order, pairs of fields by the square of the sum, and three fully connected layers."""
    layers, height, width = fluid.layers, workload["V"], workload["D"]
    ids = layers.data("ids", [FIELDS, 1], dtype="int64")
    dense = layers.data("dense", [DENSE_FEATURES])
    label = layers.data("label", [1], dtype="float32")
    tables = {"is_sparse": True, "is_distributed": workload.get("is_distributed", False)}
    rows = layers.embedding(ids, [height, width], **tables)
    first = layers.reduce_sum(layers.embedding(ids, [height, 1], **tables), dim=1)
    square_of_sum = layers.square(layers.reduce_sum(rows, dim=1))
    sum_of_squares = layers.reduce_sum(layers.square(rows), dim=1)
    pairs = layers.elementwise_sub(square_of_sum, sum_of_squares)
    second = layers.scale(layers.reduce_sum(pairs, dim=1, keep_dim=True), scale=0.5)
    hidden = layers.concat([layers.reshape(rows, [-1, FIELDS * width]), dense], axis=1)
    for _ in range(3):
        hidden = layers.fc(hidden, HIDDEN, act="relu")
    score = layers.elementwise_add(layers.elementwise_add(first, second), layers.fc(hidden, 1))
    return layers.mean(layers.sigmoid_cross_entropy_with_logits(score, label))


def feed_of(workload, batch):
    """The feed dict of one batch, contiguous, so that no peer pays for a copy of the layout."""
    if workload["kind"] == "ngram":
        return {f"word{k}": np.ascontiguousarray(batch[:, k : k + 1]) for k in range(5)}
    if workload["kind"] == "deepfm":
        ids, dense, label = batch
        return {"ids": ids[:, :, None], "dense": dense, "label": label}
    return {"ids": batch}


def build(fluid, workload, make_optimizer):
    """(step, batches): `step(s)` is one `exe.run` on batch s. Whole models fetch their loss, the others nothing."""
    main, startup, scope = fluid.Program(), fluid.Program(), fluid.Scope()
    builders = {"ngram": build_ngram, "deepfm": build_deepfm}
    with fluid.program_guard(main, startup), fluid.unique_name.guard():
        loss = builders.get(workload["kind"], build_step)(fluid, workload)
        make_optimizer(workload).minimize(loss)
    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(startup, scope=scope)
    batches = make_batches(workload)
    feeds = [feed_of(workload, batch) for batch in batches]
    fetches = [loss] if workload["kind"] in builders else []

    def step(s):
        exe.run(main, feed=feeds[s % len(feeds)], fetch_list=fetches, scope=scope)

    return step, batches
