"""A saved model as a predictor needs it: the program, checked, and its values, mapped where that is possible."""

import numpy as np

from ..errors import InvalidArgumentError
from ..formats.mapped_file import MappedFile, map_file
from ..io.inference_model import read_program
from ..io.variables import is_persistable, read_variables


class SavedModel:
    """What a folder of `save_inference_model` holds.

    Args:
        dirname, model_filename, params_filename: as for `fluid.io.load_inference_model`.
        map_files: large values are views of their files where ops can read them there.
        preload: let the system begin to read the mapped files.

    Attributes:
        program: the Program, not to be changed.
        tensors: {name: LoDTensor} of its persistable variables.
        mapped: the names among them whose values are read-only views of files.
        written: the names among them that ops of the program write.
    """

    def __init__(self, dirname, model_filename, params_filename, *, map_files, preload):
        self.program = read_program(dirname, model_filename)
        _check(self.program, dirname)
        self.written = _written(self.program)
        by_rows = _read_by_rows(self.program)
        memory = {}

        def mapping(source, var):
            if var.name in self.written:
                return None
            if source.name not in memory:
                memory[source.name] = map_file(source, preload=preload)
            found = memory[source.name]
            return None if found is None else MappedFile(found, any_address=var.name in by_rows)

        persistable = [var for var in self.program.list_vars() if is_persistable(var)]
        self.tensors = {}
        if persistable:
            self.tensors = read_variables(persistable, dirname, params_filename, mapping=mapping if map_files else None)
        self.mapped = sorted(
            name
            for name, tensor in self.tensors.items()
            if isinstance(tensor.value, np.ndarray) and not tensor.value.flags.writeable
        )


def _ops(program):
    return [op for block in program.blocks for op in block.ops]


def _check(program, dirname):
    """Refuse programs that are not for prediction."""
    if not program._fetch_names:
        raise InvalidArgumentError(
            f"The program in {dirname!r} names no targets.",
            expected="a program that fluid.io.save_inference_model saved",
            hint="save the model again, with target_vars.",
        )
    for op in _ops(program):
        if "Param" in op.inputs and "Grad" in op.inputs:
            raise InvalidArgumentError(
                f"The program in {dirname!r} trains: op {op.type} updates {op.input('Param')[0]!r}.",
                expected="a program that fluid.io.save_inference_model saved for prediction",
                hint="train with fluid.Executor, and save with export_for_deployment=True.",
            )


def _written(program):
    """Names of persistable variables that ops change (the counts of `auc`). A value that stays as it is has none."""
    found = set()
    for op in _ops(program):
        if op.type == "batch_norm" and (op.attrs.get("is_test") or op.attrs.get("use_global_stats")):
            continue
        for name in op.output_arg_names:
            var = op.block._find_var_recursive(name)
            if var is not None and var.persistable:
                found.add(name)
    return found


def _read_by_rows(program):
    """Names of the variables that are only looked up by row: their rows are copied, wherever they lie."""
    by_rows, whole = set(), set(program._fetch_names)
    for op in _ops(program):
        for slot in op.definition.inputs:
            names = op.inputs.get(slot.name, ())
            (by_rows if slot.table and op.type.startswith("lookup_table") else whole).update(names)
    return by_rows - whole
