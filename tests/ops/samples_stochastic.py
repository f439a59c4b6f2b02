"""Samples of dropout and shuffle_batch. What is drawn is the kernel's affair; here it has to fit the outputs."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3, low=0.5)
_CUBE = uniform(2, 3, 5, low=0.5)


def _drops(p, scale):
    def check(results, inputs):
        x, mask, out = inputs["X"], results["Mask"], results["Out"]
        assert mask.dtype == np.uint8 and mask.shape == x.shape and ((mask == 0) | (mask == 1)).all()
        np.testing.assert_array_equal(out, np.where(mask == 1, x * x.dtype.type(scale), 0))
        if p in (0, 1):
            assert (mask == 1 - p).all()

    return check


for _x in (_X, _CUBE):
    for _p in (0.5, 0.25, 0.0, 1.0):
        _attrs = {} if _p == 0.5 else {"dropout_prob": _p}
        add("dropout", {"X": _x}, check=_drops(_p, 1), attrs=_attrs, batch=("X",))
        add(
            "dropout",
            {"X": _x},
            check=_drops(_p, 1 / (1 - _p) if _p < 1 else 0),
            attrs={**_attrs, "dropout_implementation": "upscale_in_train", "seed": 3, "fix_seed": True},
            batch=("X",),
        )
        for _implementation, _scale in (("downgrade_in_infer", 1 - _p), ("upscale_in_train", 1.0)):
            add(
                "dropout",
                {"X": _x},
                lambda X, s=_scale: {"Out": X * s, "Mask": np.array(1, np.uint8)},
                attrs={**_attrs, "is_test": True, "dropout_implementation": _implementation},
                batch=("X",),
            )


def _shuffles(results, inputs):
    x, index = inputs["X"], results["ShuffleIdx"]
    rows = np.asarray(x).reshape(-1, x.shape[-1])
    assert sorted(index) == list(range(len(rows)))
    np.testing.assert_array_equal(np.asarray(results["Out"]).reshape(rows.shape), rows[index])
    np.testing.assert_array_equal(results["SeedOut"], inputs["Seed"] + 1)


for _x in (_X, _CUBE, np.arange(10).reshape(5, 2)):
    for _seed in (0, -7, 2**62):
        add(
            "shuffle_batch",
            {"X": _x, "Seed": np.array([_seed])},
            check=_shuffles,
            attrs={"startup_seed": _seed} if _seed else {},
            batch=("X",),
        )
