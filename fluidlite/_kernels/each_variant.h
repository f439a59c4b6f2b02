/* Includes KERNELS, the name of a file, once per CPU level and floating type. No include guard: once per family. */

#include "variants.h"

#define LEVEL baseline
#include "each_real.h"
#undef LEVEL

#if CPU_LEVELS > 1

#define LEVEL avx2
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#include "each_real.h"
#pragma clang attribute pop
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#include "each_real.h"
#pragma GCC pop_options
#endif
#undef LEVEL

#define LEVEL avx512
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#include "each_real.h"
#pragma clang attribute pop
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#include "each_real.h"
#pragma GCC pop_options
#endif
#undef LEVEL

#endif
