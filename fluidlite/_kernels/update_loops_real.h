/* The loops of one rule. Included by row_update_real.h with RULE, its name, and N_STATES, its number of states. */

#define RULE_FN(name) FN(JOIN2_EXPANDED(RULE, name))
/* State k of a row, NULL for one that the rule does not have. */
#define STATE_AT(k, offset) (N_STATES > k ? (REAL *)job->state[k] + (offset) : NULL)

static inline void RULE_FN(span)(REAL *restrict param, REAL *restrict state0, REAL *restrict state1,
                                 REAL *restrict state2, const REAL *restrict grad, Py_ssize_t n,
                                 const FN(coefficients) c)
{
    for (Py_ssize_t j = 0; j < n; j++)
        FN(RULE)(param, state0, state1, state2, j, grad[j], c);
}

/* The rows [begin, end) of the table, whose gradient is zero. */
static inline void RULE_FN(absent)(const row_job *job, int64_t begin, int64_t end, const FN(coefficients) c)
{
    Py_ssize_t offset = (Py_ssize_t)begin * job->rows->width, n = (Py_ssize_t)(end - begin) * job->rows->width;
    REAL *restrict param = (REAL *)job->param + offset;
    REAL *restrict state0 = STATE_AT(0, offset);
    REAL *restrict state1 = STATE_AT(1, offset);
    REAL *restrict state2 = STATE_AT(2, offset);
    for (Py_ssize_t j = 0; j < n; j++)
        FN(RULE)(param, state0, state1, state2, j, (REAL)0, c);
}

static inline void RULE_FN(row)(const row_job *job, Py_ssize_t k, Py_ssize_t next, const FN(coefficients) c)
{
    const sorted_rows *rows = job->rows;
    int64_t id = row_id(rows, k);
    Py_ssize_t offset = N_STATES ? state_offset(job, id) : 0;
    REAL *param = (REAL *)job->param + id * rows->width;
    REAL *state0 = STATE_AT(0, offset), *state1 = STATE_AT(1, offset), *state2 = STATE_AT(2, offset);
    REAL sum[SUM_COLUMNS];
    if (next == k + 1) {
        RULE_FN(span)(param, state0, state1, state2, (const REAL *)row_value(rows, k), rows->width, c);
        return;
    }
    for (Py_ssize_t column = 0; column < rows->width; column += SUM_COLUMNS) {
        Py_ssize_t n = rows->width - column < SUM_COLUMNS ? rows->width - column : SUM_COLUMNS;
        FN(sum_block)(sum, rows, k, next, column, n);
        RULE_FN(span)(param + column, STATE_AT(0, offset + column), STATE_AT(1, offset + column),
                      STATE_AT(2, offset + column), sum, n, c);
    }
}

static inline void RULE_FN(rows_chunk)(void *ctx, Py_ssize_t chunk)
{
    FN(coefficients) c = FN(coefficients_of)((row_job *)ctx);
    WALK_ROWS(RULE_FN(row), N_STATES, c)
}

/* Every row of the table moves; the chunks are ranges of table rows. */
static inline void RULE_FN(rows_all_chunk)(void *ctx, Py_ssize_t chunk)
{
    row_job *job = (row_job *)ctx;
    const sorted_rows *rows = job->rows;
    FN(coefficients) c = FN(coefficients_of)(job);
    int64_t row = (int64_t)chunk * job->step;
    int64_t end = job->height - row < job->step ? job->height : row + job->step;
    Py_ssize_t k = seek_row(rows, 0, row);
    while (k < rows->count && row_id(rows, k) < end) {
        Py_ssize_t next = end_of_row(rows, k);
        RULE_FN(absent)(job, row, row_id(rows, k), c);
        RULE_FN(row)(job, k, next, c);
        row = row_id(rows, k) + 1;
        k = next;
    }
    RULE_FN(absent)(job, row, end, c);
}

static inline void RULE_FN(dense_chunk)(void *ctx, Py_ssize_t chunk)
{
    row_job *job = (row_job *)ctx;
    Py_ssize_t begin = chunk * DENSE_STEP;
    Py_ssize_t n = job->size - begin < DENSE_STEP ? job->size - begin : DENSE_STEP;
    RULE_FN(span)((REAL *)job->param + begin, STATE_AT(0, begin), STATE_AT(1, begin), STATE_AT(2, begin),
                  (const REAL *)job->grad + begin, n, FN(coefficients_of)(job));
}

#undef RULE_FN
#undef STATE_AT
#undef RULE
#undef N_STATES
