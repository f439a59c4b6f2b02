/* Included by reduction.h once per CPU level and floating type, with REAL and FN defined. */

#include "columns_real.h"

ALWAYS_INLINE double FN(sum_span)(const REAL *restrict x, Py_ssize_t n, int squared)
{
    double total[LANES] = {0};
    REAL lane[LANES];
    Py_ssize_t j = 0;
    while (n - j >= LANES) {
        Py_ssize_t end = j + smaller((n - j) / LANES, LANE_STEPS) * LANES;
        memset(lane, 0, sizeof lane);
        for (; j < end; j += LANES)
            for (int l = 0; l < LANES; l++)
                lane[l] += squared ? x[j + l] * x[j + l] : x[j + l];
        for (int l = 0; l < LANES; l++)
            total[l] += lane[l];
    }
    for (Py_ssize_t l = 0; l < n - j; l++)
        total[l] += squared ? x[j + l] * x[j + l] : x[j + l];
    return add_lanes(total);
}

static inline void FN(sum_chunk)(void *ctx, Py_ssize_t block)
{
    const reduction_job *job = (const reduction_job *)ctx;
    Py_ssize_t begin = block * SUM_BLOCK;
    job->sums[block] = FN(sum_span)((const REAL *)job->x + begin, smaller(SUM_BLOCK, job->size - begin), 0);
}

static inline void FN(sum_of_squares_chunk)(void *ctx, Py_ssize_t block)
{
    const reduction_job *job = (const reduction_job *)ctx;
    Py_ssize_t begin = block * SUM_BLOCK;
    job->sums[block] = FN(sum_span)((const REAL *)job->x + begin, smaller(SUM_BLOCK, job->size - begin), 1);
}

static inline void FN(add_span)(REAL *restrict sum, const REAL *restrict x, Py_ssize_t n)
{
    for (Py_ssize_t j = 0; j < n; j++)
        sum[j] += x[j];
}

static inline void FN(sum_columns_tile_chunk)(void *ctx, Py_ssize_t chunk)
{
    const reduction_job *job = (const reduction_job *)ctx;
    const column_tiles *c = &job->columns;
    tile_place t = tile_at(c, chunk);
    FN(tile_sums) sums;
    FN(clear_sums)(&sums, t.n);
    for (Py_ssize_t row = t.row; row < t.end; row++) {
        FN(add_span)(sums.part, (const REAL *)job->x + row * c->wide + t.column, tile_columns(c, &t, row));
        FN(end_row)(&sums, &t, row);
    }
    FN(store_sums)(c, &t, &sums);
}

/* out (D,) = sum of n_terms rows, PART_ROWS of them in their own type, then in double. */
static inline void FN(sum_terms)(const REAL *restrict x, Py_ssize_t n_terms, Py_ssize_t width, REAL *restrict out)
{
    double total[WIDE_ROW];
    REAL part[WIDE_ROW];
    for (Py_ssize_t column = 0; column < width; column += WIDE_ROW) {
        Py_ssize_t n = smaller(WIDE_ROW, width - column);
        memset(total, 0, sizeof total);
        for (Py_ssize_t t = 0; t < n_terms;) {
            Py_ssize_t end = smaller(t + PART_ROWS, n_terms);
            memset(part, 0, sizeof part);
            for (; t < end; t++)
                FN(add_span)(part, x + t * width + column, n);
            for (int j = 0; j < WIDE_ROW; j++)
                total[j] += part[j];
        }
        for (Py_ssize_t j = 0; j < n; j++)
            out[column + j] = (REAL)total[j];
    }
}

/* The same for one part and a width that the compiler knows: the sums stay in registers. */
ALWAYS_INLINE void FN(sum_few_terms)(const REAL *restrict x, Py_ssize_t n_terms, Py_ssize_t width, REAL *restrict out)
{
    REAL part[WIDE_ROW];
    for (Py_ssize_t j = 0; j < width; j++)
        part[j] = 0;
    for (Py_ssize_t t = 0; t < n_terms; t++)
        for (Py_ssize_t j = 0; j < width; j++)
            part[j] += x[t * width + j];
    for (Py_ssize_t j = 0; j < width; j++)
        out[j] = part[j];
}

static inline void FN(sum_rows_chunk)(void *ctx, Py_ssize_t chunk)
{
    const reduction_job *job = (const reduction_job *)ctx;
    Py_ssize_t row = chunk * job->step, end = smaller(row + job->step, job->n_rows), width = job->width;
    int few = job->n_terms <= PART_ROWS;
    for (; row < end; row++) {
        const REAL *x = (const REAL *)job->x + row * job->n_terms * width;
        REAL *out = (REAL *)job->out + row * width;
        if (few && width == 1)
            FN(sum_few_terms)(x, job->n_terms, 1, out);
        else if (few && width == 8)
            FN(sum_few_terms)(x, job->n_terms, 8, out);
        else if (few && width == 16)
            FN(sum_few_terms)(x, job->n_terms, 16, out);
        else if (few && width == 32)
            FN(sum_few_terms)(x, job->n_terms, 32, out);
        else if (few && width == 64)
            FN(sum_few_terms)(x, job->n_terms, 64, out);
        else if (width == 1)
            out[0] = (REAL)FN(sum_span)(x, job->n_terms, 0);
        else
            FN(sum_terms)(x, job->n_terms, width, out);
    }
}
