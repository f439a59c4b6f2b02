"""Every line with "error" has a mistake that a type checker finds; the word after it is mypy's code."""

import fluidlite as fluid

layer = fluid.layers.no_such_layer  # error attr-defined
fluid.layers.fc(fluid.data("x", [None, 3]), size=2, activation="relu")  # error call-arg
fluid.Executor(fluid.CPUPlace()).run(fetch_lists=[])  # error call-arg
fluid.layers.reduce_sum(fluid.data("y", [None, 3])) + fluid.nothing  # error attr-defined
fluid.optimizer.SparseAdam(0.1, beta1="0.9")  # error arg-type
count: str = fluid.get_num_threads()  # error assignment
fluid.default_main_program().clone(for_test="yes")  # error arg-type
