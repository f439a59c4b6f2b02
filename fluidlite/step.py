"""A step of a plan: one op bound to the cells that it reads and writes."""

from .hash_table import HashTable, TableState
from .lazy_rows import LazyRows


class Step:
    """One op, bound: `call()` computes it from cell to cell."""

    __slots__ = ("call", "op", "ins", "outs")

    def __init__(self, call, op, ins, outs):
        self.call, self.op, self.ins, self.outs = call, op, ins, outs


class CellList:
    """The cells of a slot that takes many variables, read and written as one tuple."""

    __slots__ = ("cells",)

    def __init__(self, cells):
        self.cells = cells

    @property
    def value(self):
        return tuple([cell.value for cell in self.cells])

    @value.setter
    def value(self, values):
        for cell, value in zip(self.cells, values, strict=True):
            cell.value = value


class WholeCell:
    """A cell of which an op reads or writes the whole LoDTensor: the array and its offsets."""

    __slots__ = ("cell",)

    def __init__(self, cell):
        self.cell = cell

    @property
    def value(self):
        return self.cell

    @value.setter
    def value(self, tensor):
        self.cell.value, self.cell.lod_offsets = (None, ()) if tensor is None else (tensor.value, tensor.lod_offsets)


class RowsCell:
    """The cell of a table of any ids, of its state, or of rows made lazily, as ops see it that update rows: an array.

    What else may be in the cell is passed on as it is.
    """

    __slots__ = ("cell",)

    def __init__(self, cell):
        self.cell = cell

    @property
    def value(self):
        value = self.cell.value
        return value.live_rows() if isinstance(value, HashTable | TableState | LazyRows) else value

    @value.setter
    def value(self, value):
        table = self.cell.value
        if isinstance(table, HashTable | TableState | LazyRows):
            table.updated()
        else:
            self.cell.value = value


def cells_of(out):
    """The cells of one slot, as a list."""
    cells = out.cells if isinstance(out, CellList) else [out]
    return [cell.cell if isinstance(cell, WholeCell | RowsCell) else cell for cell in cells]


def make_call(run, ins, outs, bufs):
    """A function without arguments that reads the input cells, runs, and writes the output cells."""
    if len(outs) == 1:
        (out,) = outs
        (buf,) = bufs
        if len(ins) == 1:
            (a,) = ins

            def call():
                out.value = run(a.value, buf)

        elif len(ins) == 2:
            a, b = ins

            def call():
                out.value = run(a.value, b.value, buf)

        elif len(ins) == 3:
            a, b, c = ins

            def call():
                out.value = run(a.value, b.value, c.value, buf)

        else:

            def call():
                out.value = run(*[cell.value for cell in ins], buf)

    else:

        def call():
            results = run(*[cell.value for cell in ins], *bufs)
            for out, value in zip(outs, results, strict=True):
                out.value = value

    return call


def copy_after(call, cells):
    def call_and_copy():
        call()
        for cell in cells:
            cell.value = cell.value.copy()

    return call_and_copy


def carry_lod(call, source, targets):
    """Offsets describe rows, so what has another number of rows (a reshape) has none."""

    def call_and_carry():
        rows = source.value.shape[:1]
        call()
        for target in targets:
            fits = target.value is not None and target.value.shape[:1] == rows
            target.lod_offsets = source.lod_offsets if fits else ()

    return call_and_carry
