"""Kernels: arrays in, arrays out. They know nothing of programs, and they compute without the interpreter lock."""
