"""A click model whose ids are raw 64-bit hashes: no vocabulary, no counting, a row for each value that was seen.

    python examples/hashed_ctr.py                        # data drawn as it runs: 26 columns of zipf-distributed values
    python examples/hashed_ctr.py --data train.txt       # lines as of Criteo's Kaggle set
    python examples/hashed_ctr.py --count-filter 3       # a row only for what was seen three times
    python examples/hashed_ctr.py --shrink 500           # and none for what 500 steps have not seen

A line of Criteo: a label (0 or 1), 13 counts and 26 hexadecimal values, separated by tabs; any of them may be empty.
Each example is predicted before the model learns from it, so what is printed is the quality on unseen data.
Model: Guo et al., "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction" (2017).
"""

import argparse
import itertools
import time

import numpy as np

import fluidlite as fluid

N_COUNTS, N_VALUES = 13, 26
N_COLUMNS = N_COUNTS + N_VALUES
# More ids than this machine could hold; the tables take memory for those that come.
DICT_SIZE = 1_000_000_000
# Stands for an empty column. It reads as zeros and gets no row.
EMPTY = 0


def hash_columns(columns):
    """64-bit ids for the values of each column, (N, 39) int64: equal values in two columns get different ids."""
    x = columns.astype(np.uint64) + (np.arange(1, N_COLUMNS + 1, dtype=np.uint64) << np.uint64(56))
    for _ in range(2):
        x ^= x >> np.uint64(32)
        x *= np.uint64(0xD6E8FEB86659FD93)
    return (x ^ x >> np.uint64(32)).view(np.int64)


def count_buckets(counts):
    """Counts as values: up to 2 as they are, above by the square of their logarithm, as is usual for this set."""
    return np.where(counts > 2, np.log(np.maximum(counts, 3)) ** 2, counts).astype(np.int64) + 2


def read_batches(path, batch_size):
    """(ids, labels) from a file of Criteo's format."""
    with open(path, encoding="ascii") as file:
        numbered = enumerate(file, 1)
        while batch := list(itertools.islice(numbered, batch_size)):
            labels, columns = np.empty((len(batch), 1), np.float32), np.empty((len(batch), N_COLUMNS), np.int64)
            missing = np.zeros(columns.shape, bool)
            for k, (number, line) in enumerate(batch):
                label, *fields = line.rstrip("\n").split("\t")
                try:
                    if len(fields) != N_COLUMNS or label not in ("0", "1"):
                        raise ValueError
                    labels[k] = int(label)
                    columns[k, :N_COUNTS] = [int(f or -1) for f in fields[:N_COUNTS]]
                    columns[k, N_COUNTS:] = [int(f or "0", 16) for f in fields[N_COUNTS:]]
                    missing[k] = [not f for f in fields]
                except ValueError:
                    raise SystemExit(
                        f"{path}, line {number} is not of Criteo's format: a label, {N_COUNTS} counts and {N_VALUES} "
                        "hexadecimal values, separated by tabs"
                    ) from None
            columns[:, :N_COUNTS] = count_buckets(columns[:, :N_COUNTS])
            ids = hash_columns(columns)
            ids[missing] = EMPTY
            yield ids, labels


def drawn_batches(batch_size, seed):
    """(ids, labels) without end: columns of 4 to some millions of zipf-distributed values, each with a weight."""
    rng = np.random.default_rng(seed)
    sizes = np.geomspace(4, 5_000_000, N_VALUES)
    exponents = rng.uniform(1.05, 1.6, N_VALUES)
    while True:
        columns = np.empty((batch_size, N_COLUMNS), np.int64)
        columns[:, :N_COUNTS] = count_buckets(np.exp(rng.normal(1.0, 1.5, (batch_size, N_COUNTS))).astype(np.int64))
        for k, (size, exponent) in enumerate(zip(sizes, exponents, strict=True)):
            columns[:, N_COUNTS + k] = rng.zipf(exponent, batch_size) % int(size)
        ids = hash_columns(columns)
        # What a value is worth follows from its id: a number in [-1, 1).
        weights = (ids * 0x5851F42D4C957F2D >> 40) / 2**23
        score = weights.sum(axis=1) * 0.6 - 1.2
        labels = rng.random(batch_size) < 1 / (1 + np.exp(-score))
        ids[rng.random(ids.shape) < 0.05] = EMPTY
        yield ids, labels[:, None].astype(np.float32)


def build_model(width, count_filter):
    """DeepFM over two tables, of vectors and of weights; returns (probability, loss)."""
    ids = fluid.data("ids", [None, N_COLUMNS, 1], "int64")
    label = fluid.data("label", [None, 1])
    entry = fluid.contrib.CountFilterEntry(count_filter) if count_filter > 1 else None

    def rows(name, width):
        attr = fluid.ParamAttr(name, initializer=fluid.initializer.Uniform(-0.01, 0.01))
        return fluid.contrib.layers.sparse_embedding(
            ids, [DICT_SIZE, width], padding_idx=EMPTY, entry=entry, param_attr=attr
        )

    vectors, weights = rows("vectors", width), rows("weights", 1)
    total = fluid.layers.reduce_sum(vectors, dim=1)
    squares = fluid.layers.reduce_sum(fluid.layers.square(vectors), dim=1)
    pairs = fluid.layers.reduce_sum(fluid.layers.square(total) - squares, dim=1, keep_dim=True) * 0.5
    hidden = fluid.layers.fc(fluid.layers.reshape(vectors, [-1, N_COLUMNS * width]), 64, act="relu")
    logit = fluid.layers.fc(fluid.layers.fc(hidden, 32, act="relu"), 1)
    logit = logit + pairs + fluid.layers.reduce_sum(weights, dim=1)
    loss = fluid.layers.mean(fluid.layers.sigmoid_cross_entropy_with_logits(logit, label))
    return fluid.layers.sigmoid(logit), loss


def minimize(loss, rate):
    """SparseAdam for the tables, Adam for the rest."""
    params_grads = fluid.backward.append_backward(loss)
    tables = [pair for pair in params_grads if pair[0].is_distributed]
    fluid.optimizer.SparseAdam(rate).apply_gradients(tables)
    dense = [pair for pair in params_grads if not pair[0].is_distributed]
    fluid.optimizer.Adam(rate).apply_gradients(dense)


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FILE", help="lines of Criteo's format; without it, data are drawn")
    parser.add_argument("--examples", type=int, default=1_000_000, help="how many to learn from")
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--width", type=int, default=16, help="of the vectors")
    parser.add_argument("--learning-rate", type=float, default=0.002)
    parser.add_argument("--count-filter", type=int, default=1, metavar="K", help="a row for what was seen K times")
    parser.add_argument("--shrink", type=int, default=0, metavar="STEPS", help="drop rows that so many have not seen")
    parser.add_argument("--reports", type=int, default=20, help="lines to print")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


def train(options):
    probability, loss = build_model(options.width, options.count_filter)
    minimize(loss, options.learning_rate)
    exe, scope = fluid.Executor(fluid.CPUPlace()), fluid.global_scope()
    exe.run(fluid.default_startup_program())
    tables = [scope.find_var(name).get_table() for name in ("vectors", "weights")]

    batches = read_batches(options.data, options.batch_size) if options.data else None
    if batches is None:
        batches = drawn_batches(options.batch_size, options.seed)
    step_of_report = max(options.examples // (options.batch_size * options.reports), 1)
    auc, losses, done, since, started = fluid.metrics.Auc("auc"), [], 0, 0, time.perf_counter()

    def report():
        seconds, memory = time.perf_counter() - started, sum(table.nbytes for table in tables)
        print(
            f"examples {done:>9,}  loss {np.mean(losses):.4f}  auc {auc.eval():.4f}  live rows {len(tables[0]):>9,}  "
            f"memory {memory / 1e6:7.1f} MB  hit rate {tables[0].stats()['hit_rate']:.3f}  "
            f"{since / seconds:>8,.0f} examples/s",
            flush=True,
        )

    for step, (ids, labels) in enumerate(batches, 1):
        ids, labels = ids[: options.examples - done], labels[: options.examples - done]
        score, value = exe.run(feed={"ids": ids[..., None], "label": labels}, fetch_list=[probability, loss])
        auc.update(np.concatenate([1 - score, score], axis=1), labels)
        losses.append(value.item())
        done, since = done + len(ids), since + len(ids)
        if options.shrink and step % options.shrink == 0:
            dropped = sum(table.shrink(unseen_steps=options.shrink) for table in tables)
            print(f"dropped {dropped:,} rows not seen for {options.shrink} steps")
        if done >= options.examples:
            break
        if step % step_of_report == 0:
            report()
            losses, since, started = [], 0, time.perf_counter()
            auc = fluid.metrics.Auc("auc")
    if losses:
        report()
    return 0


def main(argv=None):
    options = parse_arguments(argv)
    main_program, startup = fluid.Program(), fluid.Program()
    main_program.random_seed = startup.random_seed = options.seed
    with fluid.program_guard(main_program, startup), fluid.unique_name.guard(), fluid.scope_guard(fluid.Scope()):
        return train(options)


if __name__ == "__main__":
    raise SystemExit(main())
