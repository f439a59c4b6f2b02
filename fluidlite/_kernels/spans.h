/* What the dense kernels share: loops whose output may be an input, and sums in a fixed order.

   Sums run in LANES separate sums. A lane adds LANE_STEPS numbers in their own type, then passes the result on to a sum
   in double; lanes are added in pairs at the end. So the order depends on the length alone, whatever the vector width,
   and the error does not grow with the length. */

#ifndef FLUIDLITE_SPANS_H
#define FLUIDLITE_SPANS_H

#include <math.h>
#include "exp.h"
#include "variants.h"

/* Element j of the output depends on elements j of the inputs alone, so an input that is the output does not matter. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define INDEPENDENT _Pragma("GCC ivdep")
#else
#define INDEPENDENT
#endif

#define LANES 64
#define LANE_STEPS 16

static inline double add_lanes(double *restrict lane)
{
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
            lane[l] += lane[l + width];
    return lane[0];
}

static inline Py_ssize_t smaller(Py_ssize_t a, Py_ssize_t b)
{
    return a < b ? a : b;
}

static inline Py_ssize_t larger(Py_ssize_t a, Py_ssize_t b)
{
    return a > b ? a : b;
}

#endif
