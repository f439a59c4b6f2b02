/* Included by row_update.h once per CPU level and floating type, with REAL, SQRT, POW and FN defined. */

#include "update_rules_real.h"

/* sum[0:n] = columns [column, column + n) of occurrences [k, end), added in order of position. */
static inline void FN(sum_span)(REAL *restrict sum, const sorted_rows *rows, Py_ssize_t k, Py_ssize_t end,
                                Py_ssize_t column, Py_ssize_t n)
{
    const REAL *restrict first = (const REAL *)row_value(rows, k) + column;
    for (Py_ssize_t j = 0; j < n; j++)
        sum[j] = first[j];
    while (++k < end) {
        const REAL *restrict value = (const REAL *)row_value(rows, k) + column;
        if (k + SUM_AHEAD < end) {
            const REAL *later = (const REAL *)row_value(rows, k + SUM_AHEAD) + column;
            for (Py_ssize_t j = 0; j < n; j += 64 / (Py_ssize_t)sizeof(REAL))
                __builtin_prefetch(later + j);
        }
        for (Py_ssize_t j = 0; j < n; j++)
            sum[j] += value[j];
    }
}

static inline void FN(sum_block)(REAL *restrict sum, const sorted_rows *rows, Py_ssize_t k, Py_ssize_t end,
                                 Py_ssize_t column, Py_ssize_t n)
{
    if (n == SUM_COLUMNS)
        FN(sum_span)(sum, rows, k, end, column, SUM_COLUMNS);
    else
        FN(sum_span)(sum, rows, k, end, column, n);
}

/* What occurrence k will need, begun some occurrences before. */
PREFETCHES void FN(prefetch_update)(const row_job *job, Py_ssize_t k, Py_ssize_t begin, int n_states)
{
    const sorted_rows *rows = job->rows;
    Py_ssize_t bytes = rows->width * (Py_ssize_t)sizeof(REAL);
    int64_t id = row_id(rows, k);
    prefetch_row(row_value(rows, k), bytes);
    if (k > begin && row_id(rows, k - 1) == id)
        return;
    prefetch_row((const REAL *)job->param + id * rows->width, bytes);
    if (n_states) {
        Py_ssize_t offset = state_offset(job, id);
        for (int i = 0; i < n_states; i++)
            prefetch_row((const REAL *)job->state[i] + offset, bytes);
    }
}

#define WALK_ROWS(one_row, n_states, setting)                                                                          \
    row_job *job = (row_job *)ctx;                                                                                     \
    const sorted_rows *rows = job->rows;                                                                               \
    Py_ssize_t begin = first_of_step(rows, chunk), end = first_of_step(rows, chunk + 1);                               \
    Py_ssize_t ahead = prefetch_distance(rows->width * (Py_ssize_t)sizeof(REAL)), fetched = begin, k = begin;          \
    while (k < end) {                                                                                                  \
        Py_ssize_t next = end_of_row(rows, k);                                                                         \
        /* Of a row with many occurrences the first ones: the sum over them fetches for itself. */                     \
        for (; fetched < next && fetched < k + ahead; fetched++)                                                       \
            FN(prefetch_update)(job, fetched, begin, n_states);                                                        \
        if (fetched < next)                                                                                            \
            fetched = next;                                                                                            \
        for (; fetched < next + ahead && fetched < end; fetched++)                                                     \
            FN(prefetch_update)(job, fetched, begin, n_states);                                                        \
        one_row(job, k, next, setting);                                                                                \
        k = next;                                                                                                      \
    }

#define RULE sgd
#define N_STATES 0
#include "update_loops_real.h"

#define RULE momentum
#define N_STATES 1
#include "update_loops_real.h"

#define RULE nesterov
#define N_STATES 1
#include "update_loops_real.h"

#define RULE adagrad
#define N_STATES 1
#include "update_loops_real.h"

#define RULE adam
#define N_STATES 2
#include "update_loops_real.h"

#define RULE rmsprop
#define N_STATES 2
#include "update_loops_real.h"

#define RULE centered_rmsprop
#define N_STATES 3
#include "update_loops_real.h"

#define RULE ftrl
#define N_STATES 2
#include "update_loops_real.h"

#define RULE ftrl_of_power
#define N_STATES 2
#include "update_loops_real.h"

/* out[row] += each occurrence, one after the other. */
static inline void FN(add_row)(const row_job *job, Py_ssize_t k, Py_ssize_t next, REAL unused)
{
    const sorted_rows *rows = job->rows;
    REAL *restrict out = (REAL *)job->param + row_id(rows, k) * rows->width;
    (void)unused;
    for (; k < next; k++) {
        const REAL *restrict value = (const REAL *)row_value(rows, k);
        for (Py_ssize_t j = 0; j < rows->width; j++)
            out[j] += value[j];
    }
}

static inline void FN(add_rows_chunk)(void *ctx, Py_ssize_t chunk)
{
    WALK_ROWS(FN(add_row), 0, (REAL)0)
}

#undef WALK_ROWS

static inline void FN(merge_chunk)(void *ctx, Py_ssize_t chunk)
{
    row_job *job = (row_job *)ctx;
    const sorted_rows *rows = job->rows;
    Py_ssize_t end = first_of_step(rows, chunk + 1), at = job->begins[chunk];
    Py_ssize_t ahead = prefetch_distance(rows->width * (Py_ssize_t)sizeof(REAL));
    for (Py_ssize_t k = first_of_step(rows, chunk); k < end; at++) {
        Py_ssize_t next = end_of_row(rows, k);
        REAL *out = (REAL *)job->param + at * rows->width;
        if (next + ahead < rows->count)
            prefetch_row(row_value(rows, next + ahead), rows->width * (Py_ssize_t)sizeof(REAL));
        job->merged_rows[at] = row_id(rows, k);
        for (Py_ssize_t column = 0; column < rows->width; column += SUM_COLUMNS) {
            Py_ssize_t n = rows->width - column < SUM_COLUMNS ? rows->width - column : SUM_COLUMNS;
            FN(sum_block)(out + column, rows, k, next, column, n);
        }
        k = next;
    }
}
