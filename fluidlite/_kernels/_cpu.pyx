"""The level of vector instructions that the kernels use: asked of the CPU once, when this module is imported.

x86-64 has "baseline" (SSE2), "avx2" (AVX2 and FMA) and "avx512" (F, BW, DQ and VL); 64-bit ARM has "neon", any other
CPU "baseline". All levels give the same bits. The environment variable FLUIDLITE_CPU chooses a lower level than the
CPU has.
"""

import os
import warnings

from fluidlite._kernels._arrays cimport FLOAT64

cdef extern from "cpu.h":
    const int CPU_LEVELS
    int cpu_best_level() noexcept nogil
    const char* cpu_level_name(int level) noexcept nogil

# The pointers themselves, because the type of the members of `variants` is a matter of C.
cdef extern from *:
    """
    #define VARIANT_OF(table, level, wide) ((table)->chunk[level][wide])
    """
    chunk_fn VARIANT_OF(const variants* table, int level, bint wide) noexcept nogil

cdef int _level = 0


cdef chunk_fn variant(const variants* table, int kind) noexcept nogil:
    """The kernel for the chosen level and for FLOAT32 or FLOAT64."""
    return VARIANT_OF(table, _level, kind == FLOAT64)


def cpu_levels():
    """Names of the levels that this CPU has, from the lowest to the best."""
    return tuple([cpu_level_name(level).decode() for level in range(cpu_best_level() + 1)])


def cpu_level():
    """The name of the level that the kernels use."""
    return cpu_level_name(_level).decode()


def _chosen_level():
    available = cpu_levels()
    best = cpu_best_level()
    word = os.environ.get("FLUIDLITE_CPU")
    if word and word not in available:
        warnings.warn(
            f"FLUIDLITE_CPU is ignored: it must be one of {', '.join(available)} on this CPU, but is {word!r}; "
            f"{available[best]} is used",
            RuntimeWarning,
            stacklevel=2,
        )
    return available.index(word) if word in available else best


_level = _chosen_level()
