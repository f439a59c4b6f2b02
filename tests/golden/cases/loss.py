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
op_case(
    "mse_loss",
    lambda fluid, input, label: fluid.layers.mse_loss(input, label),
    input=Input(4, 3),
    label=Input(4, 3, grad=False),
)
_RIGHT = Input(4, 1, values=[[0.0], [1.0], [1.0], [0.0]], grad=False)
for _name, _options in (("default", {}), ("epsilon", {"epsilon": 0.05, "name": "cost"})):
    op_case(
        "log_loss_" + _name,
        lambda fluid, input, label, o=_options: fluid.layers.log_loss(input, label, **o),
        input=Input(4, 1, low=0.0, high=1.0),
        label=_RIGHT,
    )
op_case(
    "log_loss_lod",
    lambda fluid, input, label: fluid.layers.log_loss(input, label),
    input=Input(4, 1, low=0.0, high=1.0, lens=[[3, 0, 1]]),
    label=_RIGHT,
)
op_case("bpr_loss", lambda fluid, input, label: fluid.layers.bpr_loss(input, label), input=_LOGITS, label=_LABEL)
op_case(
    "bpr_loss_named",
    lambda fluid, input, label: fluid.layers.bpr_loss(input, label, name="ranks"),
    input=_LOGITS,
    label=_LABEL,
)
op_case(
    "huber_loss",
    lambda fluid, input, label: fluid.layers.huber_loss(input, label, 1.5),
    input=Input(5, 1, values=[[-4.0], [-1.0], [0.25], [1.0], [6.0]]),
    label=Input(5, 1),
)
for _name, _options in (
    ("plain", {}),
    ("sigma", {"sigma": 2.0}),
):
    op_case(
        "smooth_l1_" + _name,
        lambda fluid, x, y, o=_options: fluid.layers.smooth_l1(x, y, **o),
        x=Input(4, 3, low=-3.0, high=3.0),
        y=Input(4, 3),
    )
op_case(
    "smooth_l1_weights",
    lambda fluid, x, y, i, o: fluid.layers.smooth_l1(x, y, inside_weight=i, outside_weight=o),
    x=Input(4, 3, low=-3.0, high=3.0),
    y=Input(4, 3),
    i=Input(4, 3, low=0.5, high=2.0, grad=False),
    o=Input(4, 3, low=0.5, high=2.0, grad=False),
)
for _name in ("mean", "sum", "batchmean", "none"):
    op_case(
        "kldiv_loss_" + _name,
        lambda fluid, x, target, r=_name: fluid.layers.kldiv_loss(x, target, reduction=r),
        x=Input(4, 3, low=-3.0, high=-0.1),
        target=Input(4, 3, values=[0.2, 0.3, 0.5, 0.0, 1.0, 0.0, 0.6, 0.4, -0.1, 0.7, 0.1, 0.2], grad=False),
    )
op_case(
    "rank_loss",
    lambda fluid, label, left, right: fluid.layers.rank_loss(label, left, right),
    label=_RIGHT,
    left=Input(4, 1, low=-2.0, high=2.0),
    right=Input(4, 1, low=-2.0, high=2.0),
)
for _name, _options in (("default", {}), ("margin", {"margin": 0.75})):
    op_case(
        "margin_rank_loss_" + _name,
        lambda fluid, label, left, right, o=_options: fluid.layers.margin_rank_loss(label, left, right, **o),
        label=Input(4, 1, values=[[1.0], [-1.0], [1.0], [-1.0]], grad=False),
        left=Input(4, 1, low=-2.0, high=2.0),
        right=Input(4, 1, low=-2.0, high=2.0),
    )
for _name, _options in (("default", {}), ("bounds", {"soft_max_up_bound": 1.0, "soft_max_lower_bound": -0.5})):
    op_case(
        "teacher_student_sigmoid_loss_" + _name,
        lambda fluid, input, label, o=_options: fluid.layers.teacher_student_sigmoid_loss(input, label, **o),
        input=Input(7, 1, values=[[-3.0], [-1.0], [0.5], [2.0], [-0.25], [0.75], [3.0]]),
        label=Input(7, 1, values=[[-2.0], [-1.0], [-1.5], [0.25], [1.5], [0.75], [1.0]], grad=False),
    )
# Fluid stops the gradient of the labels.
for _name, _options in (("default", {}), ("epsilon", {"epsilon": 0.2, "name": "soft"})):
    op_case(
        "label_smooth_" + _name,
        lambda fluid, label, o=_options: fluid.layers.label_smooth(label, **o),
        backward=False,
        label=Input(4, 5, low=0.0, grad=False),
    )
op_case(
    "label_smooth_prior",
    lambda fluid, label, prior: fluid.layers.label_smooth(label, prior_dist=prior),
    backward=False,
    label=Input(4, 5, low=0.0, grad=False),
    prior=Input(1, 5, low=0.0, fixed=True, grad=False),
)
