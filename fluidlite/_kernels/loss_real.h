/* Included by loss.h once per CPU level and floating type, with REAL and FN defined. */

#include "columns_real.h"

/* The largest of x + bias, which is left in `out`; without a bias `out` is not touched. NaN is skipped: it comes back
   out of exp. */
ALWAYS_INLINE REAL FN(row_top_of)(const REAL *x, const REAL *bias, REAL *out, Py_ssize_t n)
{
    REAL lane[LANES], v;
    Py_ssize_t j = 0;
    for (int l = 0; l < LANES; l++)
        lane[l] = -INFINITY;
    for (; j < n; j += LANES) {
        Py_ssize_t m = smaller(n - j, LANES);
        INDEPENDENT
        for (Py_ssize_t l = 0; l < m; l++) {
            v = x[j + l];
            if (bias) {
                v += bias[j + l];
                out[j + l] = v;
            }
            lane[l] = v > lane[l] ? v : lane[l];
        }
    }
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
            lane[l] = lane[l + width] > lane[l] ? lane[l + width] : lane[l];
    return lane[0];
}

/* Of a row with less than NARROW classes. */
static inline REAL FN(narrow_top)(const REAL *x, const REAL *bias, REAL *out, Py_ssize_t n)
{
    REAL top = -INFINITY;
    for (Py_ssize_t j = 0; j < n; j++) {
        REAL v = bias ? x[j] + bias[j] : x[j];
        out[j] = v;
        top = v > top ? v : top;
    }
    return top;
}

/* Fluid's softmax sees nothing further below the largest than this, so that no probability is 0 and the logarithm of
   each is finite. NaN stays NaN. */
static inline REAL FN(above_floor)(REAL v)
{
    return v < -64 ? -64 : v;
}

/* out = e^(x - top); returns the sum. */
static inline double FN(row_exp)(const REAL *x, REAL *out, REAL top, Py_ssize_t n)
{
    double total[LANES] = {0};
    REAL lane[LANES];
    Py_ssize_t j = 0;
    while (n - j >= LANES) {
        Py_ssize_t end = j + smaller((n - j) / LANES, LANE_STEPS) * LANES;
        memset(lane, 0, sizeof lane);
        for (; j < end; j += LANES) {
            INDEPENDENT
            for (int l = 0; l < LANES; l++) {
                REAL e = TYPED(exp)(FN(above_floor)(x[j + l] - top));
                out[j + l] = e;
                lane[l] += e;
            }
        }
        for (int l = 0; l < LANES; l++)
            total[l] += lane[l];
    }
    INDEPENDENT
    for (Py_ssize_t l = 0; l < n - j; l++) {
        REAL e = TYPED(exp)(FN(above_floor)(x[j + l] - top));
        out[j + l] = e;
        total[l] += e;
    }
    return add_lanes(total);
}

static inline void FN(scale_row)(REAL *out, REAL factor, Py_ssize_t n)
{
    for (Py_ssize_t j = 0; j < n; j++)
        out[j] *= factor;
}

/* Written as log(sum of e^(x - top)) - (x[label] - top), so that it stays exact where the softmax is 0. */
static inline void FN(store_loss)(const loss_job *job, Py_ssize_t row, double sum, double label_above_top)
{
    int ignored = is_ignored(job, label_at(job, row));
    ((REAL *)job->loss)[row] = ignored ? 0 : (REAL)(log_double(sum) - label_above_top);
}

static inline void FN(softmax_row)(const loss_job *job, Py_ssize_t row)
{
    Py_ssize_t n = job->n_classes;
    const REAL *x = (const REAL *)job->x + row * n, *bias = (const REAL *)job->bias;
    REAL *out = (REAL *)job->out + row * n;
    REAL top = bias ? FN(row_top_of)(x, bias, out, n) : FN(row_top_of)(x, NULL, out, n);
    double above = 0, sum;
    if (bias)
        x = out;
    if (job->loss && !is_ignored(job, label_at(job, row)))
        above = (double)x[label_at(job, row)] - top;
    sum = FN(row_exp)(x, out, top, n);
    FN(scale_row)(out, (REAL)(1 / sum), n);
    if (job->loss)
        FN(store_loss)(job, row, sum, above);
}

/* Rows with few classes: one exp over all of them. */
static inline void FN(softmax_rows)(const loss_job *job, Py_ssize_t row, Py_ssize_t n_rows)
{
    Py_ssize_t n = job->n_classes;
    const REAL *x = (const REAL *)job->x + row * n, *bias = (const REAL *)job->bias;
    REAL *out = (REAL *)job->out + row * n;
    double above[GROUP];
    for (Py_ssize_t i = 0; i < n_rows; i++) {
        REAL *at = out + i * n;
        REAL top = bias ? FN(narrow_top)(x + i * n, bias, at, n) : FN(narrow_top)(x + i * n, NULL, at, n);
        if (job->loss && !is_ignored(job, label_at(job, row + i)))
            above[i] = (double)at[label_at(job, row + i)] - top;
        for (Py_ssize_t j = 0; j < n; j++)
            at[j] -= top;
    }
    INDEPENDENT
    for (Py_ssize_t j = 0; j < n_rows * n; j++)
        out[j] = TYPED(exp)(FN(above_floor)(out[j]));
    for (Py_ssize_t i = 0; i < n_rows; i++) {
        double sum = 0;
        for (Py_ssize_t j = 0; j < n; j++)
            sum += out[i * n + j];
        FN(scale_row)(out + i * n, (REAL)(1 / sum), n);
        if (job->loss)
            FN(store_loss)(job, row + i, sum, above[i]);
    }
}

static inline void FN(softmax_chunk)(void *ctx, Py_ssize_t chunk)
{
    const loss_job *job = (const loss_job *)ctx;
    Py_ssize_t row = chunk * job->step, end = smaller(row + job->step, job->n_rows);
    Py_ssize_t group = job->n_classes < NARROW ? GROUP / larger(job->n_classes, 1) : 1;
    for (; row < end; row += group)
        if (job->n_classes < NARROW)
            FN(softmax_rows)(job, row, smaller(group, end - row));
        else
            FN(softmax_row)(job, row);
}

static inline double FN(row_dot)(const REAL *x, const REAL *y, Py_ssize_t n)
{
    double total[LANES] = {0};
    REAL lane[LANES];
    Py_ssize_t j = 0;
    while (n - j >= LANES) {
        Py_ssize_t end = j + smaller((n - j) / LANES, LANE_STEPS) * LANES;
        memset(lane, 0, sizeof lane);
        for (; j < end; j += LANES)
            for (int l = 0; l < LANES; l++)
                lane[l] += x[j + l] * y[j + l];
        for (int l = 0; l < LANES; l++)
            total[l] += lane[l];
    }
    for (Py_ssize_t l = 0; l < n - j; l++)
        total[l] += x[j + l] * y[j + l];
    return add_lanes(total);
}

static inline void FN(softmax_grad_chunk)(void *ctx, Py_ssize_t chunk)
{
    const loss_job *job = (const loss_job *)ctx;
    Py_ssize_t row = chunk * job->step, end = smaller(row + job->step, job->n_rows), n = job->n_classes;
    for (; row < end; row++) {
        const REAL *y = (const REAL *)job->x + row * n, *g = (const REAL *)job->out_grad + row * n;
        REAL *x_grad = (REAL *)job->x_grad + row * n;
        REAL mean = (REAL)FN(row_dot)(y, g, n);
        INDEPENDENT
        for (Py_ssize_t j = 0; j < n; j++)
            x_grad[j] = y[j] * (g[j] - mean);
    }
}

/* x_grad = factor * softmax, added to `sum` if there is one. */
ALWAYS_INLINE void FN(grad_span)(const REAL *softmax, REAL factor, REAL *x_grad, REAL *sum, Py_ssize_t n)
{
    INDEPENDENT
    for (Py_ssize_t j = 0; j < n; j++) {
        REAL g = factor * softmax[j];
        x_grad[j] = g;
        if (sum)
            sum[j] += g;
    }
}

/* The columns [column, column + n) of one row. */
ALWAYS_INLINE void FN(grad_row)(const loss_job *job, Py_ssize_t row, Py_ssize_t column, Py_ssize_t n, REAL *sum)
{
    Py_ssize_t at = row * job->n_classes + column;
    const REAL *softmax = (const REAL *)job->x + at;
    REAL *x_grad = (REAL *)job->x_grad + at, g;
    REAL factor = *(const REAL *)(job->out_grad + row * job->out_grad_stride);
    int64_t label = label_at(job, row);
    if (is_ignored(job, label)) {
        memset(x_grad, 0, (size_t)n * sizeof(REAL));
        return;
    }
    label -= column;
    if (label < 0 || label >= n) {
        FN(grad_span)(softmax, factor, x_grad, sum, n);
        return;
    }
    FN(grad_span)(softmax, factor, x_grad, sum, label);
    g = factor * (softmax[label] - 1);
    x_grad[label] = g;
    if (sum)
        sum[label] += g;
    FN(grad_span)(softmax + label + 1, factor, x_grad + label + 1, sum ? sum + label + 1 : NULL, n - label - 1);
}

static inline void FN(cross_entropy_grad_chunk)(void *ctx, Py_ssize_t chunk)
{
    const loss_job *job = (const loss_job *)ctx;
    Py_ssize_t row = chunk * job->step, end = smaller(row + job->step, job->n_rows);
    for (; row < end; row++)
        FN(grad_row)(job, row, 0, job->n_classes, NULL);
}

static inline void FN(cross_entropy_grad_tile_chunk)(void *ctx, Py_ssize_t chunk)
{
    const loss_job *job = (const loss_job *)ctx;
    const column_tiles *c = &job->columns;
    tile_place t = tile_at(c, chunk);
    FN(tile_sums) sums;
    FN(clear_sums)(&sums, t.n);
    for (Py_ssize_t wide = t.row; wide < t.end; wide++) {
        if (c->fold == 1)
            FN(grad_row)(job, wide, t.column, t.n, sums.part);
        else
            for (Py_ssize_t i = 0; i < smaller(c->fold, job->n_rows - wide * c->fold); i++)
                FN(grad_row)(job, wide * c->fold + i, 0, c->width, sums.part + i * c->width);
        FN(end_row)(&sums, &t, wide);
    }
    FN(store_sums)(c, &t, &sums);
}

static inline void FN(sigmoid_cross_entropy_chunk)(void *ctx, Py_ssize_t chunk)
{
    const loss_job *job = (const loss_job *)ctx;
    Py_ssize_t begin = chunk * job->step, n = smaller(job->step, job->size - begin);
    const REAL *x = (const REAL *)job->x + begin, *label = (const REAL *)job->label + begin;
    REAL *out = (REAL *)job->out + begin, ignored = (REAL)job->ignore_value;
    INDEPENDENT
    for (Py_ssize_t j = 0; j < n; j++) {
        REAL v = x[j], z = label[j];
        REAL loss = (v < 0 ? 0 : v) - v * z + TYPED(log_one_plus_exp)(v);
        out[j] = z == ignored ? 0 : loss;
    }
}

static inline void FN(sigmoid_cross_entropy_grad_chunk)(void *ctx, Py_ssize_t chunk)
{
    const loss_job *job = (const loss_job *)ctx;
    Py_ssize_t begin = chunk * job->step, n = smaller(job->step, job->size - begin);
    const REAL *x = (const REAL *)job->x + begin, *label = (const REAL *)job->label + begin;
    const REAL *out_grad = (const REAL *)job->out_grad + begin;
    REAL *x_grad = (REAL *)job->x_grad + begin, ignored = (REAL)job->ignore_value;
    INDEPENDENT
    for (Py_ssize_t j = 0; j < n; j++) {
        REAL z = label[j], g = out_grad[j] * (TYPED(sigmoid)(x[j]) - z);
        x_grad[j] = z == ignored ? 0 : g;
    }
}
