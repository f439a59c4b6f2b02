"""Ops that run a block of the program, and the op that shows what a variable holds while it runs."""

import sys
import time

from ..dtypes import VarType
from .registry import Meta, OpDef, OpSpec, Slot, grad_name, register_op


@register_op
class ConditionalBlock(OpDef):
    """Runs the block in ``sub_block`` if Cond holds.

    Cond: (1,) bool with ``is_scalar_condition``; without it the block runs when no variable of Input is empty. Input:
    the variables that the block reads. Out: those of the outer blocks that it writes; they keep what they hold when the
    block does not run. Scope: accepted for Fluid's sake. No gradient goes through it. Source: Fluid's layers.Switch.
    """

    type = "conditional_block"
    inputs = (Slot("Cond", many=True, dtypes=(VarType.BOOL,)), Slot("Input", many=True, optional=True))
    outputs = (Slot("Out", many=True, optional=True), Slot("Scope", optional=True))
    attrs = {"sub_block": None, "is_scalar_condition": False}
    differentiable = False
    block = True

    def infer_shape(self, cond, inputs):
        return (None,) * len(self.names.get("Out", ())), None

    def run(self, cond, inputs, run_block):
        if self.attr["is_scalar_condition"]:
            for c in cond:
                if c.size != 1:
                    self.fail(
                        f"the condition {self.var('Cond')} is not one value.", expected="(1,)", actual=str(c.shape)
                    )
            holds = all(c.item() for c in cond)
        else:
            holds = all(x.size for x in inputs)
        if holds:
            run_block()


# What C++ calls the data types in Fluid's output.
_CPP_NAMES = {"float32": "f", "float64": "d", "int64": "x", "int32": "i", "bool": "b", "uint8": "h"}


@register_op
class Print(OpDef):
    """Out = In, and writes what it holds to stdout. Its gradient does the same with Out@GRAD.

    first_n: how many times, -1 for always. message: what stands before. summarize: numbers shown, -1 for all.
    print_phase: 'FORWARD', 'BACKWARD' or 'BOTH'. Source: Fluid's layers.Print.
    """

    type = "print"
    inputs = (Slot("In", lod=True),)
    outputs = (Slot("Out"),)
    attrs = {
        "first_n": -1,
        "message": "",
        "summarize": 20,
        "print_tensor_name": True,
        "print_tensor_type": True,
        "print_tensor_shape": True,
        "print_tensor_lod": True,
        "print_phase": "BOTH",
        "is_forward": True,
    }
    lod_from = "In"
    views = {"Out": "In"}
    side_effect = True

    def __init__(self, attrs=None, names=None):
        super().__init__(attrs, names)
        phase = self.attr["print_phase"].upper()
        self.speaks = phase == "BOTH" or phase == ("FORWARD" if self.attr["is_forward"] else "BACKWARD")
        self.left = self.attr["first_n"]

    def infer_shape(self, x):
        return Meta(x.shape, x.dtype)

    def run(self, x, out):
        if self.speaks and self.left != 0:
            self.left -= 1
            sys.stdout.write(self.text(x))
            sys.stdout.flush()
        return x.value

    def text(self, x):
        """What is written of a LoDTensor, in the form in which Fluid writes it."""
        attr, value = self.attr, x.value
        lines = [f"{int(time.time())}\t{attr['message']}\tThe place is:CPUPlace"]
        if attr["print_tensor_name"]:
            lines.append(f"Tensor[{', '.join(self.names.get('In', ('In',)))}]")
        if attr["print_tensor_shape"]:
            lines.append(f"\tshape: [{''.join(f'{d},' for d in value.shape)}]")
        if attr["print_tensor_type"]:
            lines.append(f"\tdtype: {_CPP_NAMES.get(value.dtype.name, value.dtype.name)}")
        if attr["print_tensor_lod"] and x.lod_offsets:
            levels = "".join(f"[ {''.join(f'{i},' for i in level)} ]" for level in x.lod())
            lines.append(f"\tLoD: [{levels}]")
        shown = value.reshape(-1) if attr["summarize"] < 0 else value.reshape(-1)[: attr["summarize"]]
        form = "%g," if value.dtype.kind == "f" else "%d,"
        lines.append("\tdata: " + "".join(form % number for number in shown.tolist()))
        return "\n".join(lines) + "\n"

    def make_grad(self, spec):
        grad_in, grad_out = ([grad_name(n) for n in names] for names in (spec.outputs["Out"], spec.inputs["In"]))
        return [OpSpec("print", {"In": grad_in}, {"Out": grad_out}, {**spec.attrs, "is_forward": False})]
