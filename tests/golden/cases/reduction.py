"""mean and the reductions of one dim or of all."""

from .case import Input, op_case

op_case("mean", lambda fluid, x: fluid.layers.mean(x), x=Input(2, 3, 5))
op_case("mean_float64", lambda fluid, x: fluid.layers.mean(x), x=Input(2, 3, dtype="float64"))
op_case("mean_1d", lambda fluid, x: fluid.layers.mean(x), x=Input(5))
op_case("mean_lod", lambda fluid, x: fluid.layers.mean(x), x=Input(5, 2, lens=[[2, 3]]))


def reduce_case(name, suffix, spec=None, **options):
    spec = spec or Input(2, 3, 5, low=0.2, high=2.0)
    return op_case(f"{name}_{suffix}", lambda fluid, x: getattr(fluid.layers, name)(x, **options), x=spec)


for _name in ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"):
    reduce_case(_name, "all")
    reduce_case(_name, "dim0", dim=0)
    reduce_case(_name, "dim1", dim=1)
    reduce_case(_name, "minus1", dim=-1)
    reduce_case(_name, "minus2_keep", dim=-2, keep_dim=True)
    op_case(
        _name + "_all_keep",
        lambda fluid, x, name=_name: getattr(fluid.layers, name)(x, keep_dim=True),
        backward=False,  # Fluid fails in the gradient
        x=Input(2, 3, 5, low=0.2, high=2.0),
    )
for _name in ("reduce_sum", "reduce_mean"):
    reduce_case(_name, "list", dim=[1])
    reduce_case(_name, "1d", Input(5))
    reduce_case(_name, "lod", Input(5, 3, lens=[[2, 0, 3]]), dim=1, keep_dim=True)
    reduce_case(_name, "float64", Input(2, 3, dtype="float64"), dim=1)
reduce_case("reduce_max", "ties", Input(2, 3, values=[[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]), dim=1)
reduce_case("reduce_min", "ties", Input(2, 3, values=[[1.0, 1.0, 3.0], [2.0, 2.0, 2.0]]), dim=1)
for _name in ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"):
    op_case(
        _name + "_int64",
        lambda fluid, x, name=_name: getattr(fluid.layers, name)(x, dim=1),
        backward=False,
        x=Input(2, 3, dtype="int64", high=9),
    )
