/* Kernels compiled once per CPU level and floating type.

   A file of kernels for one type, `<family>_real.h`, names everything it defines FN(name) and uses REAL; TYPED(name)
   is a function that exists once per type, for all levels. Its family header includes it through each_variant.h and
   makes a table of each kernel with VARIANTS. A kernel that no module asks for is dropped by the compiler together with
   its table.

   The levels differ in vector width alone: contraction is off and no sum is reassociated, so all give the same bits. */

#ifndef FLUIDLITE_VARIANTS_H
#define FLUIDLITE_VARIANTS_H

#include <stdint.h>

#if defined(__x86_64__)
#define CPU_LEVELS 3
#else
#define CPU_LEVELS 1
#endif

typedef struct {
    void (*chunk[CPU_LEVELS][2])(void *ctx, Py_ssize_t chunk);   /* float, double */
} variants;

#define VARIANT_PAIR(name, level) {name##_float_##level, name##_double_##level}

#if CPU_LEVELS > 1
#define VARIANTS(name)                                                                                                 \
    static const variants name __attribute__((unused)) = {                                                             \
        {VARIANT_PAIR(name, baseline), VARIANT_PAIR(name, avx2), VARIANT_PAIR(name, avx512)}}
#else
#define VARIANTS(name) static const variants name __attribute__((unused)) = {{VARIANT_PAIR(name, baseline)}}
#endif

#define JOIN2(a, b) a##_##b
#define JOIN2_EXPANDED(a, b) JOIN2(a, b)
#define JOIN3(a, b, c) a##_##b##_##c
#define JOIN3_EXPANDED(a, b, c) JOIN3(a, b, c)

#endif
