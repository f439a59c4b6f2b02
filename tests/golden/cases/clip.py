"""Gradient clipping: three ways, by the optimizer and by the program, dense and sparse, with decay, of errors."""

from .case import case, variants
from .optimizer import model, training


def clips(fluid):
    clip = fluid.clip
    return {
        "value": clip.GradientClipByValue(0.02),
        "value_min": clip.GradientClipByValue(0.03, min=-0.01),
        "norm": clip.GradientClipByNorm(0.05),
        "global_norm": clip.GradientClipByGlobalNorm(0.06),
        "global_norm_large": clip.GradientClipByGlobalNorm(60.0),
    }


def both(names, **options):
    return {
        f"{name}_{kind}": {"name": name, "sparse": kind == "sparse", **options}
        for name in names
        for kind in ("dense", "sparse")
    }


_NAMES = ("value", "value_min", "norm", "global_norm", "global_norm_large")


@variants(**both(_NAMES))
def grad_clip(fluid, name, sparse):
    optimizer = fluid.optimizer.SGD(0.1, grad_clip=clips(fluid)[name])
    return training(fluid, model(fluid, sparse, bias_attr="b"), optimizer)


@variants(**both(("value", "norm", "global_norm")))
def set_gradient_clip(fluid, name, sparse):
    loss = model(fluid, sparse, bias_attr="b")
    fluid.clip.set_gradient_clip(clips(fluid)[name])
    return training(fluid, loss, fluid.optimizer.SGD(0.1))


@variants(**both(("global_norm",)))
def clip_then_decay(fluid, name, sparse):
    decay = fluid.regularizer.L2Decay(0.1)
    optimizer = fluid.optimizer.SGD(0.1, regularization=decay, grad_clip=clips(fluid)[name])
    return training(fluid, model(fluid, sparse, bias_attr="b"), optimizer)


@case
def need_clip(fluid):
    clip = fluid.clip.GradientClipByGlobalNorm(0.01, need_clip=lambda parameter: parameter.name != "b")
    return training(fluid, model(fluid, True, bias_attr="b"), fluid.optimizer.SGD(0.1, grad_clip=clip))


@case
def set_gradient_clip_names(fluid):
    loss = model(fluid, False, bias_attr="b")
    fluid.clip.set_gradient_clip(fluid.clip.GradientClipByNorm(0.05), param_list=["w", "b", "table"])
    return training(fluid, loss, fluid.optimizer.SGD(0.1))


@case
def error_clip(fluid):
    loss = model(fluid, False, bias_attr="b")
    hidden = fluid.default_main_program().global_block().var("embedding_0.tmp_0")
    hidden.error_clip = fluid.clip.ErrorClipByValue(0.01)
    return training(fluid, loss, fluid.optimizer.SGD(0.1))
