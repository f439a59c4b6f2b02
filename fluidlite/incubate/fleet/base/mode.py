"""The numbers of Fluid's three kinds of fleet."""

__all__ = ["Mode"]


class Mode:
    """Which face a fleet object is. All of them do the same here."""

    TRANSPILER = 1
    PSLIB = 2
    COLLECTIVE = 3
