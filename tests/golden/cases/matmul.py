"""Matrix products: mul, matmul, fc."""

import numpy

from .case import Input, Run, case, grad_name, op_case, parameters, uniform


def mul_case(name, x, y, shapes=None, **options):
    return op_case(name, lambda fluid, x, y: fluid.layers.mul(x, y, **options), shapes=shapes, x=x, y=y)


mul_case("mul_2d", Input(2, 3), Input(3, 5, fixed=True))
mul_case("mul_x_num_col_dims_2", Input(2, 3, 5), Input(5, 7, fixed=True), x_num_col_dims=2)
mul_case("mul_flatten_x", Input(2, 3, 5), Input(15, 7, fixed=True))
mul_case("mul_y_num_col_dims_2", Input(2, 15), Input(3, 5, 7, fixed=True), y_num_col_dims=2)
mul_case("mul_float64", Input(2, 3, dtype="float64"), Input(3, 5, fixed=True, dtype="float64"))
mul_case("mul_lod", Input(5, 3, lens=[[2, 0, 3]]), Input(3, 2, fixed=True))


def matmul_case(name, x, y, dtype="float32", **options):
    return op_case(
        "matmul_" + name,
        lambda fluid, x, y: fluid.layers.matmul(x, y, **options),
        x=Input(*x, fixed=True, dtype=dtype),
        y=Input(*y, fixed=True, dtype=dtype),
    )


matmul_case("2d", (2, 3), (3, 5))
matmul_case("2d_transpose_x", (3, 2), (3, 5), transpose_x=True)
matmul_case("2d_transpose_y", (2, 3), (5, 3), transpose_y=True)
matmul_case("2d_transpose_both", (3, 2), (5, 3), transpose_x=True, transpose_y=True)
matmul_case("2d_alpha", (2, 3), (3, 5), alpha=0.25)
matmul_case("batched", (2, 3, 5), (2, 5, 7))
matmul_case("batched_transpose_x", (2, 5, 3), (2, 5, 7), transpose_x=True)
matmul_case("batched_transpose_y", (2, 3, 5), (2, 7, 5), transpose_y=True, alpha=-1.5)
matmul_case("batched_transpose_both", (2, 5, 3), (2, 7, 5), transpose_x=True, transpose_y=True)
matmul_case("4d", (2, 3, 2, 5), (2, 3, 5, 4))
matmul_case("3d_with_2d", (2, 3, 5), (5, 7))
matmul_case("2d_with_3d", (3, 5), (2, 5, 7))
matmul_case("1d_1d", (5,), (5,))
matmul_case("1d_1d_outer", (3,), (5,), transpose_x=True, transpose_y=True)
matmul_case("2d_1d", (2, 5), (5,))
matmul_case("1d_2d", (5,), (5, 3))
matmul_case("3d_1d", (2, 3, 5), (5,))
matmul_case("float64", (2, 3), (3, 5), dtype="float64")
op_case("matmul_batch_unknown", lambda fluid, x, y: fluid.layers.matmul(x, y), x=Input(2, 3, 5), y=Input(2, 5, 7))
op_case("matmul_itself", lambda fluid, x: fluid.layers.matmul(x, x, transpose_y=True), shapes=[(2, 2)], x=Input(2, 3))


def fc_case(suffix, spec=None, size=4, **options):
    return op_case("fc_" + suffix, lambda fluid, x: fluid.layers.fc(x, size, **options), x=spec or Input(2, 3))


fc_case("plain")
fc_case("numpy_size", size=numpy.int64(4))
fc_case("relu", act="relu")
fc_case("sigmoid", act="sigmoid")
fc_case("tanh", act="tanh")
fc_case("softmax", act="softmax")
fc_case("no_bias", bias_attr=False)
fc_case("no_bias_act", bias_attr=False, act="tanh")
fc_case("3d_flattened", Input(2, 3, 5))
fc_case("num_flatten_dims_2", Input(2, 3, 5), num_flatten_dims=2, act="sigmoid")
fc_case("num_flatten_dims_minus1", Input(2, 3, 5), num_flatten_dims=-1)
fc_case("named", name="hidden")
fc_case("attr_strings", param_attr="weights", bias_attr="bias")
fc_case("float64", Input(2, 3, dtype="float64"), act="tanh")
fc_case("lod", Input(5, 3, lens=[[2, 0, 3]]), act="relu")
op_case(
    "fc_list",
    lambda fluid, x, y: fluid.layers.fc([x, y], 4, act="tanh"),
    x=Input(2, 3),
    y=Input(2, 5),
)
op_case(
    "fc_list_attrs",
    lambda fluid, x, y: fluid.layers.fc(
        [x, y], 4, param_attr=[fluid.ParamAttr(name="first"), fluid.ParamAttr(name="second")], bias_attr=False
    ),
    x=Input(2, 3),
    y=Input(2, 5),
)


@case
def fc_shared_weight(fluid):
    """Two layers with one weight and one bias."""
    x = fluid.data("x", [-1, 3])
    x.stop_gradient = False
    one = fluid.layers.fc(x, 3, param_attr="w", bias_attr="b", act="tanh")
    two = fluid.layers.fc(one, 3, param_attr="w", bias_attr="b", act="tanh")
    loss = fluid.layers.mean(fluid.layers.square(two))
    fluid.backward.append_backward(loss)
    fetch = [one, two, loss, grad_name(x), grad_name(one)] + [grad_name(name) for name in parameters(fluid)]
    return Run([{"x": uniform("fc_shared", 2, 3)}], fetch)


@case
def fc_stack(fluid):
    """Three layers, whose names count up."""
    x = fluid.layers.data("x", [3])
    hidden = fluid.layers.fc(x, 5, act="relu")
    hidden = fluid.layers.fc(hidden, 4, act="tanh")
    out = fluid.layers.fc(hidden, 2)
    loss = fluid.layers.mean(fluid.layers.square(out))
    fluid.backward.append_backward(loss)
    return Run([{"x": uniform("fc_stack", 2, 3)}], [out, loss] + [grad_name(name) for name in parameters(fluid)])
