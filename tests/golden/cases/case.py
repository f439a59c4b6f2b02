"""What a case is: a function of the ``fluid`` module that builds a program and says what to run.

The runner calls it under fresh main and startup programs and a fresh name generator. It must behave alike under every
Python and NumPy that Fluid 1.8.5 and fluidlite need, so values come from ``RandomState`` alone, whose streams are
frozen.
"""

import functools
import zlib

import numpy

CASES = {}
# The numbers of Fluid's VarType.
FP32, FP64 = 5, 6


class Run:
    """What to do with the programs that a case has built.

    feeds: one dict per step, name -> array or (array, recursive_seq_lens).
    fetch: names or Variables read after each step; a persistable one is read from the scope.
    last: more of them, read after the last step only.
    programs: further programs that are described, name -> Program.
    set_parameters: False keeps what the startup program wrote (only for initializers that are not random).
    oracle_values: name -> value, written into the scope of Fluid only, after startup, to undo a defect of Fluid.
    results: further values known when the program is built, name -> JSON-able value.
    hidden: names of variables that the descriptions leave out, and with them the ops that use them.
    """

    def __init__(
        self,
        feeds=({},),
        fetch=(),
        last=(),
        programs=None,
        set_parameters=True,
        oracle_values=None,
        results=None,
        hidden=(),
    ):
        self.feeds = list(feeds)
        self.fetch = list(dict.fromkeys(name_of(item) for item in fetch))
        self.last = [name for name in dict.fromkeys(name_of(item) for item in last) if name not in self.fetch]
        self.programs = dict(programs or {})
        self.set_parameters = set_parameters
        self.oracle_values = dict(oracle_values or {})
        self.results = dict(results or {})
        self.hidden = set(hidden)


class Case:
    """A function of the ``fluid`` module that returns a Run, and the family it belongs to."""

    def __init__(self, function, family):
        self.function, self.family = function, family

    def __call__(self, fluid):
        return self.function(fluid)


def register(name, function, module):
    """Register a case; its family is the last part of the name of the module that it is written in."""
    if name in CASES:
        raise ValueError(f"two cases are called {name!r}")
    package, _, family = module.rpartition(".")
    if package != __package__:
        raise ValueError(f"case {name!r} is written in {module}, outside of {__package__}")
    CASES[name] = Case(function, family)


def case(function):
    """Register a case under the name of its function."""
    register(function.__name__, function, function.__module__)
    return function


def variants(**variations):
    """Register one case per variation: ``@variants(a=dict(k=1))`` on ``f(fluid, k)`` gives the case ``f__a``."""

    def decorate(function):
        for suffix, arguments in variations.items():
            partial = functools.partial(function, **arguments)
            register(function.__name__ + "__" + suffix, partial, function.__module__)
        return function

    return decorate


def name_of(variable):
    return variable if isinstance(variable, str) else variable.name


def grad_name(variable):
    return name_of(variable) + "@GRAD"


def generator(key):
    """A RandomState that depends on the text alone."""
    return numpy.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)


def uniform(key, *shape, **options):
    """Floats in [low, high), float32 unless ``dtype`` says otherwise."""
    low, high = options.pop("low", -1.0), options.pop("high", 1.0)
    return generator(key).uniform(low, high, shape).astype(options.pop("dtype", "float32"))


def integers(key, high, *shape, **options):
    """Integers in [low, high), int64 unless ``dtype`` says otherwise; made of floats: no platform's int matters."""
    low = options.pop("low", 0)
    values = numpy.floor(generator(key).uniform(0.0, 1.0, shape) * (high - low)) + low
    return values.astype(options.pop("dtype", "int64"))


def steps(count, make):
    """The feeds of ``count`` steps: ``make`` gets the text of the step, to be used in the keys of its arrays."""
    return [make(str(step)) for step in range(count)]


def state(fluid):
    """The names of all persistable variables of the main program, sorted."""
    return sorted(v.name for v in fluid.default_main_program().list_vars() if v.persistable)


def parameters(fluid):
    return sorted(p.name for p in fluid.default_main_program().all_parameters())


class Input:
    """A data variable of an op case and the array fed to it.

    The variable is declared with -1 rows unless ``fixed``. ``values`` overrides the random ones.
    """

    def __init__(self, *shape, **options):
        self.shape = shape
        self.dtype = options.pop("dtype", "float32")
        self.low = options.pop("low", -1.0)
        self.high = options.pop("high", 1.0)
        self.fixed = options.pop("fixed", False)
        self.lens = options.pop("lens", None)
        self.grad = options.pop("grad", self.dtype.startswith("float"))
        self.values = options.pop("values", None)
        if options:
            raise TypeError("Input has no option " + ", ".join(options))

    def declare(self, fluid, name):
        shape = list(self.shape) if self.fixed else [-1] + list(self.shape[1:])
        variable = fluid.data(name, shape, self.dtype, lod_level=len(self.lens or ()))
        variable.stop_gradient = not self.grad
        return variable

    def feed(self, key):
        if self.values is not None:
            array = numpy.array(self.values, self.dtype).reshape(self.shape)
        elif self.dtype.startswith("float"):
            array = uniform(key, *self.shape, low=self.low, high=self.high, dtype=self.dtype)
        elif self.dtype == "bool":
            array = integers(key, 2, *self.shape, dtype="bool")
        else:
            array = integers(key, int(self.high), *self.shape, low=max(int(self.low), 0), dtype=self.dtype)
        return array if self.lens is None else (array, self.lens)


def weighted_loss(fluid, outputs, shapes):
    """A scalar with another gradient for every element of the outputs, and the feeds of the weights it uses."""
    total, feeds = None, {}
    for index, (output, shape) in enumerate(zip(outputs, shapes)):  # noqa: B905
        dtype = "float64" if int(output.dtype) == FP64 else "float32"
        name = f"weight_{index}"
        weight = fluid.data(name, [-1] + list(shape[1:]), dtype)
        feeds[name] = uniform(name, *shape, dtype=dtype)
        term = fluid.layers.mean(fluid.layers.elementwise_mul(output, weight))
        total = term if total is None else fluid.layers.elementwise_add(total, term)
    return total, feeds


def op_case(case_name, build, shapes=None, backward=True, fetch=(), **inputs):
    """Register a case for one op: ``build(fluid, **variables)`` returns the output or several outputs.

    shapes: of the outputs as run, where they cannot be had from their declared ones by taking the batch of the first
    input for -1. Fetches the outputs and the gradients of the inputs and parameters. Only the float outputs are
    differentiated; backward=False differentiates none. The ops of the weighted loss, which all these cases share, are
    not described.
    """

    def function(fluid):
        variables = {name: spec.declare(fluid, name) for name, spec in inputs.items()}
        outputs = build(fluid, **variables)
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        feeds = {name: spec.feed(case_name + "/" + name) for name, spec in inputs.items()}
        fetched, hidden = outputs + list(fetch), set()
        if backward:
            batch = next(iter(inputs.values())).shape[0] if inputs else None
            floats = [output for output in outputs if int(output.dtype) in (FP32, FP64)]
            concrete = shapes or [tuple(batch if dim < 0 else dim for dim in o.shape) for o in floats]
            before = set(fluid.default_main_program().global_block().vars)
            loss, weights = weighted_loss(fluid, floats, concrete)
            hidden = set(fluid.default_main_program().global_block().vars) - before
            hidden |= {grad_name(name) for name in hidden}
            feeds.update(weights)
            fluid.backward.append_backward(loss)
            fetched += [grad_name(name) for name, spec in inputs.items() if spec.grad]
            fetched += [grad_name(name) for name in parameters(fluid)]
        return Run([feeds], fetched, hidden=hidden)

    register(case_name, function, build.__module__)
