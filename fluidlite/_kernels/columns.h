/* Walks an (N, D) array in tiles, and sums its columns in a fixed order.

   A tile is a block of rows times a range of columns. Where D is small, several rows side by side count as one wide
   row, so that loops along a row are long; the last wide row may be short. Each tile sums its columns: PART_ROWS rows
   in the type of the array, then in double. Where there are several blocks or folded rows, tiles leave their sums in
   `sums`, and fold_columns_chunk adds them in the order of the blocks. Tiles depend on N and D alone. */

#ifndef FLUIDLITE_COLUMNS_H
#define FLUIDLITE_COLUMNS_H

#include "spans.h"

#define MAX_TILE 2048          /* columns: the sums of a tile stay in the first cache */
#define MIN_TILE 512
#define WIDE_ROW 64            /* columns that make a row wide enough; a wide row has fewer than twice as many */
#define PART_ROWS 64
#define FOLD_STEP 4096         /* columns per chunk of adding up */

typedef struct {
    Py_ssize_t size;           /* N D */
    Py_ssize_t width;          /* D */
    Py_ssize_t fold;           /* rows in a wide row */
    Py_ssize_t wide;           /* fold D */
    Py_ssize_t n_rows;         /* wide rows */
    Py_ssize_t block;          /* wide rows per block */
    Py_ssize_t n_blocks;
    Py_ssize_t tile;           /* columns per tile */
    Py_ssize_t n_tiles;        /* per block */
    double *sums;              /* (n_blocks, wide); unused for one block of unfolded rows */
    void *out;                 /* (D,), or NULL: no sums are wanted */
} column_tiles;

typedef struct {
    Py_ssize_t row, end;       /* wide rows */
    Py_ssize_t column, n;
    Py_ssize_t block;
} tile_place;

static inline void plan_tiles(column_tiles *c, Py_ssize_t height, Py_ssize_t width)
{
    Py_ssize_t target;
    c->size = height * width;
    c->width = width;
    c->fold = width > 0 && width < WIDE_ROW ? (WIDE_ROW + width - 1) / width : 1;
    c->fold = larger(smaller(c->fold, height), 1);
    c->wide = c->fold * width;
    c->n_rows = width > 0 ? (height + c->fold - 1) / c->fold : 0;
    c->block = larger(smaller(c->n_rows, larger(c->wide > MAX_TILE ? 256 : PART_ROWS, 32768 / larger(c->wide, 1))), 1);
    c->n_blocks = (c->n_rows + c->block - 1) / c->block;
    target = c->wide > 8 * MAX_TILE ? MAX_TILE : larger(MIN_TILE, smaller(MAX_TILE, 65536 / c->block));
    c->n_tiles = larger((c->wide + target - 1) / target, 1);
    c->tile = ((c->wide + c->n_tiles - 1) / c->n_tiles + 15) / 16 * 16;
    c->tile = larger(smaller(c->tile, MAX_TILE), 1);
    c->n_tiles = (c->wide + c->tile - 1) / c->tile;
    c->sums = NULL;
    c->out = NULL;
}

static inline Py_ssize_t count_tiles(const column_tiles *c)
{
    return c->n_blocks * c->n_tiles;
}

static inline int needs_sums(const column_tiles *c)
{
    return c->n_blocks > 1 || c->fold > 1;
}

static inline tile_place tile_at(const column_tiles *c, Py_ssize_t chunk)
{
    tile_place t;
    t.block = chunk / c->n_tiles;
    t.row = t.block * c->block;
    t.end = smaller(t.row + c->block, c->n_rows);
    t.column = chunk % c->n_tiles * c->tile;
    t.n = smaller(c->tile, c->wide - t.column);
    return t;
}

/* Columns of the tile that the wide row has: fewer in a short last row. */
static inline Py_ssize_t tile_columns(const column_tiles *c, const tile_place *t, Py_ssize_t row)
{
    return larger(smaller(t->n, c->size - row * c->wide - t->column), 0);
}

#endif
