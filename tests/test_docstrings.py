"""Every example in a docstring runs, and everything public has a docstring."""

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import fluidlite as fluid


def modules():
    yield fluid
    for info in pkgutil.walk_packages(fluid.__path__, "fluidlite."):
        if "._kernels." not in info.name:
            yield importlib.import_module(info.name)


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in modules():
        found = [test for test in finder.find(module, module.__name__) if test.examples]
        # The same docstring is reached through every name of a class; one run is enough.
        yield from {test.lineno: test for test in reversed(found)}.values()


EXAMPLES = sorted(examples(), key=lambda test: test.name)


@pytest.mark.parametrize("test", EXAMPLES, ids=[test.name for test in EXAMPLES])
def test_the_example_runs(fresh, test):
    if test.name.endswith("save_safetensors"):
        pytest.importorskip("safetensors")
    test.globs.setdefault("np", np)
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_there_are_examples():
    names = {test.name for test in EXAMPLES}
    for name in ("SelectedRows", "executor.Executor", "functional.sparse_adam_", "layers.nn.embedding", "ParamAttr"):
        assert any(name in one for one in names), name


PUBLIC = [fluid, fluid.layers, fluid.optimizer, fluid.initializer, fluid.regularizer, fluid.functional, fluid.io]
PUBLIC += [fluid.inference, fluid.exchange]


def public(namespace):
    for name, thing in vars(namespace).items():
        if not name.startswith("_") and (inspect.isclass(thing) or inspect.isroutine(thing)):
            if thing.__module__.startswith("fluidlite"):
                yield name, thing


@pytest.mark.parametrize("namespace", PUBLIC, ids=lambda n: n.__name__)
def test_everything_public_has_a_docstring(namespace):
    missing = [name for name, thing in public(namespace) if not (thing.__doc__ or "").strip()]
    assert not missing


@pytest.mark.parametrize("namespace", PUBLIC, ids=lambda n: n.__name__)
def test_public_methods_of_classes_that_users_meet_have_docstrings(namespace):
    missing = []
    for name, thing in public(namespace):
        if inspect.isclass(thing) and not issubclass(thing, (Exception, int)):
            for method, value in vars(thing).items():
                function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
                if not method.startswith("_") and inspect.isfunction(function) and not inspect.getdoc(function):
                    # A method of one obvious line (`height()`, `has_var()`) says it all in its name.
                    if len(inspect.getsource(function).splitlines()) > 3:
                        missing.append(f"{name}.{method}")
    assert not missing
