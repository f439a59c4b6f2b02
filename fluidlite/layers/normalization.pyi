# Made by tools/make_stubs.py.
from fluidlite.param_attr import ParamAttr as ParamAttr
from fluidlite.variable import Variable
from typing import Any

def batch_norm(input: Any, act: str | None = ..., is_test: bool = ..., momentum: float = ..., epsilon: float = ..., param_attr: Any = ..., bias_attr: Any = ..., data_layout: str = ..., in_place: bool = ..., name: str | None = ..., moving_mean_name: Any = ..., moving_variance_name: Any = ..., do_model_average_for_mean_and_var: bool = ..., use_global_stats: bool = ...) -> Variable: ...
def layer_norm(input: Any, scale: Any = ..., shift: bool = ..., begin_norm_axis: Any = ..., epsilon: float = ..., param_attr: Any = ..., bias_attr: Any = ..., act: str | None = ..., name: str | None = ...) -> Variable: ...
