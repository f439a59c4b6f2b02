"""Both embeddings: ids of every rank, sparse and dense gradients, padding, shared tables, LoD."""

from .case import Input, Run, case, grad_name, integers, op_case, parameters, uniform, variants, weighted_loss

V, D = 7, 3
IDS = [[3], [0], [6], [3], [5]]


def ids(*shape, **options):
    return Input(*shape, dtype="int64", high=V, **options)


def table_case(name, spec, layer, **options):
    """One lookup in the table ``w``, differentiated."""
    options.setdefault("param_attr", "w")
    size = options.pop("size", [V, D])

    def build(fluid, ids):
        embedding = fluid.layers.embedding if layer == "v1" else fluid.embedding
        return embedding(ids, size, **options)

    return op_case(name, build, ids=spec)


for _sparse in (False, True):
    _mode = "_sparse" if _sparse else "_dense"
    table_case("embedding_v1" + _mode, Input(5, 1, dtype="int64", values=IDS), "v1", is_sparse=_sparse)
    table_case("embedding_v1_3d" + _mode, ids(2, 5, 1), "v1", is_sparse=_sparse)
    table_case("embedding_v1_float64" + _mode, ids(4, 1), "v1", is_sparse=_sparse, dtype="float64")
    table_case("embedding_v2_1d" + _mode, ids(5), "v2", is_sparse=_sparse)
    table_case("embedding_v2_2d" + _mode, ids(2, 5), "v2", is_sparse=_sparse)
    table_case("embedding_v2_column" + _mode, ids(5, 1), "v2", is_sparse=_sparse)
    table_case("embedding_v2_3d" + _mode, ids(2, 3, 5), "v2", is_sparse=_sparse)
    table_case("embedding_v1_one_row" + _mode, Input(1, 1, dtype="int64", values=[[V - 1]]), "v1", is_sparse=_sparse)
    for _word, _padding in (("0", 0), ("3", 3), ("minus1", -1), ("minus4", -4)):
        _ids = Input(5, 1, dtype="int64", values=[[3], [0], [6], [3], [5]])
        table_case(f"embedding_v1_padding_{_word}{_mode}", _ids, "v1", is_sparse=_sparse, padding_idx=_padding)
    _ids = Input(2, 3, dtype="int64", values=[[3, 0, 6], [3, 3, 5]])
    table_case("embedding_v2_padding_3" + _mode, _ids, "v2", is_sparse=_sparse, padding_idx=3)
    table_case("embedding_v2_padding_minus4" + _mode, _ids, "v2", is_sparse=_sparse, padding_idx=-4)
table_case("embedding_v1_default_name", ids(4, 1), "v1", param_attr=None)
table_case("embedding_v2_default_name", ids(4), "v2", param_attr=None, is_sparse=True)


@case
def embedding_is_distributed(fluid):
    """Described only: what holds the rows is not Fluid's on one machine."""
    word = fluid.data("word", [-1, 1], "int64")
    table = fluid.layers.embedding(word, [V, D], is_sparse=True, is_distributed=True, param_attr="w")
    fluid.optimizer.SGD(0.1).minimize(fluid.layers.mean(table))
    return Run(feeds=[])


@case
def embedding_names(fluid):
    """Both flavours count in one sequence of names."""
    one = fluid.data("one", [-1, 1], "int64")
    outputs = [
        fluid.layers.embedding(one, [V, D]),
        fluid.embedding(one, [V, D]),
        fluid.layers.embedding(one, [V, 2], param_attr=fluid.ParamAttr(name="named")),
        fluid.layers.embedding(one, [V, D]),
    ]
    return Run([{"one": integers("embedding_names", V, 4, 1)}], outputs + parameters(fluid))


@variants(
    two_sparse={"modes": (True, True)},
    two_dense={"modes": (False, False)},
    two_mixed={"modes": (True, False)},
    two_mixed_dense_first={"modes": (False, True)},
    four_sparse={"modes": (True,) * 4},
    four_dense={"modes": (False,) * 4},
    four_mixed={"modes": (True, False, True, True)},
    four_sparse_v2={"modes": (True,) * 4, "v2": True},
)
def embedding_shared(fluid, modes, v2=False):
    """One table, several lookups, each with another weight in the loss; then a step of SGD."""
    outputs, feeds = [], {}
    for index, sparse in enumerate(modes):
        name = f"ids{index}"
        word = fluid.data(name, [-1] if v2 else [-1, 1], "int64")
        layer = fluid.embedding if v2 else fluid.layers.embedding
        outputs.append(layer(word, [V, D], is_sparse=sparse, param_attr=fluid.ParamAttr(name="w")))
        feeds[name] = integers("shared" + name, V, *((4,) if v2 else (4, 1)))
    loss, weights = weighted_loss(fluid, outputs, [(4, D)] * len(outputs))
    feeds.update(weights)
    fluid.optimizer.SGD(0.5).minimize(loss)
    return Run([feeds], outputs + ["w@GRAD", loss, "w"])


@variants(sparse={"sparse": True}, dense={"sparse": False})
def embedding_lod(fluid, sparse):
    """The LoD of the ids goes through embedding and fc."""
    word = fluid.data("word", [-1, 1], "int64", lod_level=1)
    table = fluid.layers.embedding(word, [V, D], is_sparse=sparse, param_attr="w")
    hidden = fluid.layers.fc(table, 2, act="tanh")
    loss = fluid.layers.mean(fluid.layers.square(hidden))
    fluid.backward.append_backward(loss)
    feeds = [
        {"word": (integers("lod0", V, 6, 1), [[2, 1, 3]])},
        {"word": (integers("lod1", V, 4, 1), [[0, 3, 1]])},
    ]
    return Run(feeds, [table, hidden, loss, "w@GRAD", "fc_0.w_0@GRAD", grad_name(hidden)])


@case
def embedding_lod_two_levels(fluid):
    word = fluid.data("word", [-1, 1], "int64", lod_level=2)
    table = fluid.layers.embedding(word, [V, D], param_attr="w")
    return Run([{"word": (integers("lod2", V, 6, 1), [[2, 1], [2, 1, 3]])}], [table])


@case
def embedding_v2_lod(fluid):
    word = fluid.data("word", [-1], "int64", lod_level=1)
    table = fluid.embedding(word, [V, D], is_sparse=True, param_attr="w")
    loss = fluid.layers.mean(fluid.layers.square(table))
    fluid.backward.append_backward(loss)
    return Run([{"word": (integers("lod3", V, 6), [[2, 1, 3]])}], [table, "w@GRAD"])


@variants(sparse={"sparse": True}, dense={"sparse": False})
def embedding_layers_data(fluid, sparse):
    """The classical declaration, with layers.data."""
    word = fluid.layers.data(name="word", shape=[1], dtype="int64")
    weight = fluid.layers.data(name="weight", shape=[D], dtype="float32")
    table = fluid.layers.embedding(input=word, size=[V, D], is_sparse=sparse, param_attr="w")
    loss = fluid.layers.reduce_sum(fluid.layers.elementwise_mul(table, weight))
    fluid.backward.append_backward(loss)
    feed = {"word": integers("layers_data", V, 5, 1), "weight": uniform("layers_data", 5, D)}
    return Run([feed], [table, loss, "w@GRAD"])


@variants(sparse={"sparse": True}, dense={"sparse": False})
def embedding_not_trainable(fluid, sparse):
    word = fluid.data("word", [-1, 1], "int64")
    attr = fluid.ParamAttr(name="w", trainable=False)
    table = fluid.layers.embedding(word, [V, D], is_sparse=sparse, param_attr=attr)
    loss = fluid.layers.mean(fluid.layers.fc(table, 2))
    fluid.optimizer.SGD(0.1).minimize(loss)
    return Run([{"word": integers("frozen", V, 5, 1)}], [loss, "w", "fc_0.w_0", "fc_0.b_0"])
