/* Arithmetic on arrays of one shape. */

#ifndef FLUIDLITE_ELEMENTWISE_H
#define FLUIDLITE_ELEMENTWISE_H

#include "spans.h"

typedef struct {
    Py_ssize_t size;
    Py_ssize_t step;
    const void *x;
    const void *y;
    void *out;
    double factor;
} elementwise_job;

#define KERNELS "elementwise_real.h"
#include "each_variant.h"
#undef KERNELS

VARIANTS(add_chunk);
VARIANTS(subtract_chunk);
VARIANTS(multiply_chunk);
VARIANTS(add_scaled_chunk);
VARIANTS(scale_chunk);

#endif
