/* Activations with a bias, and their gradients with the sums for the bias. */

#ifndef FLUIDLITE_ACTIVATION_H
#define FLUIDLITE_ACTIVATION_H

#include "columns.h"

enum { SIGMOID, TANH, RELU, EXP, IDENTITY };

typedef struct {
    column_tiles columns;      /* with a bias */
    int kind;
    Py_ssize_t size;           /* without one */
    Py_ssize_t step;
    const void *x;             /* forward: x and bias give out; backward: out and out_grad give x_grad */
    const void *bias;          /* as wide as a wide row */
    void *out;
    const void *out_grad;
    void *x_grad;
    double folded_bias[2 * WIDE_ROW];
} activation_job;

#define KERNELS "activation_real.h"
#include "each_variant.h"
#undef KERNELS

VARIANTS(activate_chunk);
VARIANTS(activate_tile_chunk);
VARIANTS(activate_grad_chunk);
VARIANTS(activate_grad_tile_chunk);
VARIANTS(fold_columns_chunk);

#endif
