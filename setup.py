"""The extension modules of fluidlite; everything else about the package stands in pyproject.toml."""

import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = "fluidlite/_kernels"
DEBUG = os.environ.get("FLUIDLITE_DEBUG", "0") not in ("", "0")
# One wheel for every CPython from 3.11 on, whose calls cost more: for the Pythons that have no wheel of their own.
LIMITED_API = os.environ.get("FLUIDLITE_LIMITED_API", "0") not in ("", "0")

# One place for the directives of every module; no .pyx file carries its own.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "cdivision": True,
    # Kernels share nothing but the pool of threads and one piece of scratch memory, which are made for it.
    "freethreading_compatible": True,
}

# Without -fno-math-errno sqrt keeps a branch that stops the vectoriser; -ffp-contract=off lets every CPU variant and
# compiler give the same bits. Neither changes what IEEE arithmetic says, unlike -ffast-math.
FLOATS = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
COMPILE = (["-O1", "-g", "-UNDEBUG"] if DEBUG else ["-O3", "-g0"]) + FLOATS + ["-pthread"]

BUILD = "build/cython-debug" if DEBUG else "build/cython"

headers = sorted(glob(f"{KERNELS}/*.h"))
# Cython copies headers beside the C files that it writes, but only when it writes them; an older copy would be included
# in place of a header that has changed since.
for copied in glob(f"{BUILD}/{KERNELS}/*.h"):
    os.remove(copied)
extensions = [
    Extension(
        path[: -len(".pyx")].replace("/", "."),
        [path],
        include_dirs=[KERNELS],
        depends=headers,
        extra_compile_args=COMPILE,
        extra_link_args=["-pthread"],
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED_API else [],
        py_limited_api=LIMITED_API,
    )
    for path in sorted(glob(f"{KERNELS}/*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions,
        build_dir=BUILD,
        compiler_directives=DIRECTIVES,
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
)
