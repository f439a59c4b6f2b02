"""Prints checksums of what random numbers and every kernel that is compiled per CPU level give, as JSON.

Run by test_cpu.py, and by tools/test_wheels.py on other CPUs.

Results that are NaN by rights are left out: which NaN comes out is up to the CPU.
"""

import json
import zlib

import numpy as np

from fluidlite._kernels import (
    _parallel,
    activation,
    elementwise,
    loss,
    optimizers,
    random,
    reduction,
    row_optimizers,
    rows,
)

ADAM = {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
# The rules with states of the parameter's shape: name of the kernels, number of states, options.
RMSPROP = {"rho": 0.9, "epsilon": 1e-6, "momentum": 0.5}
RULES = (
    ("momentum", 1, {"mu": 0.9, "use_nesterov": False}),
    ("momentum", 1, {"mu": 0.9, "use_nesterov": True}),
    ("adagrad", 1, {"epsilon": 1e-6}),
    ("rmsprop", 2, {"centered": False, **RMSPROP}),
    ("rmsprop", 3, {"centered": True, **RMSPROP}),
    ("ftrl", 2, {"l1": 0.1, "l2": 0.2, "lr_power": -0.5}),
    ("ftrl", 2, {"l1": 0.1, "l2": 0.2, "lr_power": -0.8}),
)
ELEMENTS = 150_000  # several chunks of every kernel


def crc(*arrays):
    total = 0
    for array in arrays:
        total = zlib.crc32(np.ascontiguousarray(array).tobytes(), total)
    return total


def check_rows(dtype, width, note):
    rng = np.random.default_rng(width)
    height, n = 1009, ELEMENTS // 2 // width
    chunks = []
    for count, padding_id in ((n, None), (n // 3, 5)):
        ids = np.minimum(rng.zipf(1.3, count), height) - 1
        chunks.append((ids, rng.standard_normal((count, width)).astype(dtype), padding_id))
    start = [rng.standard_normal((height, width)).astype(dtype) for _ in range(3)]
    start[2] = np.abs(start[2])
    for name in ("sgd_rows", "adam_rows", "adam_rows_all", "sparse_adam_rows"):
        param, moment1, moment2 = (array.copy() for array in start)
        powers = [np.array([0.9], dtype), np.array([0.999], dtype)]
        step = np.zeros(1, np.int64)
        for _ in range(3):
            if name == "sgd_rows":
                row_optimizers.sgd_rows(param, chunks, 0.1)
            elif name == "sparse_adam_rows":
                row_optimizers.sparse_adam_rows(param, moment1, moment2, chunks, step, **ADAM)
            else:
                getattr(row_optimizers, name)(param, moment1, moment2, chunks, *powers, **ADAM)
        note(name, param, moment1, moment2, *powers)
    for name, n_states, options in RULES:
        param, states = start[0].copy(), [np.abs(start[1]) + 4, start[2].copy(), start[1] / 4][:n_states]
        for kernel in ("rows", "rows_all"):
            if kernel == "rows" or name in ("momentum", "rmsprop"):
                absent = [None] if name == "rmsprop" and n_states == 2 else []
                run = getattr(row_optimizers, f"{name}_{kernel}")
                run(param, *states, *absent, chunks, learning_rate=0.1, **options)
                note(f"{name} {kernel} {options}", param, *states)
    note("merge_rows", *rows.merge_rows(chunks, height))
    table = start[0].copy()
    rows.scatter_add_rows(table, chunks)
    note("scatter_add_rows", table)
    out = np.empty((n, width), dtype)
    rows.gather_rows(table, chunks[0][0], out)
    note("gather_rows", out)


def check_dense_updates(dtype, width, note):
    rng = np.random.default_rng(width)
    shape = (ELEMENTS // width, width)
    param, moment1, grad = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    moment2 = np.abs(grad) * 2
    optimizers.sgd_dense(param, grad, 0.1)
    note("sgd_dense", param)
    powers = [np.array([0.9], dtype), np.array([0.999], dtype)]
    for _ in range(3):
        optimizers.adam_dense(param, moment1, moment2, grad, *powers, **ADAM)
    note("adam_dense", param, moment1, moment2)
    for name, n_states, options in RULES:
        states = [np.abs(moment1) + 4, moment2.copy(), moment1 / 4][:n_states]
        absent = [None] if name == "rmsprop" and n_states == 2 else []
        getattr(optimizers, name + "_dense")(param, *states, *absent, grad, learning_rate=0.1, **options)
        note(f"{name} {options}", param, *states)


def check_activations(dtype, width, note):
    rng = np.random.default_rng(width)
    x = (rng.standard_normal((ELEMENTS // width, width)) * 3).astype(dtype)
    x[::7] *= 20
    grad, bias = rng.standard_normal(x.shape).astype(dtype), rng.standard_normal(width).astype(dtype)
    out, x_grad, bias_grad = np.empty_like(x), np.empty_like(x), np.empty_like(bias)
    for kind in ("sigmoid", "tanh", "relu", "exp", "identity"):
        for b in (None, bias):
            activation.activate(x, b, out, kind)
            note(f"activate {kind} {b is None}", out)
        # The derivative may overflow to inf - inf where exp itself is finite; the others are bounded.
        y = np.minimum(out, 1e3)
        activation.activate_grad(y, grad, x_grad, bias_grad, kind)
        note(f"activate_grad {kind}", x_grad, bias_grad)


def check_losses(dtype, width, note):
    rng = np.random.default_rng(width)
    n = ELEMENTS // width
    x = (rng.standard_normal((n, width)) * 5).astype(dtype)
    bias = rng.standard_normal(width).astype(dtype)
    label = rng.integers(0, width, n)
    label[::11] = -100
    out, losses, bias_grad = np.empty_like(x), np.empty(n, dtype), np.empty_like(bias)
    loss.softmax(x, None, out)
    note("softmax", out)
    grad = rng.standard_normal(x.shape).astype(dtype)
    x_grad = np.empty_like(x)
    loss.softmax_grad(out, grad, x_grad)
    note("softmax_grad", x_grad)
    loss.softmax_cross_entropy(x, bias, label, -100, out, losses)
    note("softmax_cross_entropy", out, losses)
    loss.softmax_cross_entropy_grad(out, label, -100, losses, x_grad, bias_grad)
    note("softmax_cross_entropy_grad", x_grad, bias_grad)
    target = rng.integers(-1, 2, x.shape).astype(dtype)
    loss.sigmoid_cross_entropy(x, target, -1, out)
    note("sigmoid_cross_entropy", out)
    loss.sigmoid_cross_entropy_grad(x, target, -1, grad, x_grad)
    note("sigmoid_cross_entropy_grad", x_grad)


def check_reductions(dtype, width, note):
    rng = np.random.default_rng(width)
    x = rng.standard_normal((2 * ELEMENTS // width, width)).astype(dtype)
    note("sums", np.array([reduction.sum_all(x), reduction.sum_of_squares(x)]))
    out = np.empty(width, dtype)
    reduction.sum_columns(x, out)
    note("sum_columns", out)
    for terms in (26, 70):
        part = x[: len(x) // terms * terms].reshape(-1, terms, width)
        out = np.empty((len(part), width), dtype)
        reduction.sum_rows(part, out)
        note(f"sum_rows {terms}", out)


def check_elementwise(dtype, width, note):
    rng = np.random.default_rng(width)
    x, y = (rng.standard_normal((ELEMENTS // width, width)).astype(dtype) for _ in range(2))
    out = np.empty_like(x)
    for name in ("add", "subtract", "multiply"):
        getattr(elementwise, name)(x, y, out)
        note(name, out)
    elementwise.add_scaled(x, y, 0.3, out)
    note("add_scaled", out)
    elementwise.scale(x, 0.3, out)
    note("scale", out)


def check_random(dtype, width, note):
    out = np.empty(ELEMENTS, dtype)
    for name in ("fill_uniform", "fill_gaussian", "fill_truncated_gaussian"):
        getattr(random, name)(out, 0.5, 2.0, seed=7, stream=width)
        note(name, out)


CHECKS = (
    check_rows,
    check_dense_updates,
    check_activations,
    check_losses,
    check_reductions,
    check_elementwise,
    check_random,
)


def checksums(threads):
    _parallel.set_num_threads(threads)
    found = {}
    for dtype in (np.float32, np.float64):
        for width in (7, 16, 50, 64, 128):
            for check in CHECKS:
                prefix = f"{np.dtype(dtype).name}, {width} columns: "
                check(dtype, width, lambda name, *arrays, at=prefix: found.__setitem__(at + name, crc(*arrays)))
    return found


if __name__ == "__main__":
    import sys

    sys.stdout.write(json.dumps({str(threads): checksums(threads) for threads in (1, 2)}))
