"""Samples of the update rules. The first and the last row, duplicates, and gradients without rows are among them."""

import numpy as np

from fluidlite.selected_rows import SelectedRows

from .grid import add, dense, rows, uniform

_V, _D = 7, 3
_GRADS = (
    uniform(_V, _D, seed=1),
    rows([0, _V - 1, 4, 0, 4], _D, _V, seed=1),
    SelectedRows(np.zeros(0, np.int64), np.zeros((0, _D)), _V),
)
_RATE = np.array([0.1])


def _touched(grad):
    """(V, 1) booleans: the rows that a gradient names."""
    if not isinstance(grad, SelectedRows):
        return np.ones((len(grad), 1), bool)
    return np.isin(np.arange(grad.height), grad.rows)[:, None]


for _grad in _GRADS:
    add(
        "sgd",
        {"Param": uniform(_V, _D), "Grad": _grad, "LearningRate": _RATE},
        lambda Param, Grad, LearningRate: Param - LearningRate * dense(Grad),
    )
add(
    "sgd",
    {"Param": uniform(5), "Grad": uniform(5, seed=1), "LearningRate": _RATE},
    lambda Param, Grad, LearningRate: Param - LearningRate * Grad,
)


def _moments(p, grad, m1, m2, b1, b2, lazy):
    g = dense(grad)
    rows_of = _touched(grad) if lazy else np.ones((len(p), *[1] * (p.ndim - 1)), bool)
    return rows_of, np.where(rows_of, b1 * m1 + (1 - b1) * g, m1), np.where(rows_of, b2 * m2 + (1 - b2) * g * g, m2)


def _adam(p, grad, rate, m1, m2, pow1, pow2, b1, b2, epsilon, lazy):
    moved, m1, m2 = _moments(p, grad, m1, m2, b1, b2, lazy)
    step = rate * np.sqrt(1 - pow2) / (1 - pow1) * m1 / (np.sqrt(m2) + epsilon)
    return {
        "ParamOut": np.where(moved, p - step, p),
        "Moment1Out": m1,
        "Moment2Out": m2,
        "Beta1PowOut": pow1 * b1,
        "Beta2PowOut": pow2 * b2,
    }


_STATE = {"Moment1": uniform(_V, _D, seed=2), "Moment2": uniform(_V, _D, seed=3, low=0.0)}
_POWERS = {"Beta1Pow": np.array([0.9**3]), "Beta2Pow": np.array([0.999**3])}
for _grad in _GRADS:
    for _attrs in ({}, {"lazy_mode": True}, {"beta1": 0.7, "beta2": 0.95, "epsilon": 0.01, "lazy_mode": True}):
        _b1, _b2 = _attrs.get("beta1", 0.9), _attrs.get("beta2", 0.999)
        add(
            "adam",
            {"Param": uniform(_V, _D), "Grad": _grad, "LearningRate": _RATE, **_STATE, **_POWERS},
            lambda Param, Grad, LearningRate, Moment1, Moment2, Beta1Pow, Beta2Pow, a=_attrs, b=(_b1, _b2): _adam(
                Param,
                Grad,
                LearningRate,
                Moment1,
                Moment2,
                Beta1Pow,
                Beta2Pow,
                *b,
                a.get("epsilon", 1e-8),
                a.get("lazy_mode", False) and isinstance(Grad, SelectedRows),
            ),
            attrs=_attrs,
        )
add(
    "adam",
    {
        "Param": uniform(_V, _D),
        "Grad": _GRADS[1],
        "LearningRate": _RATE,
        **_STATE,
        **_POWERS,
        "Beta1Tensor": np.array([0.5]),
        "Beta2Tensor": np.array([0.75]),
    },
    lambda Param, Grad, LearningRate, Moment1, Moment2, Beta1Pow, Beta2Pow, Beta1Tensor, Beta2Tensor: _adam(
        Param, Grad, LearningRate, Moment1, Moment2, Beta1Pow, Beta2Pow, 0.5, 0.75, 1e-8, False
    ),
)


def _sparse_adam(p, grad, rate, m1, m2, step, b1, b2, epsilon):
    moved, m1, m2 = _moments(p, grad, m1, m2, b1, b2, True)
    t = step[0] + 1
    move = rate * (m1 / (1 - b1**t)) / (np.sqrt(m2 / (1 - b2**t)) + epsilon)
    return {"ParamOut": np.where(moved, p - move, p), "Moment1Out": m1, "Moment2Out": m2, "StepOut": step + 1}


for _grad in _GRADS[1:]:
    for _attrs in ({}, {"beta1": 0.7, "beta2": 0.95, "epsilon": 0.01}):
        add(
            "sparse_adam",
            {"Param": uniform(_V, _D), "Grad": _grad, "LearningRate": _RATE, **_STATE, "Step": np.array([3])},
            lambda Param, Grad, LearningRate, Moment1, Moment2, Step, a=_attrs: _sparse_adam(
                Param,
                Grad,
                LearningRate,
                Moment1,
                Moment2,
                Step,
                a.get("beta1", 0.9),
                a.get("beta2", 0.999),
                a.get("epsilon", 1e-8),
            ),
            attrs=_attrs,
        )


def _momentum(p, grad, v, rate, mu=0.9, use_nesterov=False, lazy_mode=False):
    g = dense(grad)
    moved = _touched(grad) if lazy_mode else np.ones((len(p), *[1] * (p.ndim - 1)), bool)
    v = np.where(moved, mu * v + g, v)
    step = rate * (g + mu * v if use_nesterov else v)
    return {"ParamOut": np.where(moved, p - step, p), "VelocityOut": v}


_NESTEROV = {"mu": 0.7, "use_nesterov": True}
for _grad in _GRADS:
    for _attrs in ({}, _NESTEROV, {"lazy_mode": True}, {"lazy_mode": True, **_NESTEROV}):
        add(
            "momentum",
            {
                "Param": uniform(_V, _D),
                "Grad": _grad,
                "Velocity": uniform(_V, _D, seed=2),
                "LearningRate": _RATE,
            },
            lambda Param, Grad, Velocity, LearningRate, a=_attrs: _momentum(Param, Grad, Velocity, LearningRate, **a),
            attrs=_attrs,
        )


def _adagrad(p, grad, m, rate, epsilon=1e-6):
    g = dense(grad)
    m = m + g**2
    return {"ParamOut": p - rate * g / (np.sqrt(m) + epsilon), "MomentOut": m}


for _grad in _GRADS:
    for _attrs in ({}, {"epsilon": 0.1}):
        add(
            "adagrad",
            {
                "Param": uniform(_V, _D),
                "Grad": _grad,
                "Moment": uniform(_V, _D, seed=2, low=0.0),
                "LearningRate": _RATE,
            },
            lambda Param, Grad, Moment, LearningRate, a=_attrs: _adagrad(Param, Grad, Moment, LearningRate, **a),
            attrs=_attrs,
        )


def _rmsprop(p, s, a, rate, grad, m, epsilon=1e-10, decay=0.9, momentum=0.0, centered=False, lazy_mode=False):
    g = dense(grad)
    moved = _touched(grad) if lazy_mode else np.ones((len(p), *[1] * (p.ndim - 1)), bool)
    new_s = decay * s + (1 - decay) * g**2
    new_a = decay * a + (1 - decay) * g if centered else a
    new_m = momentum * m + rate * g / np.sqrt(new_s - (new_a**2 if centered else 0) + epsilon)
    outputs = {"ParamOut": (p - new_m, p), "MomentOut": (new_m, m), "MeanSquareOut": (new_s, s)}
    outputs["MeanGradOut"] = new_a, a
    return {slot: np.where(moved, *values) for slot, values in outputs.items()}


# The mean square stays above the square of the mean gradient.
_MEANS = {"MeanSquare": uniform(_V, _D, seed=2, low=1.0, high=2.0), "MeanGrad": 0.5 * uniform(_V, _D, seed=3)}
_OTHERS = {"epsilon": 0.1, "decay": 0.7, "momentum": 0.6}
for _grad in _GRADS:
    for _attrs in (
        {},
        _OTHERS,
        {"centered": True},
        {"lazy_mode": True, **_OTHERS},
        {"lazy_mode": True, "centered": True},
    ):
        add(
            "rmsprop",
            {
                "Param": uniform(_V, _D),
                **_MEANS,
                "LearningRate": _RATE,
                "Grad": _grad,
                "Moment": uniform(_V, _D, seed=4),
            },
            lambda Param, MeanSquare, MeanGrad, LearningRate, Grad, Moment, a=_attrs: _rmsprop(
                Param, MeanSquare, MeanGrad, LearningRate, Grad, Moment, **a
            ),
            attrs=_attrs,
        )


def _ftrl(p, n, z, grad, rate, l1=0.0, l2=0.0, lr_power=-0.5):
    g, moved = dense(grad), _touched(grad)
    new_n = n + g**2
    new_z = z + g - (new_n**-lr_power - n**-lr_power) / rate * p
    weight = (l1 * np.sign(new_z) - new_z) / (new_n**-lr_power / rate + 2 * l2)
    return {
        "ParamOut": np.where(moved, np.where(np.abs(new_z) > l1, weight, 0), p),
        "SquaredAccumOut": np.where(moved, new_n, n),
        "LinearAccumOut": np.where(moved, new_z, z),
    }


for _grad in _GRADS:
    for _attrs in ({}, {"l1": 0.3, "l2": 0.2}, {"lr_power": -0.7}):
        add(
            "ftrl",
            {
                "Param": uniform(_V, _D),
                "SquaredAccumulator": uniform(_V, _D, seed=2, low=0.1),
                "LinearAccumulator": uniform(_V, _D, seed=3),
                "Grad": _grad,
                "LearningRate": _RATE,
            },
            lambda Param, SquaredAccumulator, LinearAccumulator, Grad, LearningRate, a=_attrs: _ftrl(
                Param, SquaredAccumulator, LinearAccumulator, Grad, LearningRate, **a
            ),
            attrs=_attrs,
        )
