/* The arithmetic of the row and dense updates, for float and for double and for each CPU level.

   Plain C with restrict pointers, because the loops over a row must vectorise. A function with _chunk in its name has
   the signature of a chunk of the pool and takes its job as context. */

#ifndef FLUIDLITE_ROW_UPDATE_H
#define FLUIDLITE_ROW_UPDATE_H

#include <math.h>
#include "sorted_rows.h"
#include "variants.h"

/* Elements of a dense update that one chunk of work takes; also a measure for chunks of rows. */
#define DENSE_STEP 32768

/* Duplicates are summed over this many columns at a time, so that the sums stay in registers or the first cache. */
#define SUM_COLUMNS 64

/* How many occurrences of a row before its use a sum fetches the next one. */
#define SUM_AHEAD 8

/* State arrays that a rule may have. */
#define MAX_STATES 3

/* What the rules are told. Each uses some of them; the rules' functions say which. */
typedef struct {
    double rate;
    double decay1, gain1;     /* the share of the first average that stays, and that of the gradient */
    double decay2, gain2;
    double root_scale;        /* correction of the second moment, applied to its root */
    double epsilon;
    double momentum;
    double l1, l2;
    double power;
} coefficients;

typedef struct {
    const sorted_rows *rows;
    void *param;
    void *state[MAX_STATES];
    const void *grad;         /* dense updates */
    Py_ssize_t height;
    Py_ssize_t size;          /* elements, dense updates */
    Py_ssize_t step;          /* table rows per chunk, where every row moves */
    coefficients settings;
    int64_t *merged_rows;     /* merging: outputs, and where the output of each chunk begins */
    Py_ssize_t *begins;
    int32_t *slots;           /* NULL, or for each table row the number of its line of state, 0 for none yet */
    Py_ssize_t line_stride;   /* elements from one line of state to the next, with slots */
} row_job;

/* Elements before the state of a table row. */
static inline Py_ssize_t state_offset(const row_job *job, int64_t id)
{
    return job->slots ? (Py_ssize_t)(job->slots[id] - 1) * job->line_stride : (Py_ssize_t)id * job->rows->width;
}

/* How far before its use a slot is fetched. */
#define SLOTS_AHEAD 32

/* begins[chunk] = table rows of the chunk that have no slot yet. */
static inline void count_new_chunk(void *ctx, Py_ssize_t chunk)
{
    row_job *job = (row_job *)ctx;
    const sorted_rows *rows = job->rows;
    Py_ssize_t begin = first_of_step(rows, chunk), end = first_of_step(rows, chunk + 1), n = 0;
    for (Py_ssize_t k = begin; k < end; k++) {
        int64_t id = row_id(rows, k);
        if (k + SLOTS_AHEAD < end)
            __builtin_prefetch(job->slots + row_id(rows, k + SLOTS_AHEAD));
        n += !job->slots[id] && (k == begin || row_id(rows, k - 1) != id);
    }
    job->begins[chunk] = n;
}

/* Numbers those rows, in order, from begins[chunk] + 1 on. */
static inline void number_new_chunk(void *ctx, Py_ssize_t chunk)
{
    row_job *job = (row_job *)ctx;
    const sorted_rows *rows = job->rows;
    Py_ssize_t begin = first_of_step(rows, chunk), end = first_of_step(rows, chunk + 1), next = job->begins[chunk];
    for (Py_ssize_t k = begin; k < end; k++) {
        int64_t id = row_id(rows, k);
        if (!job->slots[id])
            job->slots[id] = (int32_t)++next;
    }
}

static inline void count_chunk(void *ctx, Py_ssize_t chunk)
{
    row_job *job = (row_job *)ctx;
    Py_ssize_t begin = first_of_step(job->rows, chunk);
    job->begins[chunk] = count_unique(job->rows, begin, first_of_step(job->rows, chunk + 1));
}

#define KERNELS "row_update_real.h"
#include "each_variant.h"
#undef KERNELS

VARIANTS(add_rows_chunk);
VARIANTS(merge_chunk);

/* The kernels of a rule. rows_all is NULL where the rule is never applied to rows without a gradient. */
typedef struct {
    const variants *dense;
    const variants *rows;
    const variants *rows_all;
    int n_states;
} update_rule;

#define RULE_OF_PRESENT_ROWS(rule, n_states)                                                                           \
    VARIANTS(rule##_dense_chunk);                                                                                      \
    VARIANTS(rule##_rows_chunk);                                                                                       \
    static const update_rule rule##_rule __attribute__((unused)) = {                                                   \
        &rule##_dense_chunk, &rule##_rows_chunk, NULL, n_states}
#define RULE_OF_ALL_ROWS(rule, n_states)                                                                               \
    VARIANTS(rule##_dense_chunk);                                                                                      \
    VARIANTS(rule##_rows_chunk);                                                                                       \
    VARIANTS(rule##_rows_all_chunk);                                                                                   \
    static const update_rule rule##_rule __attribute__((unused)) = {                                                   \
        &rule##_dense_chunk, &rule##_rows_chunk, &rule##_rows_all_chunk, n_states}

RULE_OF_PRESENT_ROWS(sgd, 0);
RULE_OF_ALL_ROWS(momentum, 1);
RULE_OF_ALL_ROWS(nesterov, 1);
RULE_OF_PRESENT_ROWS(adagrad, 1);
RULE_OF_ALL_ROWS(adam, 2);
RULE_OF_ALL_ROWS(rmsprop, 2);
RULE_OF_ALL_ROWS(centered_rmsprop, 3);
RULE_OF_PRESENT_ROWS(ftrl, 2);
RULE_OF_PRESENT_ROWS(ftrl_of_power, 2);

#endif
