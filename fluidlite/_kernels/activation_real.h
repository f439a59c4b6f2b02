/* Included by activation.h once per CPU level and floating type, with REAL and FN defined. */

#include "columns_real.h"

#define EACH(result)                                                                                                   \
    INDEPENDENT                                                                                                        \
    for (Py_ssize_t j = 0; j < n; j++) {                                                                               \
        REAL v = bias ? x[j] + bias[j] : x[j];                                                                         \
        out[j] = result;                                                                                               \
    }                                                                                                                  \
    break;

ALWAYS_INLINE void FN(activate_span_of)(int kind, const REAL *x, const REAL *bias, REAL *out, Py_ssize_t n)
{
    switch (kind) {
    case SIGMOID: EACH(TYPED(sigmoid)(v))
    case TANH: EACH(TYPED(tanh)(v))
    case RELU: EACH(v < 0 ? 0 : v)
    case EXP: EACH(TYPED(exp)(v))
    default: EACH(v)
    }
}

#undef EACH

static inline void FN(activate_span)(int kind, const REAL *x, const REAL *bias, REAL *out, Py_ssize_t n)
{
    if (bias)
        FN(activate_span_of)(kind, x, bias, out, n);
    else
        FN(activate_span_of)(kind, x, NULL, out, n);
}

static inline void FN(activate_chunk)(void *ctx, Py_ssize_t chunk)
{
    const activation_job *job = (const activation_job *)ctx;
    Py_ssize_t begin = chunk * job->step;
    FN(activate_span)(job->kind, (const REAL *)job->x + begin, NULL, (REAL *)job->out + begin,
                      smaller(job->step, job->size - begin));
}

static inline void FN(activate_tile_chunk)(void *ctx, Py_ssize_t chunk)
{
    const activation_job *job = (const activation_job *)ctx;
    const column_tiles *c = &job->columns;
    tile_place t = tile_at(c, chunk);
    for (Py_ssize_t row = t.row; row < t.end; row++) {
        Py_ssize_t at = row * c->wide + t.column;
        FN(activate_span)(job->kind, (const REAL *)job->x + at, (const REAL *)job->bias + t.column,
                          (REAL *)job->out + at, tile_columns(c, &t, row));
    }
}

#define EACH(result)                                                                                                   \
    INDEPENDENT                                                                                                        \
    for (Py_ssize_t j = 0; j < n; j++) {                                                                               \
        REAL y = out[j], g = out_grad[j];                                                                              \
        g = result;                                                                                                    \
        x_grad[j] = g;                                                                                                 \
        if (sum)                                                                                                       \
            sum[j] += g;                                                                                               \
    }                                                                                                                  \
    break;

ALWAYS_INLINE void FN(activate_grad_span)(int kind, const REAL *out, const REAL *out_grad, REAL *x_grad, REAL *sum,
                                       Py_ssize_t n)
{
    switch (kind) {
    case SIGMOID: EACH(g * y * (1 - y))
    case TANH: EACH(g * (1 - y * y))
    case RELU: EACH(y > 0 ? g : 0)
    case EXP: EACH(g * y)
    default: (void)out; EACH(((void)y, g))
    }
}

#undef EACH

static inline void FN(activate_grad_chunk)(void *ctx, Py_ssize_t chunk)
{
    const activation_job *job = (const activation_job *)ctx;
    Py_ssize_t begin = chunk * job->step;
    FN(activate_grad_span)(job->kind, (const REAL *)job->out + begin, (const REAL *)job->out_grad + begin,
                           (REAL *)job->x_grad + begin, NULL, smaller(job->step, job->size - begin));
}

static inline void FN(activate_grad_tile_chunk)(void *ctx, Py_ssize_t chunk)
{
    const activation_job *job = (const activation_job *)ctx;
    const column_tiles *c = &job->columns;
    tile_place t = tile_at(c, chunk);
    FN(tile_sums) sums;
    FN(clear_sums)(&sums, t.n);
    for (Py_ssize_t row = t.row; row < t.end; row++) {
        Py_ssize_t at = row * c->wide + t.column;
        FN(activate_grad_span)(job->kind, (const REAL *)job->out + at, (const REAL *)job->out_grad + at,
                               (REAL *)job->x_grad + at, sums.part, tile_columns(c, &t, row));
        FN(end_row)(&sums, &t, row);
    }
    FN(store_sums)(c, &t, &sums);
}
