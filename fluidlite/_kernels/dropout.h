/* Dropout: a mask of random bits, made and applied in one pass; and the mask applied to a gradient.

   Element i takes word (i mod 64) div 16 of block 16 (i div 64) + i mod 16 of its stream, so that 16 blocks of Philox are
   made side by side in vector registers and written as they come. Which elements are kept does not depend on their
   floating type. */

#ifndef FLUIDLITE_DROPOUT_H
#define FLUIDLITE_DROPOUT_H

#include "philox.h"
#include "spans.h"

enum { DROP_BLOCKS = 16, DROP_GROUP = 4 * DROP_BLOCKS };

typedef struct {
    Py_ssize_t size;
    Py_ssize_t step;           /* a multiple of DROP_GROUP */
    const void *x;             /* forward: x gives out and mask; backward: x is the gradient of out, mask is read */
    void *out;
    uint8_t *mask;
    uint64_t seed;
    uint64_t stream;
    uint32_t threshold;        /* a word below it drops its element */
    uint8_t any;               /* 0 drops everything */
    double scale;
} dropout_job;

#define KERNELS "dropout_real.h"
#include "each_variant.h"
#undef KERNELS

VARIANTS(drop_chunk);
VARIANTS(drop_grad_chunk);

#endif
