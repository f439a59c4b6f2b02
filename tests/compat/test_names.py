"""What Fluid's names mean, and that imports of them give fluidlite's own modules."""

import sys
import textwrap

import fluidlite as fluid
from fluidlite import reader
from fluidlite.compat import dataset, names

from .running import run


def test_find():
    assert names.find("paddle.fluid") == (fluid, "paddle.fluid")
    assert names.find("paddle.fluid.layers.fc") == (fluid.layers.fc, "paddle.fluid.layers.fc")
    assert names.find("paddle.reader.shuffle")[0] is reader.shuffle
    assert names.find("paddle.reader.decorator.shuffle")[0] is reader.shuffle
    assert names.find("paddle.batch")[0] is reader.batch
    assert names.find("paddle.dataset.imdb.train")[0] is dataset.imdb.train
    assert names.find("paddle.__version__")[0] == names.find("paddle.version.full_version")[0] == "1.8.5"
    assert names.find("paddle.version.nothing") == (names.MISSING, "paddle.version.nothing")
    assert names.find("paddle.fluid.layers.learning_rate_scheduler._decay_step_counter")[0] is not names.MISSING
    assert names.find("paddle.fluid.framework.Parameter")[0] is fluid.Parameter
    assert names.find("paddle.fluid.layers.metric_op.accuracy")[0] is fluid.layers.accuracy
    assert names.find("paddle.fluid.layers.nn.cross_entropy")[0] is fluid.layers.cross_entropy
    fleet = names.find("paddle.fluid.incubate.fleet.parameter_server.distribute_transpiler.fleet")[0]
    assert fleet is fluid.incubate.fleet.parameter_server.distribute_transpiler.fleet
    transpiler = names.find("paddle.fluid.transpiler.distribute_transpiler.DistributeTranspiler")[0]
    assert transpiler is fluid.DistributeTranspiler


def test_find_follows_classes_and_no_other_objects():
    assert names.find("paddle.fluid.core.VarDesc.VarType.FP32")[0] is fluid.core.VarDesc.VarType.FP32
    assert names.find("paddle.fluid.layers.fc.anything") == (fluid.layers.fc, "paddle.fluid.layers.fc")
    assert names.find("paddle.fluid.Executor.nothing") == (names.MISSING, "paddle.fluid.Executor.nothing")


def test_find_names_the_part_that_is_missing():
    assert names.find("paddle.fluid.nothing.at.all") == (names.MISSING, "paddle.fluid.nothing")
    assert names.find("paddle.nothing") == (names.MISSING, "paddle.nothing")
    # The home of a module is no excuse for its neighbours.
    assert names.find("paddle.fluid.layers.Executor")[0] is names.MISSING
    assert names.find("paddle.fluid.optimizer.Executor")[0] is names.MISSING


def test_looking_changes_nothing():
    names.find("paddle.fluid.layers.control_flow.nothing")
    assert not [name for name in sys.modules if name.startswith("paddle")]
    assert fluid.layers.__getattr__.__module__ == "fluidlite.missing"


def test_imports_give_the_modules_themselves(tmp_path):
    (tmp_path / "script.py").write_text(
        textwrap.dedent(
            """
            import importlib, sys
            import fluidlite
            import paddle
            import paddle.fluid as fluid
            import paddle.fluid.layers as layers, paddle.fluid.layers.nn as nn
            import paddle.fluid.layers.learning_rate_scheduler
            import paddle.fluid.core, paddle.fluid.optimizer
            import paddle.reader.decorator
            import paddle.dataset.common
            import paddle.version
            from paddle.fluid.layers import fc, control_flow
            from paddle.fluid.layers.ops import sigmoid
            from paddle.fluid.framework import Program, Parameter, in_dygraph_mode
            from paddle.fluid.initializer import *
            from paddle import fluid as again, batch
            assert again is fluid is fluidlite is sys.modules["paddle.fluid"]
            assert layers is fluidlite.layers and nn is fluidlite.layers.nn and fluid.layers.nn is nn
            assert paddle.fluid.core is fluidlite.core and paddle.fluid.optimizer is fluidlite.optimizer
            assert fluidlite.layers.__spec__.name == fluidlite.layers.__name__ == "fluidlite.layers"
            assert sigmoid is fluidlite.layers.sigmoid and paddle.fluid.layers.ops.sigmoid is sigmoid
            assert isinstance(fluid.default_main_program(), fluidlite.Program) and Parameter is fluid.Parameter
            assert paddle.reader.decorator.shuffle is paddle.reader.shuffle and batch is paddle.batch
            assert (paddle.__version__, paddle.version.full_version, paddle.version.major) == ("1.8.5", "1.8.5", "1")
            assert Constant is fluid.initializer.Constant
            for statement in (
                "import paddle.fluid.nothing", "from paddle.fluid import nothing", "from paddle import nothing",
                "import paddle.fluid.layers.nothing", "from paddle.fluid.layers.nn import nothing",
                "from paddle.fluid.layers.ops import nothing", "from paddle.dataset import nothing",
            ):
                try:
                    exec(statement)
                except ImportError as error:
                    assert "fluidlite lacks `paddle." in str(error) and "nothing`" in str(error), (statement, error)
                else:
                    raise AssertionError(statement)
            for place in (paddle, fluid, layers, nn, paddle.reader, paddle.dataset, fluid.optimizer):
                assert not hasattr(place, "nothing") and not hasattr(place, "__nothing__")
            print("done")
            """
        )
    )
    done = run(["script.py"], tmp_path)
    assert done.stdout == "done\n", done.stderr
