/* The occurrences of rows in a batch, sorted by (row, position), as the kernels walk them. */

#ifndef FLUIDLITE_SORTED_ROWS_H
#define FLUIDLITE_SORTED_ROWS_H

#include <stdint.h>
#include <string.h>

/* One (rows, value, padding_id) of a gradient. Strides are in bytes. */
typedef struct {
    const char *ids;
    Py_ssize_t id_stride;
    const char *value;
    Py_ssize_t value_stride;
    Py_ssize_t begin;         /* position of the first occurrence, counted over all chunks */
    Py_ssize_t count;
    int64_t padding_id;       /* -1: none */
} row_chunk;

typedef struct {
    const uint64_t *keys;     /* row << position_bits | position, or the position alone where ids is set */
    const int64_t *ids;       /* NULL, or the sorted rows: the two did not fit into one key */
    const char **pointers;    /* NULL, or the value row of each position: several chunks */
    const char *value;        /* one chunk: its value rows lie value_stride bytes apart */
    Py_ssize_t value_stride;
    uint64_t position_mask;
    int position_bits;
    Py_ssize_t count;         /* occurrences, without paddings */
    Py_ssize_t width;
    Py_ssize_t step;          /* occurrences per chunk of work, before it is moved to a row border */
    Py_ssize_t n_steps;
} sorted_rows;

static inline int64_t row_id(const sorted_rows *rows, Py_ssize_t k)
{
    return rows->ids ? rows->ids[k] : (int64_t)(rows->keys[k] >> rows->position_bits);
}

static inline const void *row_value(const sorted_rows *rows, Py_ssize_t k)
{
    uint64_t position = rows->keys[k] & rows->position_mask;
    return rows->pointers ? rows->pointers[position] : rows->value + (Py_ssize_t)position * rows->value_stride;
}

/* First occurrence at or after `low` whose row is at least `id`: gallop, then bisect. */
static inline Py_ssize_t seek_row(const sorted_rows *rows, Py_ssize_t low, int64_t id)
{
    Py_ssize_t reach = 1, high;
    while (low + reach <= rows->count && row_id(rows, low + reach - 1) < id) {
        low += reach;
        reach *= 2;
    }
    high = low + reach <= rows->count ? low + reach - 1 : rows->count;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (row_id(rows, middle) < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where a chunk of work begins: a row that began in the chunk before belongs to that one as a whole. */
static inline Py_ssize_t first_of_step(const sorted_rows *rows, Py_ssize_t step)
{
    Py_ssize_t k = step * rows->step;
    if (k <= 0)
        return 0;
    if (k >= rows->count)
        return rows->count;
    return seek_row(rows, k, row_id(rows, k - 1) + 1);
}

static inline Py_ssize_t end_of_row(const sorted_rows *rows, Py_ssize_t k)
{
    int64_t id = row_id(rows, k);
    do
        k++;
    while (k < rows->count && row_id(rows, k) == id);
    return k;
}

static inline Py_ssize_t count_unique(const sorted_rows *rows, Py_ssize_t begin, Py_ssize_t end)
{
    Py_ssize_t n = 0;
    for (Py_ssize_t k = begin; k < end; k++)
        n += k == begin || row_id(rows, k) != row_id(rows, k - 1);
    return n;
}

/* Beware: a function that only prefetches has no effect in GCC's eyes, and a call that is not inlined is removed. */
#define PREFETCHES static inline __attribute__((always_inline))

/* Rows wider than PREFETCH_BYTES are left to the CPU's own prefetcher after the first lines. The last byte has a line
   of its own when the row does not start on a line. */
#define PREFETCH_BYTES 512

PREFETCHES void prefetch_row(const void *row, Py_ssize_t bytes)
{
    const char *at = (const char *)row;
    Py_ssize_t reach = bytes < PREFETCH_BYTES ? bytes : PREFETCH_BYTES;
    for (Py_ssize_t i = 0; i < reach; i += 64)
        __builtin_prefetch(at + i);
    if (reach > 0)
        __builtin_prefetch(at + reach - 1);
}

static inline Py_ssize_t prefetch_distance(Py_ssize_t bytes)
{
    return bytes <= 256 ? 16 : 8;
}

static inline void copy_row(void *to, const void *from, Py_ssize_t bytes)
{
    switch (bytes) {
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    case 32: memcpy(to, from, 32); break;
    case 64: memcpy(to, from, 64); break;
    case 128: memcpy(to, from, 128); break;
    default: memcpy(to, from, (size_t)bytes);
    }
}

/* Set by any thread, read after the job. */
static inline void raise_flag(int *flag)
{
    __atomic_store_n(flag, 1, __ATOMIC_RELAXED);
}

#endif
