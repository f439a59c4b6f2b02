/* Softmax and cross entropies. */

#ifndef FLUIDLITE_LOSS_H
#define FLUIDLITE_LOSS_H

#include "columns.h"

#define NARROW 32              /* classes: below, several rows are worked on at once */
#define GROUP 2048             /* elements of such rows */

typedef struct {
    column_tiles columns;      /* backward */
    Py_ssize_t n_rows;
    Py_ssize_t n_classes;
    Py_ssize_t step;           /* rows, or elements of sigmoid cross entropy, per chunk */
    Py_ssize_t size;
    const void *x;             /* logits; backward: the softmax */
    const void *bias;
    void *out;
    const char *label;         /* int64 with a stride in bytes; for sigmoid cross entropy contiguous REAL */
    Py_ssize_t label_stride;
    int64_t ignore_index;      /* with has_ignore */
    double ignore_value;
    int has_ignore;
    void *loss;
    const char *out_grad;      /* stride in bytes: of the rows' losses; elsewhere contiguous */
    Py_ssize_t out_grad_stride;
    void *x_grad;
} loss_job;

static inline int64_t label_at(const loss_job *job, Py_ssize_t row)
{
    return *(const int64_t *)(job->label + row * job->label_stride);
}

static inline int is_ignored(const loss_job *job, int64_t label)
{
    return job->has_ignore && label == job->ignore_index;
}

#define KERNELS "loss_real.h"
#include "each_variant.h"
#undef KERNELS

VARIANTS(softmax_chunk);
VARIANTS(softmax_grad_chunk);
VARIANTS(cross_entropy_grad_tile_chunk);
VARIANTS(cross_entropy_grad_chunk);
VARIANTS(sigmoid_cross_entropy_chunk);
VARIANTS(sigmoid_cross_entropy_grad_chunk);
VARIANTS(fold_columns_chunk);

#endif
