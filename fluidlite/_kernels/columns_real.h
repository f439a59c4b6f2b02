/* Column sums of a tile, for one type and level; see columns.h. Included by the kernels that sum columns. */

typedef struct {
    REAL part[MAX_TILE];
    double total[MAX_TILE];
} FN(tile_sums);

static inline void FN(clear_sums)(FN(tile_sums) *sums, Py_ssize_t n)
{
    memset(sums->part, 0, (size_t)n * sizeof(REAL));
    memset(sums->total, 0, (size_t)n * sizeof(double));
}

/* To be called after each row of the tile. */
static inline void FN(end_row)(FN(tile_sums) *sums, const tile_place *t, Py_ssize_t row)
{
    if ((row - t->row) % PART_ROWS != PART_ROWS - 1 && row + 1 < t->end)
        return;
    for (Py_ssize_t j = 0; j < t->n; j++) {
        sums->total[j] += sums->part[j];
        sums->part[j] = 0;
    }
}

static inline void FN(store_sums)(const column_tiles *c, const tile_place *t, const FN(tile_sums) *sums)
{
    if (needs_sums(c)) {
        memcpy(c->sums + t->block * c->wide + t->column, sums->total, (size_t)t->n * sizeof(double));
    } else {
        REAL *restrict out = (REAL *)c->out + t->column;
        for (Py_ssize_t j = 0; j < t->n; j++)
            out[j] = (REAL)sums->total[j];
    }
}

static inline void FN(fold_columns_chunk)(void *ctx, Py_ssize_t chunk)
{
    const column_tiles *c = (const column_tiles *)ctx;
    Py_ssize_t begin = chunk * FOLD_STEP, end = smaller(begin + FOLD_STEP, c->width);
    REAL *restrict out = (REAL *)c->out;
    double total[64];
    for (; begin < end; begin += 64) {
        Py_ssize_t n = smaller(64, end - begin);
        memset(total, 0, sizeof total);
        for (Py_ssize_t at = 0; at < c->n_blocks * c->wide; at += c->width)
            for (Py_ssize_t j = 0; j < n; j++)
                total[j] += c->sums[at + begin + j];
        for (Py_ssize_t j = 0; j < n; j++)
            out[begin + j] = (REAL)total[j];
    }
}
