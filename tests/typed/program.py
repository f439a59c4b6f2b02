"""A user's program that `mypy --strict` accepts; test_stubs.py checks it and runs it."""

import numpy as np
from numpy.typing import NDArray

import fluidlite as fluid
from fluidlite.optimizer import SparseAdam


def build(height: int) -> tuple[fluid.Program, fluid.Program, fluid.Variable]:
    main, startup = fluid.Program(), fluid.Program()
    with fluid.program_guard(main, startup):
        ids = fluid.data("ids", shape=[None, 5], dtype="int64")
        rows = fluid.embedding(
            ids, size=[height, 4], is_sparse=True, param_attr=fluid.ParamAttr(name="table", learning_rate=0.5)
        )
        bags = fluid.layers.reduce_sum(rows, dim=1)
        best, where = fluid.layers.topk(bags, k=2)
        assert best.shape == where.shape == (-1, 2)
        loss: fluid.Variable = fluid.layers.mean(fluid.layers.square(bags * 2.0 - 1.0))
        ops, params_grads = SparseAdam(learning_rate=0.1).minimize(loss)
        assert ops and params_grads[0][0].name == "table"
    return main, startup, loss


def train(height: int = 7) -> NDArray[np.float32]:
    main, startup, loss = build(height)
    scope = fluid.Scope()
    exe = fluid.Executor(fluid.CPUPlace())
    with fluid.scope_guard(scope):
        exe.run(startup)
        (value,) = exe.run(main, feed={"ids": np.zeros((3, 5), np.int64)}, fetch_list=[loss])
    assert main.clone(for_test=True).global_block().all_parameters()[0].shape == (height, 4)
    threads: int = fluid.get_num_threads()
    assert threads >= 1 and float(value[0]) >= 0
    table = fluid.functional.zeros((height, 4))
    grad = fluid.SelectedRows(rows=[1, 2, 1], value=np.ones((3, 4), np.float32), height=height)
    fluid.functional.sparse_adam_(table, table.copy(), table.copy(), grad.merge(), step=1)
    return np.asarray(table, np.float32)


if __name__ == "__main__":
    train()
