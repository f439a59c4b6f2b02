"""SparseAdam beside PyTorch's (recorded with torch 2.13.0): the same within 1e-5 where gradients are large.

PyTorch puts epsilon beside the uncorrected root, we beside the corrected one; with gradients of at least 1e-2 and an
epsilon of 1e-8 that is far below float32's own error.
"""

from pathlib import Path

import numpy as np

import fluidlite
from fluidlite.functional import sparse_adam_

RECORDED = Path(__file__).parent / "golden" / "data" / "torch_sparse_adam.npz"


def test_same_parameters_as_pytorch_after_1_10_20_and_40_steps():
    with np.load(RECORDED) as recorded:
        param, moment1, moment2 = recorded["start"].copy(), *np.zeros((2, *recorded["start"].shape), np.float32)
        expected = dict(zip((1, 10, 20, 40), recorded["params"], strict=True))
        batches = list(zip(recorded["rows"], recorded["values"], strict=True))
    for step, (rows, value) in enumerate(batches, 1):
        grad = fluidlite.SelectedRows(rows=rows, value=value, height=len(param))
        sparse_adam_(param, moment1, moment2, grad, step, learning_rate=0.02)
        if step in expected:
            np.testing.assert_allclose(param, expected[step], rtol=0, atol=1e-5)
    untouched = np.setdiff1d(np.arange(len(param)), np.concatenate([rows for rows, _ in batches]))
    assert untouched.size and not moment1[untouched].any()
