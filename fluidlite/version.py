"""The version of Fluid whose names and meaning fluidlite has, and what programs ask about it."""

import re

from .errors import InvalidArgumentError, InvalidTypeError, UnavailableError, here

__all__ = ["FLUID_VERSION", "in_dygraph_mode", "require_version"]

FLUID_VERSION = "1.8.5"

_FORM = re.compile(r"\d+(\.\d+){0,3}")


def require_version(min_version, max_version=None):
    """Check that Fluid 1.8.5, which fluidlite follows, lies between two versions, both included.

    Args:
        min_version: such as '1.6.0': one to four numbers, missing ones are 0.
        max_version: the same, or None (default) for no limit.

    Raises:
        InvalidTypeError: a version that is not a str.
        InvalidArgumentError: a str that is not a version.
        UnavailableError: 1.8.5 is lower than `min_version` or higher than `max_version`.

    >>> require_version('1.6')
    """
    wanted = [_numbers("min_version", min_version)]
    if max_version is not None:
        wanted.append(_numbers("max_version", max_version))
    have = _numbers("FLUID_VERSION", FLUID_VERSION)
    if have < wanted[0] or have > wanted[-1] and max_version is not None:
        asked = f"{min_version} or higher" if max_version is None else f"in [{min_version}, {max_version}]"
        raise UnavailableError(
            f"VersionError: PaddlePaddle version {asked} required, but fluidlite follows {FLUID_VERSION}.",
            where=here(),
        )


def _numbers(name, version):
    if not isinstance(version, str):
        raise InvalidTypeError(
            f"The type of '{name}' in require_version must be str, but received {type(version)}.", where=here()
        )
    if not _FORM.fullmatch(version):
        raise InvalidArgumentError(
            f"The value of '{name}' in require_version is not a version: {version!r}.",
            expected="one to four numbers with points between them, like '1.5.2.0'",
            where=here(),
        )
    numbers = [int(part) for part in version.split(".")]
    return numbers + [0] * (4 - len(numbers))


def in_dygraph_mode():
    """False: programs are declared first and run by an Executor."""
    return False
