"""Products of rows: cosine similarity and bilinear forms."""

from .case import Input, op_case


def cos_sim_case(suffix, x, y):
    return op_case("cos_sim_" + suffix, lambda fluid, X, Y: fluid.layers.cos_sim(X, Y), X=x, Y=y)


cos_sim_case("rows", Input(3, 5), Input(3, 5))
cos_sim_case("one", Input(3, 5), Input(1, 5, fixed=True))
cos_sim_case("lod", Input(5, 3, lens=[[2, 0, 3]]), Input(5, 3))
cos_sim_case("3d", Input(2, 3, 5), Input(2, 3, 5))


def bilinear_case(suffix, **options):
    return op_case(
        "bilinear_tensor_product_" + suffix,
        lambda fluid, x, y: fluid.layers.bilinear_tensor_product(x, y, size=7, **options),
        x=Input(2, 3),
        y=Input(2, 5),
    )


bilinear_case("plain")
bilinear_case("act", act="tanh", name="pairs")
bilinear_case("no_bias", bias_attr=False)
