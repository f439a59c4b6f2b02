"""LayerHelper: what every layer does with names, parameters, temporaries, bias and activation."""

import copy

from . import unique_name
from .dtypes import VarType, dtype_name
from .errors import InvalidArgumentError, InvalidTypeError, here
from .framework import Variable, default_main_program, default_startup_program
from .param_attr import ParamAttr


class LayerHelper:
    """Helps a layer of type `layer_type` to append its ops.

    Args:
        layer_type: first part of the names made, e.g. 'fc' for fc_0.w_0.
        name, input, param_attr, bias_attr, act: the layer's own arguments, where it has them.
    """

    def __init__(self, layer_type, *, name=None, input=None, param_attr=None, bias_attr=None, act=None, **kwargs):
        self.layer_type = layer_type
        self.name = name if name is not None else unique_name.generate(layer_type)
        self.kwargs = {"input": input, "param_attr": param_attr, "bias_attr": bias_attr, "act": act, **kwargs}
        self.act = act

    main_program = property(lambda self: default_main_program())
    startup_program = property(lambda self: default_startup_program())
    param_attr = property(lambda self: ParamAttr._to_attr(self.kwargs["param_attr"]))
    bias_attr = property(lambda self: ParamAttr._to_attr(self.kwargs["bias_attr"]))

    def append_op(self, type, inputs=None, outputs=None, attrs=None):
        """Append to the current block of the main program."""
        return self.main_program.current_block().append_op(type, inputs=inputs, outputs=outputs, attrs=attrs)

    def multiple_input(self, input_param_name="input"):
        """The layer's input as a list of Variables."""
        given = self.kwargs[input_param_name]
        inputs = list(given) if isinstance(given, list | tuple) else [given]
        for x in inputs:
            check_variable(x, input_param_name, self.layer_type)
        return inputs

    def multiple_param_attr(self, length):
        """One ParamAttr for each of `length` inputs."""
        attr = self.param_attr
        attrs = attr if isinstance(attr, list) else [attr] + [copy.deepcopy(attr) for _ in range(length - 1)]
        if len(attrs) != length:
            raise InvalidArgumentError(
                f"param_attr of layer {self.name} must have one entry for each input.",
                expected=str(length),
                actual=str(len(attrs)),
                where=here(),
            )
        return attrs

    def input_dtype(self, input_param_name="input"):
        """The dtype that all inputs share."""
        inputs = self.multiple_input(input_param_name)
        for x in inputs[1:]:
            if x.dtype != inputs[0].dtype:
                raise InvalidTypeError(
                    f"Data Type mismatch: the inputs of layer {self.name} differ.",
                    expected=f"{inputs[0].name}: {inputs[0].dtype}",
                    actual=f"{x.name}: {x.dtype}",
                    where=here(),
                )
        return inputs[0].dtype

    def create_parameter(
        self, attr, shape, dtype=None, is_bias=False, default_initializer=None, *, is_distributed=False
    ):
        """A Parameter in the main program and its init op in the startup program; None when attr is False.

        is_distributed: it is a table of any ids.
        """
        if attr is False:
            return None
        attr = ParamAttr._to_attr(attr)
        initializer = attr.initializer or default_initializer or attr._default_initializer(is_bias)
        name = attr.name
        if name is None:
            name = unique_name.generate(f"{self.name}.{'b' if is_bias else 'w'}")
        options = {
            "name": name,
            "trainable": attr.trainable,
            "optimize_attr": {"learning_rate": attr.learning_rate},
            "regularizer": attr.regularizer,
            "do_model_average": attr.do_model_average,
            "is_distributed": is_distributed,
        }
        dtype = VarType.FP32 if dtype is None else dtype
        parameter = self.main_program.global_block().create_parameter(shape, dtype, **options)
        self.startup_program.global_block().create_parameter(shape, dtype, initializer, **options)
        return parameter

    def create_variable_for_type_inference(self, dtype, stop_gradient=False):
        """A temporary: <layer>.tmp_<n>."""
        return self.main_program.current_block().create_var(
            name=unique_name.generate(f"{self.name}.tmp"), dtype=dtype, stop_gradient=stop_gradient
        )

    def create_global_variable(self, persistable=False, **kwargs):
        """A variable of the global block that is no parameter."""
        return self.main_program.global_block().create_var(persistable=persistable, **kwargs)

    def set_variable_initializer(self, variable, initializer):
        """Initialize a persistable variable in the startup program."""
        block = self.startup_program.global_block()
        if block.has_var(variable.name) and block._has_init_op(variable.name):
            return
        target = block.create_var(
            name=variable.name,
            shape=variable.shape,
            dtype=variable.dtype,
            type=variable.type,
            persistable=True,
            row_state=variable.row_state,
        )
        initializer(target, block)

    def append_bias_op(self, x, dim_start=1, dim_end=None):
        """x + bias, with a bias of x's dimensions [dim_start:dim_end]; x itself when bias_attr is False."""
        if self.bias_attr is False:
            return x
        bias = self.create_parameter(self.bias_attr, x.shape[dim_start:dim_end], x.dtype, is_bias=True)
        out = self.create_variable_for_type_inference(x.dtype)
        self.append_op("elementwise_add", {"X": x, "Y": bias}, {"Out": out}, {"axis": dim_start})
        return out

    def append_activation(self, x):
        """act(x), or x itself without an activation."""
        act = self.act
        if act is None:
            return x
        if isinstance(act, dict):
            attrs = {k: v for k, v in act.items() if k != "type"}
            act = act["type"]
        else:
            attrs = {}
        if not isinstance(act, str):
            raise InvalidTypeError(
                f"The activation of layer {self.name} is not a name.", actual=repr(act), where=here()
            )
        out = self.create_variable_for_type_inference(x.dtype)
        self.append_op(act, {"X": x}, {"Out": out}, attrs)
        return out


def check_variable(x, argument, layer, dtypes=None):
    """Refuse what is no Variable, or a Variable of another dtype than the layer takes."""
    if not isinstance(x, Variable):
        raise InvalidTypeError(
            f"The type of '{argument}' in {layer} must be Variable, but received {type(x)}.",
            expected="Variable",
            actual=type(x).__name__,
            where=here(),
            hint="arrays are fed: declare the input with fluid.data and pass the array in feed={...}.",
        )
    if dtypes is not None and x.dtype not in dtypes:
        names = [dtype_name(d) for d in dtypes]
        raise InvalidTypeError(
            f"The data type of '{argument}' in {layer} must be {names}, "
            f"but received {dtype_name(x.dtype)} ({x.name!r}).",
            expected=" or ".join(names),
            actual=dtype_name(x.dtype),
            where=here(),
        )


def append_layer(type, inputs, attrs=None, name=None, out="Out"):
    """One op from Variables to one new temporary of the first one's dtype."""
    helper = LayerHelper(type, name=name)
    for slot, x in inputs.items():
        check_variable(x, slot.lower(), type)
    result = helper.create_variable_for_type_inference(next(iter(inputs.values())).dtype)
    helper.append_op(type, inputs, {out: result}, attrs)
    return result
