"""What this installation computes with."""

import os
import sys

import numpy as np

from ._kernels import _cpu, _parallel


def show_config(mode="stdout"):
    """Print the versions, the threads and the CPU path of the kernels; ``mode="dicts"`` returns them instead.

    * threads: of fluidlite's own kernels (`set_num_threads`, FLUIDLITE_NUM_THREADS, OMP_NUM_THREADS). BLAS has its own.
    * cpu: the instructions chosen at import, and those that could be. FLUIDLITE_CPU forces one; results are the same.

    >>> sorted(show_config(mode="dicts"))
    ['blas_variables', 'cpu', 'cpu_levels', 'numpy', 'python', 'threads']
    """
    found = {
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "threads": _parallel.get_num_threads(),
        "cpu": _cpu.cpu_level(),
        "cpu_levels": list(_cpu.cpu_levels()),
        "blas_variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith(("OPENBLAS_", "OMP_", "MKL_"))},
    }
    if mode == "dicts":
        return found
    sys.stdout.write("".join(f"{name + ':':16}{value}\n" for name, value in found.items()))
    return None
