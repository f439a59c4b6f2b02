"""Fused types that the kernels share."""

ctypedef fused real_t:
    float
    double
