"""Fluid's `fluid.contrib.layers`, as far as embedding programs use it."""

from .. import unique_name
from ..dtypes import VarType
from ..entry import CountFilterEntry as CountFilterEntry
from ..entry import EntryAttr
from ..entry import ProbabilityEntry as ProbabilityEntry
from ..errors import InvalidArgumentError, InvalidTypeError, here
from ..initializer import Constant
from ..layer_helper import LayerHelper, check_variable
from ..layers.nn import append_embedding


def shuffle_batch(x, seed=None):
    """The rows of x in random order, another in each run; a row is x's last dimension. The gradient goes back in order.

    Args:
        x: Variable (..., D). Its LoD is kept.
        seed: an int, default the program's `random_seed`, or a number drawn once for the program; or an int64 Variable
            of shape (1,) that holds it, and that every run counts up.

    The seed lives in a persistable variable, ``shuffle_batch_seed_<n>``, so that a saved program goes on where it was.

    Differs from Fluid: the startup program sets the seed, where in Fluid the first run does.

    >>> import fluidlite as fluid
    >>> shuffle_batch(fluid.data('x', [None, 3])).shape
    (-1, 3)
    """
    helper = LayerHelper("shuffle_batch")
    check_variable(x, "x", "shuffle_batch")
    out = helper.create_variable_for_type_inference(x.dtype)
    index = helper.create_variable_for_type_inference(VarType.INT64, stop_gradient=True)
    attrs = {}
    if seed is None:
        # Fluid takes 17 bits; an attribute of its files holds 32.
        seed = helper.main_program.random_seed or helper.main_program.drawn_seed % 65536
    if isinstance(seed, int):
        attrs["startup_seed"] = seed
        seed = helper.create_global_variable(
            name=unique_name.generate("shuffle_batch_seed"), shape=[1], dtype=VarType.INT64, persistable=True
        )
        helper.set_variable_initializer(seed, Constant(attrs["startup_seed"]))
    else:
        check_variable(seed, "seed", "shuffle_batch", (VarType.INT64,))
    helper.append_op("shuffle_batch", {"X": x, "Seed": seed}, {"Out": out, "ShuffleIdx": index, "SeedOut": seed}, attrs)
    return out


def ctr_metric_bundle(input, label):
    """Sums over all batches of what the metrics of a click-through rate are made of.

    With p = `input` and y = `label`, both float32 (N, 1), six persistable variables (1,) that every run adds to and
    that the startup program sets to 0: squared error (p - y)^2, absolute error |p - y|, p, sigmoid(p), y, and the rows.
    Of n rows RMSE = sqrt(squared error / n), MAE = absolute error / n, predicted rate = p / n, actual rate = y / n.

    Returns:
        (squared error, absolute error, p, sigmoid(p), positives, rows).

    >>> import fluidlite as fluid
    >>> sums = ctr_metric_bundle(fluid.data('p', [None, 1]), fluid.data('y', [None, 1]))
    >>> [v.shape for v in sums] == 6 * [(1,)]
    True
    """
    for argument, x in (("input", input), ("label", label)):
        check_variable(x, argument, "ctr_metric_bundle", (VarType.FP32,))
    if input.shape != label.shape:
        raise InvalidArgumentError(
            f"The shapes of {input.name!r} and {label.name!r} differ in ctr_metric_bundle.",
            expected=str(input.shape),
            actual=str(label.shape),
            where=here(),
        )
    helper = LayerHelper("ctr_metric_bundle")

    def create(count, shape, persistable=False):
        options = {"shape": shape, "dtype": VarType.FP32, "persistable": persistable}
        return [helper.create_global_variable(**options) for _ in range(count)]

    # Names count on, so variables are made, and set to 0, in Fluid's order.
    absolute, squared, prob, q, pos_num, ins_num = create(6, [1], persistable=True)
    difference, sigmoid, ones = create(3, [-1])
    batch_prob, batch_absolute, batch_squared, batch_q, batch_pos_num, batch_ins_num = create(6, [1])
    sums = (
        *(absolute, batch_absolute, squared, batch_squared, prob, batch_prob, q, batch_q),
        *(batch_pos_num, batch_ins_num, pos_num, ins_num),
    )
    for variable in sums:
        helper.set_variable_initializer(variable, Constant(0.0, force_cpu=True))

    def add(type, x, batch, total):
        helper.append_op(type, {"X": x}, {"Out": batch})
        helper.append_op("elementwise_add", {"X": batch, "Y": total}, {"Out": total})

    helper.append_op("elementwise_sub", {"X": input, "Y": label}, {"Out": difference})
    add("squared_l2_norm", difference, batch_squared, squared)
    add("l1_norm", difference, batch_absolute, absolute)
    add("reduce_sum", input, batch_prob, prob)
    helper.append_op("sigmoid", {"X": input}, {"Out": sigmoid})
    add("reduce_sum", sigmoid, batch_q, q)
    add("reduce_sum", label, batch_pos_num, pos_num)
    attrs = {"shape": [-1, 1], "dtype": VarType.FP32, "value": 1.0}
    helper.append_op("fill_constant_batch_size_like", {"Input": label}, {"Out": ones}, attrs)
    add("reduce_sum", ones, batch_ins_num, ins_num)
    return squared, absolute, prob, q, pos_num, ins_num


def sparse_embedding(input, size, padding_idx=None, is_test=False, entry=None, param_attr=None, dtype="float32"):
    """Rows of a table of any ids: out[..., :] = table[input[..., 0], :]; Paddle's later name for
    ``layers.embedding(is_sparse=True, is_distributed=True)``.

    Args:
        input: int64 ids, any, last dimension 1, which the output drops: (..., 1) -> (..., D). LoD is kept.
        size: [V, D]: how many different ids there may be, and the width of a row. Memory follows the ids seen.
        padding_idx: an id whose output is zero and that gets no row; any int64, negative ones are ids too.
        is_test: ids without a row read as zeros, and get none. ``clone(for_test=True)`` sets it.
        entry: which ids get a row: `CountFilterEntry`, `ProbabilityEntry`; by default each when it is first seen.
        param_attr, dtype: as in `layers.embedding`.

    Raises:
        InvalidTypeError: entry is no policy. Others as in `layers.embedding`.

    >>> import fluidlite as fluid
    >>> word = fluid.layers.data('word', [1], dtype='int64')
    >>> entry = fluid.contrib.CountFilterEntry(10)
    >>> fluid.contrib.layers.sparse_embedding(word, [1_000_000_000, 16], entry=entry).shape
    (-1, 16)
    """
    if entry is not None and not isinstance(entry, EntryAttr):
        raise InvalidTypeError(
            "The entry of sparse_embedding is no policy.",
            expected="CountFilterEntry or ProbabilityEntry",
            actual=type(entry).__name__,
            where=here(),
        )
    attrs = {"is_test": bool(is_test), "entry": entry.to_attr() if entry is not None else "none"}
    layer = "fluid.contrib.layers.sparse_embedding"
    return append_embedding(
        "lookup_table", input, size, True, True, padding_idx, param_attr, dtype, layer=layer, attrs=attrs
    )
