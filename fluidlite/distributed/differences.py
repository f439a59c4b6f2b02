"""What ranks have to have in common before they train together, and how they say what differs."""

from ..dtypes import numpy_dtype
from ..errors import InvalidArgumentError, format_site
from .failure import agreed


def check_size(table, variable):
    """Refuse a variable of another program that has the name of a shared table, but not its size."""
    if tuple(variable.shape) != table.shape or numpy_dtype(variable.dtype) != table.dtype:
        raise agreed(
            InvalidArgumentError(
                f"Table {table.name!r} has two sizes: programs of this job declare it differently.",
                expected=f"{table.dtype}{list(table.shape)}",
                actual=f"{numpy_dtype(variable.dtype)}{list(variable.shape)}",
                where=format_site(variable.site),
            )
        )


def difference(descriptions):
    """An error that says how ranks differ, the same on each of them, or None."""
    first = descriptions[0]
    for rank, other in enumerate(descriptions[1:], 1):
        if other == first:
            continue
        if other["fluidlite"] != first["fluidlite"]:
            return InvalidArgumentError(
                "The ranks of this job run different versions of fluidlite.",
                expected=f"{first['fluidlite']}, as on rank 0",
                actual=f"{other['fluidlite']} on rank {rank}",
                hint="install the same version on every machine.",
            )
        if len(other["programs"]) != len(first["programs"]):
            return InvalidArgumentError(
                f"Rank {rank} has other programs to train than rank 0.",
                expected=f"{len(first['programs'])}, as on rank 0",
                actual=f"{len(other['programs'])}",
                hint="every rank has to run the same script with the same settings.",
            )
        for k, (mine, theirs) in enumerate(zip(first["programs"], other["programs"], strict=True)):
            problem = _program_difference(k, mine, theirs, rank)
            if problem is not None:
                return problem
    return None


def _program_difference(number, first, other, rank):
    for name in sorted(set(first["tables"]) & set(other["tables"])):
        if first["tables"][name] != other["tables"][name]:
            return InvalidArgumentError(
                f"Table {name!r} has two sizes: the ranks of this job declare it differently.",
                expected=f"{list(first['tables'][name][0])}, as on rank 0",
                actual=f"{list(other['tables'][name][0])} on rank {rank}",
            )
    for key in first:
        if first[key] != other[key]:
            what = "programs (ops, attributes or persistable variables)" if key == "program" else key
            return InvalidArgumentError(
                f"The ranks of this job have different {what} in program {number}.",
                expected=f"{first[key]}, as on rank 0",
                actual=f"{other[key]} on rank {rank}",
                hint="every rank has to run the same script with the same settings.",
            )
    return None
