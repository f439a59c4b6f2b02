/* Included by sequence.h once per CPU level and floating type, with REAL and FN defined. */

/* out (n,) = sum of n_rows rows of n columns, which lie `width` apart, divided by `divisor`. */
ALWAYS_INLINE void FN(sum_steps)(
    const REAL *restrict x, Py_ssize_t n_rows, Py_ssize_t width, Py_ssize_t n, REAL divisor, REAL *restrict out)
{
    double total[POOL_COLUMNS];
    REAL part[POOL_COLUMNS];
    for (Py_ssize_t j = 0; j < n; j++)
        part[j] = x[j];
    for (Py_ssize_t t = 1; t < smaller(n_rows, POOL_ROWS); t++)
        for (Py_ssize_t j = 0; j < n; j++)
            part[j] += x[t * width + j];
    if (n_rows > POOL_ROWS) {
        for (Py_ssize_t j = 0; j < n; j++)
            total[j] = part[j];
        for (Py_ssize_t t = POOL_ROWS; t < n_rows;) {
            Py_ssize_t end = smaller(t + POOL_ROWS, n_rows);
            memset(part, 0, sizeof part);
            for (; t < end; t++)
                for (Py_ssize_t j = 0; j < n; j++)
                    part[j] += x[t * width + j];
            for (Py_ssize_t j = 0; j < n; j++)
                total[j] += part[j];
        }
        for (Py_ssize_t j = 0; j < n; j++)
            part[j] = (REAL)total[j];
    }
    if (divisor != 1)
        for (Py_ssize_t j = 0; j < n; j++)
            part[j] /= divisor;
    for (Py_ssize_t j = 0; j < n; j++)
        out[j] = part[j];
}

/* The same for a narrow row: `lanes` columns are summed, a number that the compiler knows, so that sums stay in
   registers. Those beyond the row are read and written too where there is room, as the next rows come after this one. */
ALWAYS_INLINE void FN(sum_narrow)(const REAL *x, Py_ssize_t n_rows, Py_ssize_t width, Py_ssize_t lanes, REAL divisor,
                                  REAL *out, Py_ssize_t readable, Py_ssize_t writable)
{
    REAL sums[POOL_COLUMNS];
    if ((n_rows - 1) * width + lanes > readable)
        FN(sum_steps)(x, n_rows, width, width, divisor, out);
    else if (lanes <= writable)
        FN(sum_steps)(x, n_rows, width, lanes, divisor, out);
    else {
        FN(sum_steps)(x, n_rows, width, lanes, divisor, sums);
        memcpy(out, sums, width * sizeof(REAL));
    }
}

/* `readable` elements of x and `writable` ones of out may be touched. */
static inline void FN(pool_sum)(const REAL *x, Py_ssize_t n_rows, Py_ssize_t width, REAL divisor, REAL *out,
                                Py_ssize_t readable, Py_ssize_t writable)
{
    if (width <= 8)
        FN(sum_narrow)(x, n_rows, width, 8, divisor, out, readable, writable);
    else if (width <= 12)
        FN(sum_narrow)(x, n_rows, width, 12, divisor, out, readable, writable);
    else if (width <= 16)
        FN(sum_narrow)(x, n_rows, width, 16, divisor, out, readable, writable);
    else if (width <= 32)
        FN(sum_narrow)(x, n_rows, width, 32, divisor, out, readable, writable);
    else if (width <= 64)
        FN(sum_narrow)(x, n_rows, width, 64, divisor, out, readable, writable);
    else
        for (Py_ssize_t column = 0; column < width; column += POOL_COLUMNS)
            FN(sum_steps)(x + column, n_rows, width, smaller(POOL_COLUMNS, width - column), divisor, out + column);
}

/* Of equals the first counts, and a NaN only where it comes first, as in Fluid. */
static inline void FN(pool_max)(const REAL *x, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t width, REAL *restrict out,
                                int32_t *restrict index)
{
    memcpy(out, x + begin * width, width * sizeof(REAL));
    for (Py_ssize_t j = 0; index && j < width; j++)
        index[j] = (int32_t)begin;
    for (Py_ssize_t t = begin + 1; t < end; t++) {
        const REAL *restrict row = x + t * width;
        if (index)
            for (Py_ssize_t j = 0; j < width; j++)
                index[j] = row[j] > out[j] ? (int32_t)t : index[j];
        for (Py_ssize_t j = 0; j < width; j++)
            out[j] = row[j] > out[j] ? row[j] : out[j];
    }
}

static inline void FN(pool_chunk)(void *ctx, Py_ssize_t chunk)
{
    const sequence_job *job = (const sequence_job *)ctx;
    const REAL *x = (const REAL *)job->x;
    Py_ssize_t n = chunk * job->step, stop = smaller(n + job->step, job->n_sequences), width = job->width;
    for (; n < stop; n++) {
        Py_ssize_t begin = job->offsets[n], end = job->offsets[n + 1];
        REAL *out = (REAL *)job->out + n * width;
        int32_t *index = job->index ? job->index + n * width : NULL;
        if (begin == end) {
            for (Py_ssize_t j = 0; j < width; j++)
                out[j] = (REAL)job->pad_value;
            for (Py_ssize_t j = 0; index && j < width; j++)
                index[j] = -1;
        } else if (job->kind == POOL_MAX)
            FN(pool_max)(x, begin, end, width, out, index);
        else if (job->kind == POOL_FIRST)
            memcpy(out, x + begin * width, width * sizeof(REAL));
        else if (job->kind == POOL_LAST)
            memcpy(out, x + (end - 1) * width, width * sizeof(REAL));
        else
            FN(pool_sum)(x + begin * width, end - begin, width, (REAL)pool_divisor(job->kind, end - begin), out,
                         (job->offsets[job->n_sequences] - begin) * width, (stop - n) * width);
    }
}

/* Each of n_rows rows = row / divisor. `lanes`, which the compiler knows, are written for a narrow row where there is
   room for them; the rows after it are written later. */
ALWAYS_INLINE void FN(spread_narrow)(const REAL *row, Py_ssize_t width, Py_ssize_t lanes, REAL divisor, REAL *out,
                                     Py_ssize_t n_rows, Py_ssize_t writable)
{
    REAL value[POOL_COLUMNS] = {0};
    for (Py_ssize_t j = 0; j < width; j++)
        value[j] = divisor != 1 ? row[j] / divisor : row[j];
    Py_ssize_t t = 0, roomy = writable < lanes ? 0 : smaller(n_rows, (writable - lanes) / width + 1);
    for (; t < roomy; t++)
        memcpy(out + t * width, value, lanes * sizeof(REAL));
    for (; t < n_rows; t++)
        memcpy(out + t * width, value, width * sizeof(REAL));
}

static inline void FN(spread_row)(const REAL *row, Py_ssize_t width, REAL divisor, REAL *out, Py_ssize_t n_rows,
                                  Py_ssize_t writable)
{
    if (width <= 8)
        FN(spread_narrow)(row, width, 8, divisor, out, n_rows, writable);
    else if (width <= 12)
        FN(spread_narrow)(row, width, 12, divisor, out, n_rows, writable);
    else if (width <= 16)
        FN(spread_narrow)(row, width, 16, divisor, out, n_rows, writable);
    else if (width <= 32)
        FN(spread_narrow)(row, width, 32, divisor, out, n_rows, writable);
    else if (width <= 64)
        FN(spread_narrow)(row, width, 64, divisor, out, n_rows, writable);
    else {
        for (Py_ssize_t j = 0; j < width; j++)
            out[j] = divisor != 1 ? row[j] / divisor : row[j];
        for (Py_ssize_t t = 1; t < n_rows; t++)
            memcpy(out + t * width, out, width * sizeof(REAL));
    }
}

static inline void FN(pool_grad_chunk)(void *ctx, Py_ssize_t chunk)
{
    const sequence_job *job = (const sequence_job *)ctx;
    Py_ssize_t n = chunk * job->step, stop = smaller(n + job->step, job->n_sequences), width = job->width;
    for (; n < stop; n++) {
        Py_ssize_t begin = job->offsets[n], n_rows = job->offsets[n + 1] - begin;
        const REAL *row = (const REAL *)job->out_grad + n * width;
        REAL *out = (REAL *)job->out + begin * width;
        if (n_rows == 0)
            continue;
        if (job->kind >= POOL_MAX) {
            memset(out, 0, n_rows * width * sizeof(REAL));
            if (job->kind == POOL_MAX)
                for (Py_ssize_t j = 0; j < width; j++)
                    ((REAL *)job->out)[job->index[n * width + j] * width + j] = row[j];
            else
                memcpy(out + (job->kind == POOL_LAST ? (n_rows - 1) * width : 0), row, width * sizeof(REAL));
            continue;
        }
        FN(spread_row)(row, width, (REAL)pool_divisor(job->kind, n_rows), out, n_rows,
                       (job->offsets[stop] - begin) * width);
    }
}

static inline void FN(softmax_steps_chunk)(void *ctx, Py_ssize_t chunk)
{
    const sequence_job *job = (const sequence_job *)ctx;
    Py_ssize_t n = chunk * job->step, stop = smaller(n + job->step, job->n_sequences);
    for (; n < stop; n++) {
        Py_ssize_t begin = job->offsets[n], n_rows = job->offsets[n + 1] - begin;
        const REAL *restrict x = (const REAL *)job->x + begin;
        REAL *restrict out = (REAL *)job->out + begin;
        REAL top = -INFINITY;
        double sum = 0;
        for (Py_ssize_t t = 0; t < n_rows; t++)
            top = x[t] > top ? x[t] : top;
        for (Py_ssize_t t = 0; t < n_rows; t++)
            out[t] = TYPED(exp)(x[t] - top);
        for (Py_ssize_t t = 0; t < n_rows; t++)
            sum += out[t];
        for (Py_ssize_t t = 0; t < n_rows; t++)
            out[t] /= (REAL)sum;
    }
}

/* dx = y (dy - sum of y dy), where y is the softmax. */
static inline void FN(softmax_steps_grad_chunk)(void *ctx, Py_ssize_t chunk)
{
    const sequence_job *job = (const sequence_job *)ctx;
    Py_ssize_t n = chunk * job->step, stop = smaller(n + job->step, job->n_sequences);
    for (; n < stop; n++) {
        Py_ssize_t begin = job->offsets[n], n_rows = job->offsets[n + 1] - begin;
        const REAL *restrict y = (const REAL *)job->x + begin;
        const REAL *restrict out_grad = (const REAL *)job->out_grad + begin;
        REAL *restrict out = (REAL *)job->out + begin;
        double dot = 0;
        for (Py_ssize_t t = 0; t < n_rows; t++)
            dot += (double)y[t] * out_grad[t];
        for (Py_ssize_t t = 0; t < n_rows; t++)
            out[t] = y[t] * (out_grad[t] - (REAL)dot);
    }
}

/* out[t] = the rows t + start, ... of x, one after the other, with zeros for those outside of the sequence. */
static inline void FN(gather_context_chunk)(void *ctx, Py_ssize_t chunk)
{
    const sequence_job *job = (const sequence_job *)ctx;
    const REAL *x = (const REAL *)job->x;
    Py_ssize_t n = chunk * job->step, stop = smaller(n + job->step, job->n_sequences), width = job->width;
    for (; n < stop; n++) {
        Py_ssize_t begin = job->offsets[n], end = job->offsets[n + 1];
        for (Py_ssize_t t = begin; t < end; t++) {
            REAL *out = (REAL *)job->out + t * job->context * width;
            Py_ssize_t first = t + job->start, last = first + job->context;
            Py_ssize_t from = larger(smaller(begin, last), first), to = smaller(larger(end, from), last);
            memset(out, 0, (from - first) * width * sizeof(REAL));
            memcpy(out + (from - first) * width, x + from * width, (to - from) * width * sizeof(REAL));
            memset(out + (to - first) * width, 0, (last - to) * width * sizeof(REAL));
        }
    }
}

/* out[t] = sum of the rows of windows that came from x[t]; window t - start - k has it at place k. */
static inline void FN(scatter_context_chunk)(void *ctx, Py_ssize_t chunk)
{
    const sequence_job *job = (const sequence_job *)ctx;
    Py_ssize_t n = chunk * job->step, stop = smaller(n + job->step, job->n_sequences), width = job->width;
    for (; n < stop; n++) {
        Py_ssize_t begin = job->offsets[n], end = job->offsets[n + 1];
        for (Py_ssize_t t = begin; t < end; t++) {
            REAL *restrict out = (REAL *)job->out + t * width;
            memset(out, 0, width * sizeof(REAL));
            for (Py_ssize_t k = 0; k < job->context; k++) {
                Py_ssize_t window = t - job->start - k;
                if (window < begin || window >= end)
                    continue;
                const REAL *restrict row = (const REAL *)job->x + (window * job->context + k) * width;
                for (Py_ssize_t j = 0; j < width; j++)
                    out[j] += row[j];
            }
        }
    }
}
