"""The smallest example: SparseAdam changes the rows of a batch, and leaves every other row as it is, bit for bit.

python examples/sparse_adam.py
"""

import numpy as np

import fluidlite as fluid

DICT_SIZE, EMBED_SIZE = 1000, 50


def main(argv=None):
    del argv  # there are no options
    main_program, startup = fluid.Program(), fluid.Program()
    main_program.random_seed = startup.random_seed = 1
    with fluid.program_guard(main_program, startup), fluid.unique_name.guard(), fluid.scope_guard(fluid.Scope()):
        ids = fluid.data("ids", shape=[None, 5], dtype="int64")
        rows = fluid.embedding(ids, size=[DICT_SIZE, EMBED_SIZE], is_sparse=True, param_attr=fluid.ParamAttr("table"))
        loss = fluid.layers.reduce_sum(fluid.layers.square(rows))
        _, params_grads = fluid.optimizer.SparseAdam(0.01).minimize(loss)
        table_grad = params_grads[0][1]

        exe = fluid.Executor(fluid.CPUPlace())
        exe.run(startup)
        table = fluid.global_scope().find_var("table").get_tensor()
        before = np.array(table)

        batch = np.random.default_rng(1).integers(0, DICT_SIZE, size=(4, 5))
        batch[0, 1] = batch[0, 0]  # an id may occur several times: its gradients are summed first
        losses = []
        for step in range(1, 6):
            value, grad = exe.run(main_program, feed={"ids": batch}, fetch_list=[loss, table_grad])
            losses.append(value.item())
            print(f"step {step}  loss {losses[-1]:.5f}")
        after = np.array(table)

    print(f"\nThe gradient is a SelectedRows: rows {grad.rows.shape}, value {grad.value.shape}, height {grad.height}.")
    print(f"merge() sums what belongs to one row: rows {grad.merge().rows.shape}, value {grad.merge().value.shape}.")

    present = np.isin(np.arange(DICT_SIZE), batch)
    same_bits = (before.view(np.uint32) == after.view(np.uint32)).all(axis=1)
    assert losses == sorted(losses, reverse=True), "the loss did not fall"
    assert not same_bits[present].any(), "a row of the batch did not change"
    assert same_bits[~present].all(), "a row that is absent from the batch changed"
    print(f"The {present.sum()} rows of the batch changed; the other {(~present).sum()} kept their bits.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
