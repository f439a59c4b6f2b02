/* Which vector instructions this CPU and this system let us use.

   CPUID is asked directly. __builtin_cpu_supports and target_clones read a table of the compiler's runtime library,
   and some runtime libraries ship a stub that says "nothing" without a word. */

#ifndef FLUIDLITE_CPU_H
#define FLUIDLITE_CPU_H

#include "variants.h"

#if CPU_LEVELS > 1
#include <cpuid.h>

/* The registers that the operating system saves: bit 1 XMM, 2 YMM, 5 to 7 AVX-512. CPUID must have shown OSXSAVE. */
static inline unsigned cpu_saved_state(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static inline int cpu_best_level(void)
{
    const unsigned osxsave = 1u << 27, avx = 1u << 28, fma = 1u << 12, leaf1 = osxsave | avx | fma;
    const unsigned avx2 = 1u << 5;
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    const unsigned ymm = 0x06, zmm = 0xe6;
    unsigned a, b, c, d, saved;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1) != leaf1)
        return 0;
    saved = cpu_saved_state();
    if ((saved & ymm) != ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & avx2))
        return 0;
    return (saved & zmm) == zmm && (b & avx512) == avx512 ? 2 : 1;
}

#else

static inline int cpu_best_level(void)
{
    return 0;
}

#endif

static inline const char *cpu_level_name(int level)
{
#if CPU_LEVELS > 1
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    return names[level];
#elif defined(__aarch64__)
    (void)level;
    return "neon";
#else
    (void)level;
    return "baseline";
#endif
}

#endif
