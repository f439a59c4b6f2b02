"""Losses: their options, boundary labels and gradients."""

from .case import Input, op_case

_P = Input(4, 5, low=0.05, high=1.0)
_LABEL = Input(4, 1, dtype="int64", values=[[0], [4], [2], [2]])
_IGNORED = Input(4, 1, dtype="int64", values=[[0], [-100], [2], [3]])
_SOFT = Input(4, 5, low=0.0, high=0.5, grad=False)
_LOGITS = Input(4, 5, low=-3.0, high=3.0)


def cross_entropy_case(suffix, input, label, **options):
    return op_case(
        "cross_entropy_" + suffix,
        lambda fluid, input, label: fluid.layers.cross_entropy(input, label, **options),
        input=input,
        label=label,
    )


cross_entropy_case("hard", _P, _LABEL)
cross_entropy_case("soft", _P, _SOFT, soft_label=True)
cross_entropy_case("ignore_default", _P, _IGNORED)
cross_entropy_case("ignore_index", _P, _LABEL, ignore_index=2)
cross_entropy_case("3d", Input(2, 3, 5, low=0.05), Input(2, 3, 1, dtype="int64", high=5))
cross_entropy_case("3d_soft", Input(2, 3, 5, low=0.05), Input(2, 3, 5, low=0.0, grad=False), soft_label=True)
cross_entropy_case(
    "zero", Input(2, 3, values=[[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]), Input(2, 1, dtype="int64", values=[1, 0])
)
cross_entropy_case(
    "float64",
    Input(4, 5, low=0.05, dtype="float64"),
    Input(4, 1, dtype="int64", high=5),
)
cross_entropy_case("lod", Input(5, 3, low=0.1, lens=[[2, 3]]), Input(5, 1, dtype="int64", high=3, lens=[[2, 3]]))
op_case(
    "cross_entropy_zero_probability",
    lambda fluid, input, label: fluid.layers.cross_entropy(input, label),
    backward=False,
    input=Input(2, 3, values=[[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]], grad=False),
    label=Input(2, 1, dtype="int64", values=[0, 2]),
)


def fused_case(suffix, logits=_LOGITS, label=_LABEL, **options):
    return op_case(
        "softmax_with_cross_entropy_" + suffix,
        lambda fluid, logits, label: fluid.layers.softmax_with_cross_entropy(logits, label, **options),
        logits=logits,
        label=label,
    )


fused_case("hard")
fused_case("soft", label=_SOFT, soft_label=True)
fused_case("ignore_default", label=_IGNORED)
fused_case("ignore_index", ignore_index=2)
fused_case("not_stable", numeric_stable_mode=False)
fused_case("3d", Input(2, 3, 5), Input(2, 3, 1, dtype="int64", high=5))
fused_case("axis1", Input(2, 3, 5), Input(2, 1, 5, dtype="int64", high=3), axis=1)
fused_case("axis1_soft", Input(2, 3, 5), Input(2, 3, 5, low=0.0, grad=False), soft_label=True, axis=1)
fused_case("axis_minus2", Input(2, 3, 5), Input(2, 1, 5, dtype="int64", high=3), axis=-2)
fused_case(
    "large", Input(2, 3, values=[[1000.0, 0.0, -1000.0], [80.0, 81.0, 82.0]]), Input(2, 1, dtype="int64", values=[0, 2])
)
fused_case("float64", Input(4, 5, dtype="float64"), _LABEL)
fused_case("return_softmax", return_softmax=True)


def first_only(name, label=_LABEL, **options):
    """The softmax is returned, fetched, but takes no part in the loss."""

    def build(fluid, logits, label):
        loss, softmax = fluid.layers.softmax_with_cross_entropy(logits, label, return_softmax=True, **options)
        softmax.persistable = False
        return [loss]

    return op_case(name, build, fetch=["softmax_with_cross_entropy_0.tmp_0"], logits=_LOGITS, label=label)


first_only("softmax_with_cross_entropy_softmax_unused")
first_only("softmax_with_cross_entropy_softmax_unused_soft", label=_SOFT, soft_label=True)


def sigmoid_case(suffix, label, **options):
    return op_case(
        "sigmoid_cross_entropy_with_logits_" + suffix,
        lambda fluid, x, label: fluid.layers.sigmoid_cross_entropy_with_logits(x, label, **options),
        x=Input(2, 3, values=[[-3.0, 0.5, 2.0], [80.0, -80.0, 0.0]]),
        label=label,
    )


_BINARY = Input(2, 3, values=[[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]], grad=False)
sigmoid_case("plain", _BINARY)
sigmoid_case("soft", Input(2, 3, values=[[0.2, 0.7, 1.0], [0.0, 0.5, 0.5]], grad=False))
sigmoid_case("ignore_index", _BINARY, ignore_index=1)
sigmoid_case("normalize", _BINARY, normalize=True)
sigmoid_case("ignore_normalize", _BINARY, ignore_index=0, normalize=True)
sigmoid_case(
    "minus_one", Input(2, 3, values=[[0.0, -1.0, 1.0], [1.0, -1.0, 0.0]], grad=False), ignore_index=-1, normalize=True
)

op_case(
    "square_error_cost",
    lambda fluid, input, label: fluid.layers.square_error_cost(input, label),
    input=Input(4, 1),
    label=Input(4, 1, grad=False),
)
op_case(
    "square_error_cost_both",
    lambda fluid, input, label: fluid.layers.square_error_cost(input, label),
    input=Input(2, 3),
    label=Input(2, 3),
)
