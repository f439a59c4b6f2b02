/* The arithmetic of the row and dense updates, for float and for double.

   Plain C with restrict pointers, because the loops over a row must vectorise. A function with _chunk in its name has
   the signature of a chunk of the pool and takes its job as context. */

#ifndef FLUIDLITE_ROW_UPDATE_H
#define FLUIDLITE_ROW_UPDATE_H

#include <math.h>
#include "sorted_rows.h"

/* Elements of a dense update that one chunk of work takes; also a measure for chunks of rows. */
#define DENSE_STEP 32768

/* Duplicates are summed over this many columns at a time, so that the sums stay in registers or the first cache. */
#define SUM_COLUMNS 64

typedef struct {
    const sorted_rows *rows;
    void *param;
    void *moment1;
    void *moment2;
    const void *grad;         /* dense updates */
    Py_ssize_t height;
    Py_ssize_t size;          /* elements, dense updates */
    Py_ssize_t step;          /* table rows per chunk, where every row moves */
    double rate;
    double decay1, gain1;     /* beta1, 1 - beta1 */
    double decay2, gain2;
    double root_scale;        /* correction of the second moment, applied to its root */
    double epsilon;
    int64_t *merged_rows;     /* merging: outputs, and where the output of each chunk begins */
    Py_ssize_t *begins;
} row_job;

static inline void count_chunk(void *ctx, Py_ssize_t chunk)
{
    row_job *job = (row_job *)ctx;
    Py_ssize_t begin = first_of_step(job->rows, chunk);
    job->begins[chunk] = count_unique(job->rows, begin, first_of_step(job->rows, chunk + 1));
}

#define REAL float
#define SQRT sqrtf
#define FN(name) name##_float
#include "row_update_real.h"
#undef REAL
#undef SQRT
#undef FN

#define REAL double
#define SQRT sqrt
#define FN(name) name##_double
#include "row_update_real.h"
#undef REAL
#undef SQRT
#undef FN

#endif
