"""The extension modules of fluidlite; everything else about the package stands in pyproject.toml."""

import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = "fluidlite/_kernels"
DEBUG = os.environ.get("FLUIDLITE_DEBUG", "0") not in ("", "0")

# One place for the directives of every module; no .pyx file carries its own.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "cdivision": True,
}

# Without -fno-math-errno sqrt keeps a branch that stops the vectoriser; -ffp-contract=off lets every CPU variant and
# compiler give the same bits. Neither changes what IEEE arithmetic says, unlike -ffast-math.
FLOATS = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
COMPILE = (["-O1", "-g", "-UNDEBUG"] if DEBUG else ["-O3", "-g0"]) + FLOATS + ["-pthread"]

headers = sorted(glob(f"{KERNELS}/*.h"))
extensions = [
    Extension(
        path[: -len(".pyx")].replace("/", "."),
        [path],
        include_dirs=[KERNELS],
        depends=headers,
        extra_compile_args=COMPILE,
        extra_link_args=["-pthread"],
    )
    for path in sorted(glob(f"{KERNELS}/*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython-debug" if DEBUG else "build/cython",
        compiler_directives=DIRECTIVES,
    )
)
