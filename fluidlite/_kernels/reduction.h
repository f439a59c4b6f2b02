/* Sums of all elements, and along an axis. */

#ifndef FLUIDLITE_REDUCTION_H
#define FLUIDLITE_REDUCTION_H

#include "columns.h"

#define SUM_BLOCK 65536        /* elements per block; the sums of blocks are added in order, in double */

typedef struct {
    column_tiles columns;      /* sums of columns */
    const void *x;
    Py_ssize_t size;
    double *sums;              /* one per block */
    Py_ssize_t n_rows;         /* (N, T, D): N, T and D */
    Py_ssize_t n_terms;
    Py_ssize_t width;
    Py_ssize_t step;           /* of N per chunk */
    void *out;
} reduction_job;

#define KERNELS "reduction_real.h"
#include "each_variant.h"
#undef KERNELS

VARIANTS(sum_chunk);
VARIANTS(sum_of_squares_chunk);
VARIANTS(sum_rows_chunk);
VARIANTS(sum_columns_tile_chunk);
VARIANTS(fold_columns_chunk);

#endif
