"""What `paddle.version` of the release says that fluidlite follows."""

import sys

from fluidlite.version import FLUID_VERSION

full_version = FLUID_VERSION
major, minor, patch = full_version.split(".")
rc = "0"
istaged = True
commit = ""
with_mkl = "OFF"


def show():
    """Print the version."""
    lines = [f"{name}: {globals()[name]}" for name in ("full_version", "major", "minor", "patch", "rc")]
    sys.stdout.write("\n".join(lines) + "\n")


def mkl():
    """'ON' or 'OFF': whether MKL is linked in."""
    return with_mkl
