"""CompiledProgram, ParallelExecutor and the strategies: one machine is one device, whatever they ask for."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError

layers = fluid.layers
X = np.arange(10, dtype=np.float32).reshape(5, 2)


def train(fresh, wrap, feed):
    """Losses of three steps of a small model."""
    loss = layers.mean(layers.square(layers.fc(fluid.data("x", [None, 2]), 3, param_attr="w", bias_attr=False)))
    fluid.optimizer.SGD(0.001).minimize(loss)
    fresh.start()
    fresh.set("w", np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    program = wrap(fresh.main, loss)
    return [fresh.exe.run(program, feed=feed, fetch_list=[loss], scope=fresh.scope)[0] for _ in range(3)]


def plain(main, loss):
    return main


def compiled(main, loss):
    return fluid.CompiledProgram(main)


def parallel(main, loss):
    return fluid.CompiledProgram(main).with_data_parallel(
        loss_name=loss.name,
        build_strategy=fluid.BuildStrategy(),
        exec_strategy=fluid.ExecutionStrategy(),
        places=fluid.cpu_places(2),
    )


@pytest.mark.parametrize("wrap", [compiled, parallel])
@pytest.mark.parametrize("feed", [{"x": X}, [{"x": X[:2]}, {"x": X[2:]}]], ids=["one batch", "two parts"])
def test_a_compiled_program_is_the_program(make_fresh, wrap, feed):
    with make_fresh() as fresh:
        expected = train(fresh, plain, {"x": X})
    with make_fresh() as fresh:
        found = train(fresh, wrap, feed)
    np.testing.assert_array_equal(found, expected)
    assert found[0].shape == (1,)


def test_parts_with_lod_are_joined(fresh):
    ids = fluid.data("ids", [None, 1], "int64", lod_level=1)
    parts = [
        {"ids": fluid.create_lod_tensor(np.arange(n)[:, None], [lengths], None)}
        for n, lengths in ((3, [1, 2]), (2, [0, 2]))
    ]
    program = fluid.CompiledProgram(fresh.main).with_data_parallel()
    (result,) = fresh.exe.run(program, feed=parts, fetch_list=[ids], return_numpy=False)
    assert result.recursive_sequence_lengths() == [[1, 2, 0, 2]]
    np.testing.assert_array_equal(np.array(result)[:, 0], [0, 1, 2, 0, 1])


def test_parts_that_differ_are_refused(fresh):
    fluid.data("x", [None, 2])
    program = fluid.CompiledProgram(fresh.main)
    with pytest.raises(InvalidArgumentError, match="do not name the same variables"):
        fresh.exe.run(program, feed=[{"x": X}, {"y": X}])
    with pytest.raises(InvalidArgumentError, match="cannot be joined"):
        fresh.exe.run(program, feed=[{"x": X}, {"x": X[:, :1]}])


def test_a_backward_pass_needs_the_name_of_the_loss(fresh):
    loss = layers.mean(layers.fc(fluid.data("x", [None, 2]), 1))
    fluid.CompiledProgram(fresh.main).with_data_parallel()
    fluid.optimizer.SGD(0.1).minimize(loss)
    with pytest.raises(InvalidArgumentError, match="loss_name"):
        fluid.CompiledProgram(fresh.main).with_data_parallel()


def test_only_programs_are_compiled():
    with pytest.raises(InvalidTypeError, match="is a str"):
        fluid.CompiledProgram("main")


def test_a_parallel_executor_runs_its_program(fresh):
    x = fluid.data("x", [None, 2])
    y = layers.fc(x, 3, param_attr="w")
    test = fresh.main.clone(for_test=True)
    fresh.start()
    train_exe = fluid.ParallelExecutor(False, loss_name=None, main_program=fresh.main, scope=fresh.scope)
    test_exe = fluid.ParallelExecutor(False, main_program=test, share_vars_from=train_exe)
    expected = fresh.run({"x": X}, [y])
    np.testing.assert_array_equal(train_exe.run([y.name], feed={"x": X}), expected)
    np.testing.assert_array_equal(test_exe.run([y.name], feed_dict={"x": X}), expected)
    assert train_exe.device_count == 1
    train_exe.drop_local_exe_scopes()


def test_a_parallel_executor_without_a_gpu(fresh):
    with pytest.raises(EnforceNotMet, match="CUDAPlace is not available"):
        fluid.ParallelExecutor(use_cuda=True)
    with pytest.raises(InvalidTypeError, match="share_vars_from"):
        fluid.ParallelExecutor(False, share_vars_from=fresh.exe)


@pytest.mark.parametrize("cls", [fluid.BuildStrategy, fluid.ExecutionStrategy])
def test_strategies_take_known_names_only(cls):
    strategy = cls()
    for name in cls._defaults:
        setattr(strategy, name, 3)
        assert getattr(strategy, name) == 3
    assert getattr(cls(), name) != 3
    with pytest.raises(AttributeError, match="num_treads"):
        strategy.num_treads = 3


def test_the_enums_of_a_build_strategy():
    kinds = fluid.BuildStrategy.ReduceStrategy
    assert fluid.BuildStrategy().reduce_strategy == kinds.AllReduce != kinds.Reduce
    assert fluid.BuildStrategy().gradient_scale_strategy == fluid.BuildStrategy.GradientScaleStrategy.CoeffNumDevice
