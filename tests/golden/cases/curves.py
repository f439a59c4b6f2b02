"""Loss curves of a word model over many steps: what rounding does not hide, a wrong rule would."""

from .case import Run, integers, variants

V, D, N, CONTEXT, STEPS, BATCHES = 23, 5, 16, 3, 50, 5


def feed(step):
    """One of a few batches, again and again, so that the loss falls."""
    batch = str(step % BATCHES)
    return {
        "context": integers("curve_context" + batch, V, N, CONTEXT),
        "next": integers("curve_next" + batch, V, N, 1),
    }


@variants(
    sgd={"optimizer": "SGD", "rate": 0.5, "sparse": True},
    momentum={"optimizer": "Momentum", "rate": 0.1, "sparse": True, "momentum": 0.9},
    adagrad={"optimizer": "Adagrad", "rate": 0.2, "sparse": True},
    adam_dense={"optimizer": "Adam", "rate": 0.02, "sparse": False},
    rmsprop={"optimizer": "RMSProp", "rate": 0.02, "sparse": True},
)
def loss_curve(fluid, optimizer, rate, sparse, **options):
    context = fluid.data("context", [None, CONTEXT], "int64")
    next_word = fluid.data("next", [None, 1], "int64")
    rows = fluid.embedding(context, [V, D], is_sparse=sparse, param_attr="table")
    hidden = fluid.layers.fc(fluid.layers.reshape(rows, [-1, CONTEXT * D]), 7, act="tanh")
    score = fluid.layers.fc(hidden, V)
    loss = fluid.layers.mean(fluid.layers.softmax_with_cross_entropy(score, next_word))
    getattr(fluid.optimizer, optimizer)(rate, **options).minimize(loss)
    return Run([feed(step) for step in range(STEPS)], [loss])
