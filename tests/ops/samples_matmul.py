"""Samples of the products of matrices."""

import numpy as np

from .grid import add, uniform


def _mul(x, y, m=1, n=1):
    rows, columns = x.shape[:m], y.shape[n:]
    inner = int(np.prod(y.shape[:n]))
    product = np.einsum("ik,kj->ij", x.reshape(int(np.prod(rows)), inner), y.reshape(inner, int(np.prod(columns))))
    return product.reshape(rows + columns)


add("mul", {"X": uniform(5, 3), "Y": uniform(3, 7)}, lambda X, Y: _mul(X, Y), batch=("X",))
add("mul", {"X": uniform(5, 2, 3), "Y": uniform(6, 7)}, lambda X, Y: _mul(X, Y), batch=("X",))
add(
    "mul",
    {"X": uniform(5, 2, 3), "Y": uniform(3, 7)},
    lambda X, Y: _mul(X, Y, 2),
    attrs={"x_num_col_dims": 2},
    batch=("X",),
)
add(
    "mul",
    {"X": uniform(5, 6), "Y": uniform(2, 3, 7)},
    lambda X, Y: _mul(X, Y, 1, 2),
    attrs={"y_num_col_dims": 2},
    batch=("X",),
)
add(
    "mul",
    {"X": uniform(2, 7, 15), "Y": uniform(3, 5, 2)},
    lambda X, Y: _mul(X, Y, 2, 2),
    attrs={"x_num_col_dims": 2, "y_num_col_dims": 2},
    batch=("X",),
)
add("mul", {"X": uniform(5, 3), "Y": uniform(3, 1)}, lambda X, Y: _mul(X, Y), batch=("X",))

# (X, Y, einsum, attrs, batch)
_MATMULS = (
    ((2, 3), (3, 5), "ik,kj->ij", {}, ("X",)),
    ((3, 2), (3, 5), "ki,kj->ij", {"transpose_X": True}, ()),
    ((2, 3), (5, 3), "ik,jk->ij", {"transpose_Y": True}, ("X",)),
    ((3, 2), (5, 3), "ki,jk->ij", {"transpose_X": True, "transpose_Y": True}, ("Y",)),
    ((2, 3, 5), (2, 5, 7), "bik,bkj->bij", {}, ("X", "Y")),
    ((2, 5, 3), (2, 5, 7), "bki,bkj->bij", {"transpose_X": True}, ("X", "Y")),
    ((2, 3, 5), (2, 7, 5), "bik,bjk->bij", {"transpose_Y": True}, ("X", "Y")),
    ((2, 5, 3), (2, 7, 5), "bki,bjk->bij", {"transpose_X": True, "transpose_Y": True}, ("X", "Y")),
    ((2, 3, 5), (5, 7), "bik,kj->bij", {}, ("X",)),
    ((2, 5, 3), (5, 7), "bki,kj->bij", {"transpose_X": True}, ("X",)),
    ((2, 3, 5), (7, 5), "bik,jk->bij", {"transpose_Y": True}, ("X",)),
    ((2, 5, 3), (7, 5), "bki,jk->bij", {"transpose_X": True, "transpose_Y": True}, ("X",)),
    ((3, 5), (2, 5, 7), "ik,bkj->bij", {}, ("Y",)),
    ((5, 3), (2, 7, 5), "ki,bjk->bij", {"transpose_X": True, "transpose_Y": True}, ("Y",)),
    ((2, 3, 5, 7), (2, 3, 7, 4), "abik,abkj->abij", {}, ("X", "Y")),
    ((2, 3, 5, 7), (7, 4), "abik,kj->abij", {}, ("X",)),
    ((3,), (3,), "k,k->", {}, ()),
    ((3,), (5,), "i,j->ij", {"transpose_X": True, "transpose_Y": True}, ()),
    ((3,), (3, 5), "k,kj->j", {}, ()),
    ((5, 3), (3,), "ik,k->i", {}, ("X",)),
    ((5,), (2, 5, 3), "k,bkj->bj", {}, ("Y",)),
    ((2, 3, 5), (5,), "bik,k->bi", {}, ("X",)),
)
for _x, _y, _formula, _attrs, _batch in _MATMULS:
    for _alpha in (1.0, -1.5):
        add(
            "matmul",
            {"X": uniform(*_x), "Y": uniform(*_y, seed=1)},
            lambda X, Y, f=_formula, a=_alpha: np.atleast_1d(a * np.einsum(f, X, Y)),
            attrs={**_attrs, **({} if _alpha == 1 else {"alpha": _alpha})},
            batch=_batch,
        )

for _bias in ({}, {"Bias": uniform(1, 7, seed=3)}):
    add(
        "bilinear_tensor_product",
        {"X": uniform(2, 3), "Y": uniform(2, 5, seed=1), "Weight": uniform(7, 3, 5, seed=2), **_bias},
        lambda X, Y, Weight, Bias=0: np.einsum("nm,kmd,nd->nk", X, Weight, Y) + Bias,
        batch=("X", "Y"),
    )
