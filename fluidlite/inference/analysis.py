"""Fluid's own face of serving: `AnalysisConfig`, `create_paddle_predictor`, `PaddleTensor`, in front of `Predictor`."""

import enum
import os

import numpy as np

from .._kernels._parallel import set_num_threads
from ..errors import InvalidArgumentError, InvalidTypeError, NotFoundError, UnavailableError, nearest
from ..lod_tensor import LoDTensor
from .predictor import Predictor


class PaddleDType(enum.IntEnum):
    """Data types of inputs and outputs."""

    FLOAT32 = 0
    INT64 = 1
    INT32 = 2


_DTYPES = {"float32": PaddleDType.FLOAT32, "int64": PaddleDType.INT64, "int32": PaddleDType.INT32}
_NO_EFFECT = (
    "disable_gpu",
    "disable_glog_info",
    "enable_memory_optim",
    "enable_mkldnn",
    "enable_profile",
    "set_mkldnn_cache_capacity",
    "set_mkldnn_op",
    "switch_ir_debug",
    "switch_ir_optim",
    "switch_specify_input_names",
    "switch_use_feed_fetch_ops",
)


class AnalysisConfig:
    """Which model `create_paddle_predictor` opens.

    Args:
        model_dir: a folder with ``__model__`` and a file for each parameter; or, with `params_file`, the path of the
            program. Another AnalysisConfig is copied.
        params_file: the path of the file of all parameters, in the same folder.

    What concerns GPUs, MKL-DNN and passes over the graph is accepted without effect, but `enable_use_gpu` and
    TensorRT, Lite and int8 engines, which are errors.
    """

    def __init__(self, model_dir="", params_file=None):
        self._model_dir = self._prog_file = self._params_file = ""
        self._num_threads = 1
        if isinstance(model_dir, AnalysisConfig):
            self.__dict__.update(model_dir.__dict__)
        elif model_dir:
            self.set_model(model_dir, params_file)

    def set_model(self, model_dir, params_file=None):
        """As the arguments of the class."""
        if params_file is None:
            self._model_dir = os.fspath(model_dir)
        else:
            self._prog_file, self._params_file = os.fspath(model_dir), os.fspath(params_file)

    def set_prog_file(self, path):
        self._prog_file = os.fspath(path)

    def set_params_file(self, path):
        self._params_file = os.fspath(path)

    def model_dir(self):
        return self._model_dir

    def prog_file(self):
        return self._prog_file

    def params_file(self):
        return self._params_file

    def use_gpu(self):
        return False

    def set_cpu_math_library_num_threads(self, n):
        """Threads of the kernels, for the whole process (as `fluidlite.set_num_threads`), once a predictor is made."""
        self._num_threads = int(n)

    def cpu_math_library_num_threads(self):
        return self._num_threads

    def enable_use_gpu(self, *args, **kwargs):
        raise UnavailableError("There are no GPUs to use.", hint="leave out enable_use_gpu.")

    def __getattr__(self, name):
        if name in _NO_EFFECT:
            return lambda *args, **kwargs: None
        raise AttributeError(f"fluidlite's AnalysisConfig has no {name!r}")

    def _paths(self):
        """(folder, file of the program, file of the parameters)."""
        if self._prog_file or self._params_file:
            folders = {os.path.dirname(os.path.abspath(path)) for path in (self._prog_file, self._params_file) if path}
            if len(folders) > 1:
                raise InvalidArgumentError(
                    "The program and the parameters of an AnalysisConfig are in different folders.",
                    expected="one folder",
                    actual=", ".join(sorted(folders)),
                )
            names = [os.path.basename(path) or None for path in (self._prog_file, self._params_file)]
            return (*folders, *names)
        if not self._model_dir:
            raise InvalidArgumentError("The AnalysisConfig names no model.", hint="AnalysisConfig(model_dir).")
        return self._model_dir, None, None


class PaddleBuf:
    """The elements of a PaddleTensor, in a row."""

    def __init__(self, data):
        self._array = np.asarray(data).reshape(-1)

    def length(self):
        """Bytes."""
        return self._array.nbytes

    def empty(self):
        return not self._array.size

    def float_data(self):
        return self._array.tolist()

    int64_data = int32_data = float_data


class PaddleTensor:
    """An input or output of `AnalysisPredictor.run`.

    Args:
        data: array of float32, int64 or int32.
        name: of the variable; without names, inputs are in the order of ``get_input_names()``.
        lod: offsets, a list per level.
        copy: accepted for Fluid's sake; data are always a copy.

    Differs from Fluid: float64 is rounded to float32, where Fluid makes int32 of it.
    """

    def __init__(self, data=None, name="", lod=(), copy=True):
        array = np.array(() if data is None else data)
        if array.dtype.name not in _DTYPES:
            if array.dtype.kind not in "fiu":
                raise InvalidTypeError(
                    f"A PaddleTensor cannot hold {array.dtype}.",
                    expected="float32, int64, int32",
                    actual=str(array.dtype),
                )
            array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        self._array, self.name, self.lod = array, name, [list(level) for level in lod]

    shape = property(lambda self: list(self._array.shape))
    dtype = property(lambda self: _DTYPES[self._array.dtype.name])
    data = property(lambda self: PaddleBuf(self._array))

    def as_ndarray(self):
        """The array."""
        return self._array

    def __repr__(self):
        return f"PaddleTensor({self.name!r}, shape={self.shape}, dtype={self.dtype.name}, lod={self.lod})"


class ZeroCopyTensor:
    """An input or output of `AnalysisPredictor.zero_copy_run`. As in Fluid, one at a time uses it."""

    def __init__(self):
        self._tensor = LoDTensor()

    def reshape(self, shape):
        """Accepted for Fluid's sake: the shape is that of the array which `copy_from_cpu` brings."""

    def copy_from_cpu(self, array):
        """Take a copy of an array."""
        self._tensor = LoDTensor(np.array(array), ())

    def copy_to_cpu(self):
        """A copy of the array."""
        return np.array(self._tensor)

    def set_lod(self, lod):
        self._tensor.set_lod(lod)

    def lod(self):
        return self._tensor.lod()

    def shape(self):
        return self._tensor.shape()

    def type(self):
        return _DTYPES[self._tensor.value.dtype.name]


class AnalysisPredictor:
    """A `Predictor` with the methods of Fluid's. One thread at a time uses it; `clone` makes one for another thread."""

    def __init__(self, predictor):
        self._predictor = predictor
        self._inputs = {name: ZeroCopyTensor() for name in predictor.feed_names}
        self._outputs = {name: ZeroCopyTensor() for name in predictor.fetch_names}

    def run(self, inputs):
        """Outputs, a list of PaddleTensors, from inputs, PaddleTensors: by name if all have one, else in order."""
        names = [tensor.name for tensor in inputs]
        if not all(names):
            names = self._predictor.feed_names
            if len(names) != len(inputs):
                raise InvalidArgumentError(
                    "The number of inputs is not that of the model.",
                    expected=", ".join(names),
                    actual=f"{len(inputs)} PaddleTensors",
                )
        feed = {name: LoDTensor(t._array, t.lod) for name, t in zip(names, inputs, strict=True)}
        found = {name: _whole(value) for name, value in self._predictor.run(feed).items()}
        return [PaddleTensor(np.asarray(value), name, value.lod()) for name, value in found.items()]

    def get_input_names(self):
        return list(self._predictor.feed_names)

    def get_output_names(self):
        return list(self._predictor.fetch_names)

    def get_input_tensor(self, name):
        """The ZeroCopyTensor of that name, to be filled before `zero_copy_run`."""
        return _named(self._inputs, name, "input")

    def get_output_tensor(self, name):
        """The ZeroCopyTensor of that name, which `zero_copy_run` fills."""
        return _named(self._outputs, name, "output")

    def zero_copy_run(self):
        """Outputs from what the tensors of the inputs hold. True."""
        feed = {}
        for name, tensor in self._inputs.items():
            if tensor._tensor.value is None:
                raise UnavailableError(
                    f"Input {name!r} holds no array.", hint=f"get_input_tensor({name!r}).copy_from_cpu(array)."
                )
            feed[name] = tensor._tensor
        for name, value in self._predictor.run(feed).items():
            self._outputs[name]._tensor = _whole(value)
        return True

    def clone(self):
        """Another one on the same parameters, for another thread."""
        return AnalysisPredictor(self._predictor)


def _named(tensors, name, what):
    if name not in tensors:
        raise NotFoundError(
            f"The model has no {what} {name!r}.", expected=", ".join(tensors), hint=nearest(name, tensors)
        )
    return tensors[name]


def _whole(value):
    return value if isinstance(value, LoDTensor) else LoDTensor(value)


def create_paddle_predictor(config):
    """An `AnalysisPredictor` for the model that an AnalysisConfig names.

    >>> import fluidlite as fluid, tempfile
    >>> x = fluid.data('x', [None, 3]); y = fluid.layers.fc(x, 2)
    >>> exe = fluid.Executor(); _ = exe.run(fluid.default_startup_program())
    >>> folder = tempfile.mkdtemp()
    >>> _ = fluid.io.save_inference_model(folder, ['x'], [y], exe)
    >>> predictor = fluid.core.create_paddle_predictor(fluid.core.AnalysisConfig(folder))
    >>> (out,) = predictor.run([fluid.core.PaddleTensor(np.zeros((5, 3), 'float32'))])
    >>> out.name, out.shape
    ('save_infer_model/scale_0.tmp_0', [5, 2])
    """
    if not isinstance(config, AnalysisConfig):
        raise InvalidTypeError(
            "create_paddle_predictor needs an AnalysisConfig.", expected="AnalysisConfig", actual=type(config).__name__
        )
    predictor = AnalysisPredictor(Predictor(*config._paths()))
    if config._num_threads > 1:
        set_num_threads(config._num_threads)
    return predictor
