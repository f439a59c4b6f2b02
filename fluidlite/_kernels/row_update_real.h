/* Included by row_update.h once per CPU level and floating type, with REAL, SQRT and FN defined. */

typedef struct {
    REAL rate, decay1, gain1, decay2, gain2, root_scale, epsilon;
} FN(adam);

static inline FN(adam) FN(adam_of)(const row_job *job)
{
    FN(adam) a = {(REAL)job->rate,  (REAL)job->decay1,     (REAL)job->gain1,  (REAL)job->decay2,
                  (REAL)job->gain2, (REAL)job->root_scale, (REAL)job->epsilon};
    return a;
}

static inline void FN(sgd_span)(REAL *restrict param, const REAL *restrict grad, Py_ssize_t n, REAL rate)
{
    for (Py_ssize_t j = 0; j < n; j++)
        param[j] -= rate * grad[j];
}

/* Products associate as in Fluid's functors: (gain2 * g) * g and rate * (m / root). */
static inline void FN(adam_span)(REAL *restrict param, REAL *restrict moment1, REAL *restrict moment2,
                                 const REAL *restrict grad, Py_ssize_t n, FN(adam) a)
{
    for (Py_ssize_t j = 0; j < n; j++) {
        REAL m = a.decay1 * moment1[j] + a.gain1 * grad[j];
        REAL v = a.decay2 * moment2[j] + a.gain2 * grad[j] * grad[j];
        moment1[j] = m;
        moment2[j] = v;
        param[j] -= a.rate * (m / (SQRT(v) * a.root_scale + a.epsilon));
    }
}

/* adam_span with a gradient of zero, to the bit: the zeros are added, because -0.0 + 0.0 is 0.0. */
static inline void FN(adam_decay)(REAL *restrict param, REAL *restrict moment1, REAL *restrict moment2, Py_ssize_t n,
                                  FN(adam) a)
{
    for (Py_ssize_t j = 0; j < n; j++) {
        REAL m = a.decay1 * moment1[j] + (REAL)0;
        REAL v = a.decay2 * moment2[j] + (REAL)0;
        moment1[j] = m;
        moment2[j] = v;
        param[j] -= a.rate * (m / (SQRT(v) * a.root_scale + a.epsilon));
    }
}

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
PREFETCHES void FN(prefetch_update)(const row_job *job, Py_ssize_t k, Py_ssize_t begin)
{
    const sorted_rows *rows = job->rows;
    Py_ssize_t bytes = rows->width * (Py_ssize_t)sizeof(REAL);
    int64_t id = row_id(rows, k);
    prefetch_row(row_value(rows, k), bytes);
    if (k > begin && row_id(rows, k - 1) == id)
        return;
    prefetch_row((const REAL *)job->param + id * rows->width, bytes);
    if (job->moment1) {
        Py_ssize_t offset = moment_offset(job, id);
        prefetch_row((const REAL *)job->moment1 + offset, bytes);
        prefetch_row((const REAL *)job->moment2 + offset, bytes);
    }
}

static inline void FN(sgd_row)(const row_job *job, Py_ssize_t k, Py_ssize_t next, REAL rate)
{
    const sorted_rows *rows = job->rows;
    REAL *param = (REAL *)job->param + row_id(rows, k) * rows->width;
    REAL sum[SUM_COLUMNS];
    if (next == k + 1) {
        FN(sgd_span)(param, (const REAL *)row_value(rows, k), rows->width, rate);
        return;
    }
    for (Py_ssize_t column = 0; column < rows->width; column += SUM_COLUMNS) {
        Py_ssize_t n = rows->width - column < SUM_COLUMNS ? rows->width - column : SUM_COLUMNS;
        FN(sum_block)(sum, rows, k, next, column, n);
        FN(sgd_span)(param + column, sum, n, rate);
    }
}

static inline void FN(adam_row)(const row_job *job, Py_ssize_t k, Py_ssize_t next, FN(adam) a)
{
    const sorted_rows *rows = job->rows;
    int64_t id = row_id(rows, k);
    Py_ssize_t offset = moment_offset(job, id);
    REAL *param = (REAL *)job->param + id * rows->width;
    REAL *moment1 = (REAL *)job->moment1 + offset;
    REAL *moment2 = (REAL *)job->moment2 + offset;
    REAL sum[SUM_COLUMNS];
    if (next == k + 1) {
        FN(adam_span)(param, moment1, moment2, (const REAL *)row_value(rows, k), rows->width, a);
        return;
    }
    for (Py_ssize_t column = 0; column < rows->width; column += SUM_COLUMNS) {
        Py_ssize_t n = rows->width - column < SUM_COLUMNS ? rows->width - column : SUM_COLUMNS;
        FN(sum_block)(sum, rows, k, next, column, n);
        FN(adam_span)(param + column, moment1 + column, moment2 + column, sum, n, a);
    }
}

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

#define WALK_ROWS(one_row, setting)                                                                                    \
    row_job *job = (row_job *)ctx;                                                                                     \
    const sorted_rows *rows = job->rows;                                                                               \
    Py_ssize_t begin = first_of_step(rows, chunk), end = first_of_step(rows, chunk + 1);                               \
    Py_ssize_t ahead = prefetch_distance(rows->width * (Py_ssize_t)sizeof(REAL)), fetched = begin, k = begin;          \
    while (k < end) {                                                                                                  \
        Py_ssize_t next = end_of_row(rows, k);                                                                         \
        /* Of a row with many occurrences the first ones: the sum over them fetches for itself. */                     \
        for (; fetched < next && fetched < k + ahead; fetched++)                                                       \
            FN(prefetch_update)(job, fetched, begin);                                                                  \
        if (fetched < next)                                                                                            \
            fetched = next;                                                                                            \
        for (; fetched < next + ahead && fetched < end; fetched++)                                                     \
            FN(prefetch_update)(job, fetched, begin);                                                                  \
        one_row(job, k, next, setting);                                                                                \
        k = next;                                                                                                      \
    }

static inline void FN(sgd_rows_chunk)(void *ctx, Py_ssize_t chunk)
{
    REAL rate = (REAL)((row_job *)ctx)->rate;
    WALK_ROWS(FN(sgd_row), rate)
}

static inline void FN(adam_rows_chunk)(void *ctx, Py_ssize_t chunk)
{
    FN(adam) a = FN(adam_of)((row_job *)ctx);
    WALK_ROWS(FN(adam_row), a)
}

static inline void FN(add_rows_chunk)(void *ctx, Py_ssize_t chunk)
{
    WALK_ROWS(FN(add_row), (REAL)0)
}

#undef WALK_ROWS

static inline void FN(adam_absent)(const row_job *job, int64_t begin, int64_t end, FN(adam) a)
{
    Py_ssize_t width = job->rows->width;
    FN(adam_decay)((REAL *)job->param + begin * width, (REAL *)job->moment1 + begin * width,
                   (REAL *)job->moment2 + begin * width, (Py_ssize_t)(end - begin) * width, a);
}

/* Every row of the table moves; the chunks are ranges of table rows. */
static inline void FN(adam_rows_all_chunk)(void *ctx, Py_ssize_t chunk)
{
    row_job *job = (row_job *)ctx;
    const sorted_rows *rows = job->rows;
    FN(adam) a = FN(adam_of)(job);
    int64_t row = (int64_t)chunk * job->step;
    int64_t end = job->height - row < job->step ? job->height : row + job->step;
    Py_ssize_t k = seek_row(rows, 0, row);
    while (k < rows->count && row_id(rows, k) < end) {
        Py_ssize_t next = end_of_row(rows, k);
        FN(adam_absent)(job, row, row_id(rows, k), a);
        FN(adam_row)(job, k, next, a);
        row = row_id(rows, k) + 1;
        k = next;
    }
    FN(adam_absent)(job, row, end, a);
}

static inline void FN(sgd_dense_chunk)(void *ctx, Py_ssize_t chunk)
{
    row_job *job = (row_job *)ctx;
    Py_ssize_t begin = chunk * DENSE_STEP;
    Py_ssize_t n = job->size - begin < DENSE_STEP ? job->size - begin : DENSE_STEP;
    FN(sgd_span)((REAL *)job->param + begin, (const REAL *)job->grad + begin, n, (REAL)job->rate);
}

static inline void FN(adam_dense_chunk)(void *ctx, Py_ssize_t chunk)
{
    row_job *job = (row_job *)ctx;
    Py_ssize_t begin = chunk * DENSE_STEP;
    Py_ssize_t n = job->size - begin < DENSE_STEP ? job->size - begin : DENSE_STEP;
    FN(adam_span)((REAL *)job->param + begin, (REAL *)job->moment1 + begin, (REAL *)job->moment2 + begin,
                  (const REAL *)job->grad + begin, n, FN(adam_of)(job));
}

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
