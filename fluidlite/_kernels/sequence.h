/* Rows of sequences: sums and extremes of each, softmax within each, and windows that stay inside each. */

#ifndef FLUIDLITE_SEQUENCE_H
#define FLUIDLITE_SEQUENCE_H

#include "spans.h"

enum { POOL_SUM, POOL_AVERAGE, POOL_SQRT, POOL_MAX, POOL_FIRST, POOL_LAST };

#define POOL_COLUMNS 64        /* columns that are summed side by side */
#define POOL_ROWS 64           /* rows that are added in their own type, before the sum is passed on to double */

typedef struct {
    const int64_t *offsets;    /* n_sequences + 1 */
    Py_ssize_t n_sequences;
    Py_ssize_t width;          /* D */
    Py_ssize_t step;           /* sequences per chunk */
    int kind;
    double pad_value;          /* of the sequences without rows */
    const void *x;             /* (T, D) */
    const void *out_grad;      /* (N, D), or (T,) of softmax */
    void *out;                 /* (N, D); backward and softmax: (T, D) */
    int32_t *index;            /* (N, D), or NULL: row that each maximum came from, -1 for none */
    Py_ssize_t context;        /* rows in a window */
    Py_ssize_t start;          /* of the window, counted from its row */
} sequence_job;

/* The divisor of a pooled sum. */
static inline double pool_divisor(int kind, Py_ssize_t n_rows)
{
    return kind == POOL_AVERAGE ? (double)n_rows : kind == POOL_SQRT ? sqrt((double)n_rows) : 1;
}

#define KERNELS "sequence_real.h"
#include "each_variant.h"
#undef KERNELS

VARIANTS(pool_chunk);
VARIANTS(pool_grad_chunk);
VARIANTS(softmax_steps_chunk);
VARIANTS(softmax_steps_grad_chunk);
VARIANTS(gather_context_chunk);
VARIANTS(scatter_context_chunk);

#endif
