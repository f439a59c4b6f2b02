"""Products of matrices: `mul`, which flattens its operands, and `matmul`, which takes stacks of matrices."""

import math

import numpy as np

from .registry import Meta, OpDef, Slot, grad_spec, register_op


def _for_blas(a):
    """`a`, copied if BLAS could not read its matrices where they lie: NumPy would multiply those in a slow loop."""
    if a.flags.c_contiguous:
        return a
    rows, columns = a.strides[-2:]
    item, (m, n) = a.itemsize, a.shape[-2:]
    if columns == item and rows >= n * item or rows == item and columns >= m * item:
        return a
    return np.ascontiguousarray(a)


def _flat(a, num_col_dims):
    """An array as the matrix whose rows are its first `num_col_dims` dimensions."""
    if a.ndim == 2:
        return a
    return a.reshape(math.prod(a.shape[:num_col_dims]), math.prod(a.shape[num_col_dims:]))


def _prod(dims):
    return -1 if -1 in dims else math.prod(dims)


@register_op
class Mul(OpDef):
    """Out = X Y as matrices: X's first `x_num_col_dims` dimensions are its rows, Y's first `y_num_col_dims` its rows.

    Out has X's row dimensions followed by Y's column dimensions: X (2, 3, 5), Y (15, 7) give (2, 7).
    Errors: InvalidArgumentError when the inner sizes differ. Source: Fluid's layers.mul.
    """

    type = "mul"
    inputs = (Slot("X", dtypes="float"), Slot("Y", dtypes="float"))
    outputs = (Slot("Out"),)
    attrs = {"x_num_col_dims": 1, "y_num_col_dims": 1}
    lod_from = "X"

    _last = (None, None, None)

    def _out_shape(self, x, y):
        if self._last[0] != x or self._last[1] != y:
            self._last = x, y, self._checked_shape(x, y)
        return self._last[2]

    def _checked_shape(self, x, y):
        m, n = self.attr["x_num_col_dims"], self.attr["y_num_col_dims"]
        for slot, shape, count in (("X", x, m), ("Y", y, n)):
            if not 0 < count < len(shape):
                self.fail(
                    f"{self.var(slot)} has too few dimensions.",
                    expected=f"more than {slot.lower()}_num_col_dims = {count} > 0 dimensions",
                    actual=f"shape {list(shape)}",
                )
        width, height = _prod(x[m:]), _prod(y[:n])
        if width != height and -1 not in (width, height):
            self.fail(
                "After flatten the input tensor X and Y to 2-D dimensions matrix X1 and Y1, the matrix X1's width must "
                f"be equal with matrix Y1's height. But received X's shape = {list(x)}, X1's width = {width}; Y's "
                f"shape = {list(y)}, Y1's height = {height}.",
                expected=f"{height}, the height of Y ({self.var('Y')})",
                actual=f"{width}, the width of X ({self.var('X')})",
            )
        return (*x[:m], *y[n:])

    def infer_shape(self, x, y):
        return Meta(self._out_shape(x.shape, y.shape), x.dtype)

    def run(self, x, y, out):
        array = out(self._out_shape(x.shape, y.shape))
        x = _flat(x, self.attr["x_num_col_dims"])
        y = _flat(y, self.attr["y_num_col_dims"])
        np.matmul(_for_blas(x), _for_blas(y), out=array.reshape(x.shape[0], y.shape[1]))
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Y"), in_grads=("X", "Y"))]


@register_op
class MulGrad(OpDef):
    """Gradient of `mul`: X@GRAD = Out@GRAD Y^T and Y@GRAD = X^T Out@GRAD, as matrices."""

    type = "mul_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Y", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"), Slot("Y@GRAD"))
    attrs = Mul.attrs
    differentiable = False

    def infer_shape(self, x, y, out_grad):
        return Meta(x.shape, x.dtype), Meta(y.shape, y.dtype)

    def run(self, x, y, out_grad, x_out, y_out):
        x_, y_ = _flat(x, self.attr["x_num_col_dims"]), _flat(y, self.attr["y_num_col_dims"])
        grad = _for_blas(out_grad.reshape(x_.shape[0], y_.shape[1]))
        x_grad = y_grad = None
        if x_out is not None:
            x_grad = x_out(x.shape)
            np.matmul(grad, _for_blas(y_).T, out=x_grad.reshape(x_.shape))
        if y_out is not None:
            y_grad = y_out(y.shape)
            np.matmul(_for_blas(x_).T, grad, out=y_grad.reshape(y_.shape))
        return x_grad, y_grad


class _Matmul(OpDef):
    attrs = {"transpose_X": False, "transpose_Y": False, "alpha": 1.0}

    def matrices(self, x, y):
        """X and Y as (stacks of) matrices that are multiplied as they are: a vector is a row of X, a column of Y."""
        x = x.reshape(1, -1) if x.ndim == 1 else x
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        return (
            x.swapaxes(-1, -2) if self.attr["transpose_X"] else x,
            y.swapaxes(-1, -2) if self.attr["transpose_Y"] else y,
        )

    def out_shape(self, x, y):
        """The shape of Out, where a dimension of 1 that stood for a vector is dropped again."""
        x_ = (1, *x) if len(x) == 1 else x
        y_ = (*y, 1) if len(y) == 1 else y
        if not x or not y:
            self._refuse("A scalar has no product of matrices.", x, y)
        (m, k) = x_[-2:][::-1] if self.attr["transpose_X"] else x_[-2:]
        (h, n) = y_[-2:][::-1] if self.attr["transpose_Y"] else y_[-2:]
        if k != h and -1 not in (k, h):
            self._refuse(
                "After performing an optional transpose, Input X's width should be equal to Y's width for "
                f"multiplication prerequisites. But received X's shape: {list(x_)}, Y's shape: {list(y_)}",
                x,
                y,
            )
        x_batch, y_batch = x_[:-2], y_[:-2]
        if x_batch and y_batch:
            same = len(x_batch) == len(y_batch) and all(
                a == b or -1 in (a, b) for a, b in zip(x_batch, y_batch, strict=True)
            )
            if not same:
                self._refuse(
                    "When the matrix is larger than 2 dimensions, the higher dimensional values of the two matrices "
                    f"need to be equal. But received X's shape: {list(x)}, Y's shape: {list(y)}.",
                    x,
                    y,
                )
            batch = tuple([max(a, b) for a, b in zip(x_batch, y_batch, strict=True)])
        else:
            batch = x_batch or y_batch
        shape = (*batch, m, n)
        if len(x) == 1 and shape[-2] == 1:
            shape = (*batch, n)
        if len(y) == 1 and shape[-1] == 1:
            shape = shape[:-1]
        return shape or (1,)

    def _refuse(self, summary, x, y):
        self.fail(
            summary,
            expected="X (..., M, K) and Y (..., K, N) after transposition",
            actual=f"{self.var('X')} {list(x)}, {self.var('Y')} {list(y)}, transpose_X = {self.attr['transpose_X']}, "
            f"transpose_Y = {self.attr['transpose_Y']}",
        )


def _product_shape(x, y):
    return (*(x.shape[:-2] or y.shape[:-2]), x.shape[-2], y.shape[-1])


@register_op
class Matmul(_Matmul):
    """Out = alpha X Y, of matrices or of stacks of them, each transposed first if `transpose_X`, `transpose_Y`.

    X: (..., M, K), Y: (..., K, N), Out: (..., M, N); the leading dimensions are equal, or one operand has none.
    A vector is a row as X and a column as Y, and that dimension is dropped from Out; two vectors give (1,).
    Errors: InvalidArgumentError when the shapes do not fit. Source: Fluid's layers.matmul.
    """

    type = "matmul"
    inputs = (Slot("X", dtypes="float"), Slot("Y", dtypes="float"))
    outputs = (Slot("Out"),)
    lod_from = "X"

    def infer_shape(self, x, y):
        return Meta(self.out_shape(x.shape, y.shape), x.dtype)

    def run(self, x, y, out):
        array = out(self.out_shape(x.shape, y.shape))
        x, y = self.matrices(x, y)
        product = array.reshape(_product_shape(x, y))
        if x.ndim > 2 and y.ndim == 2 and x.flags.c_contiguous:
            # One product of all rows is faster than one for each matrix of the stack.
            product, x = product.reshape(-1, y.shape[1]), x.reshape(-1, x.shape[-1])
        np.matmul(_for_blas(x), _for_blas(y), out=product)
        if self.attr["alpha"] != 1:
            np.multiply(array, self.attr["alpha"], out=array)
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Y"), in_grads=("X", "Y"))]


@register_op
class MatmulGrad(_Matmul):
    """Gradient of `matmul`: alpha Out@GRAD Y^T and alpha X^T Out@GRAD, summed over the stack for what has none."""

    type = "matmul_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Y", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"), Slot("Y@GRAD"))
    differentiable = False

    def infer_shape(self, x, y, out_grad):
        return Meta(x.shape, x.dtype), Meta(y.shape, y.dtype)

    def run(self, x, y, out_grad, x_out, y_out):
        x_, y_ = self.matrices(x, y)
        grad = _for_blas(out_grad.reshape(_product_shape(x_, y_)))
        x_grad = y_grad = None
        if x_out is not None:
            x_grad = x_out(x.shape)
            x_target, _ = self.matrices(x_grad, y)
            self._multiply(grad, _for_blas(y_).swapaxes(-1, -2), x_target)
        if y_out is not None:
            y_grad = y_out(y.shape)
            _, y_target = self.matrices(x, y_grad)
            self._multiply(_for_blas(x_).swapaxes(-1, -2), grad, y_target)
        return x_grad, y_grad

    def _multiply(self, a, b, target):
        """target = alpha a b, summed over the stack that a or b has and the target has not."""
        if target.ndim == 2 and max(a.ndim, b.ndim) > 2:
            target[...] = _stacked_product(a, b)
        elif target.strides[-1] == target.itemsize:
            np.matmul(a, b, out=target)
        else:
            np.matmul(b.swapaxes(-1, -2), a.swapaxes(-1, -2), out=target.swapaxes(-1, -2))
        if self.attr["alpha"] != 1:
            np.multiply(target, self.attr["alpha"], out=target)


def _stacked_product(a, b):
    """The sum over the stack of a[i] b[i], as one product of longer matrices: (M, S K) (S K, N)."""
    m, n = a.shape[-2], b.shape[-1]
    a = np.moveaxis(a.reshape(-1, *a.shape[-2:]), 0, 1).reshape(m, -1)
    return np.matmul(_for_blas(a), _for_blas(b.reshape(a.shape[1], n)))


@register_op
class BilinearTensorProduct(OpDef):
    """Out[n, k] = X[n] Weight[k] Y[n]^T + Bias[k].

    X: (N, M), Y: (N, D), Weight: (K, M, D), Bias: (1, K) or none, Out: (N, K).
    Errors: InvalidArgumentError when the shapes do not fit. Source: Fluid's layers.bilinear_tensor_product.
    """

    type = "bilinear_tensor_product"
    inputs = (
        Slot("X", dtypes="float"),
        Slot("Y", dtypes="float"),
        Slot("Weight", dtypes="float"),
        Slot("Bias", optional=True, dtypes="float"),
    )
    outputs = (Slot("Out"),)
    lod_from = "X"

    def infer_shape(self, x, y, weight, bias):
        if len(x.shape) != 2 or len(y.shape) != 2 or weight.shape[1:] != (x.shape[1], y.shape[1]):
            self.fail(
                f"the weight {self.var('Weight')} does not fit {self.var('X')} and {self.var('Y')}.",
                expected="X (N, M), Y (N, D), Weight (K, M, D)",
                actual=f"X {list(x.shape)}, Y {list(y.shape)}, Weight {list(weight.shape)}",
            )
        if x.shape[0] != y.shape[0] and -1 not in (x.shape[0], y.shape[0]):
            self.fail(
                f"{self.var('X')} and {self.var('Y')} have different numbers of rows.",
                expected=f"{x.shape[0]}",
                actual=f"{y.shape[0]}",
            )
        return Meta((x.shape[0], weight.shape[0]), x.dtype)

    def run(self, x, y, weight, bias, out):
        self.infer_shape(x, y, weight, bias)
        array = out((len(x), len(weight)))
        np.einsum("knd,nd->nk", _through(x, weight), y, out=array)
        return array if bias is None else np.add(array, bias, out=array)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Y", "Weight"), in_grads=("X", "Y", "Weight", "Bias"))]


def _through(x, weight):
    """x Weight[k] for each k: (K, N, D)."""
    return np.matmul(_for_blas(x), np.ascontiguousarray(weight))


@register_op
class BilinearTensorProductGrad(OpDef):
    """Gradient of `bilinear_tensor_product`: sums over k or n of Out@GRAD[n, k] and the other two factors."""

    type = "bilinear_tensor_product_grad"
    inputs = (
        Slot("X", dtypes="float"),
        Slot("Y", dtypes="float"),
        Slot("Weight", dtypes="float"),
        Slot("Out@GRAD", dtypes="float"),
    )
    outputs = (Slot("X@GRAD"), Slot("Y@GRAD"), Slot("Weight@GRAD"), Slot("Bias@GRAD"))
    differentiable = False

    def infer_shape(self, x, y, weight, out_grad):
        bias = Meta((1, weight.shape[0]), weight.dtype)
        return Meta(x.shape, x.dtype), Meta(y.shape, y.dtype), Meta(weight.shape, weight.dtype), bias

    def run(self, x, y, weight, out_grad, x_out, y_out, weight_out, bias_out):
        x_grad = y_grad = weight_grad = bias_grad = None
        if x_out is not None:
            x_grad = x_out(x.shape)
            np.einsum("nk,knm->nm", out_grad, _through(y, weight.swapaxes(1, 2)), out=x_grad)
        if y_out is not None:
            y_grad = y_out(y.shape)
            np.einsum("nk,knd->nd", out_grad, _through(x, weight), out=y_grad)
        if weight_out is not None:
            weight_grad = weight_out(weight.shape)
            scaled = np.ascontiguousarray(out_grad.T)[:, None, :] * x.T
            np.matmul(scaled, _for_blas(y), out=weight_grad)
        if bias_out is not None:
            bias_grad = bias_out((1, len(weight)))
            np.add.reduce(out_grad, axis=0, keepdims=True, out=bias_grad)
        return x_grad, y_grad, weight_grad, bias_grad
