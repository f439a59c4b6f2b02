"""A click model that is trained by one process or by many, on one machine or on a cluster: the same script.

    python examples/distributed_ctr.py                          # one process
    mpiexec -n 4 python examples/distributed_ctr.py             # four ranks, in step
    mpiexec -n 4 python examples/distributed_ctr.py --async     # each rank at its own pace

Every rank trains on files of its own and owns a share of the rows of the tables. Started again, with any number of
ranks, it goes on from its newest checkpoint. Data are drawn at the first start, unless --data says where files are:
train-* and test-*, MultiSlot text with three slots in a line, the label (0 or 1), 13 counts and 26 ids:

    1 0 13 0.69 0 1.39 ... 26 1099511627776 2199023255559 ...
"""

import argparse
import functools
import glob
import os

import numpy as np

import fluidlite as fluid
from fluidlite import distributed
from fluidlite.incubate.fleet.parameter_server.distribute_transpiler import StrategyFactory, fleet

N_COUNTS, N_IDS, WIDTH = 13, 26, 16
DICT_SIZE = 1_000_000_000  # more ids than a machine could hold; tables take memory for those that come
N_FILES, N_BINS = 16, 10_000


def draw_files(folder, n_samples):
    """Files of samples: columns of 4 to a million zipf-distributed values, each with a weight. A tenth is for tests."""
    os.makedirs(folder)
    rng = np.random.default_rng(1)
    sizes, exponents = np.geomspace(4, 1_000_000, N_IDS), rng.uniform(1.1, 1.6, N_IDS)
    for name, n in [("train", n_samples // N_FILES), ("test", n_samples // N_FILES // 10)] * N_FILES:
        counts = np.log1p(np.exp(rng.normal(1.0, 1.5, (n, N_COUNTS))).astype(np.int64)).round(2)
        values = np.stack([rng.zipf(a, n) % int(size) for a, size in zip(exponents, sizes, strict=True)], axis=1)
        ids = values + (np.arange(1, N_IDS + 1) << 40)
        weights = (ids * 0x5851F42D4C957F2D >> 40) / 2**23
        clicked = rng.random(n) < 1 / (1 + np.exp(1.2 - 0.8 * weights.sum(axis=1)))
        with open(os.path.join(folder, f"{name}-{len(os.listdir(folder)) // 2:03d}"), "w") as file:
            for label, floats, numbers in zip(clicked, counts.tolist(), ids.tolist(), strict=True):
                file.write(" ".join(map(str, [1, int(label), N_COUNTS, *floats, N_IDS, *numbers])) + "\n")


def build_model():
    """DeepFM (Guo et al., 2017) over two tables, of vectors and of weights; returns (inputs, probability, loss)."""
    label, counts = fluid.data("label", [None, 1]), fluid.data("counts", [None, N_COUNTS])
    ids = fluid.data("ids", [None, N_IDS, 1], "int64")
    shared = {"is_sparse": True, "is_distributed": True}
    vectors = fluid.layers.embedding(ids, [DICT_SIZE, WIDTH], **shared)
    weights = fluid.layers.embedding(ids, [DICT_SIZE, 1], **shared)
    total = fluid.layers.reduce_sum(vectors, dim=1)
    squares = fluid.layers.reduce_sum(fluid.layers.square(vectors), dim=1)
    pairs = fluid.layers.reduce_sum(fluid.layers.square(total) - squares, dim=1, keep_dim=True) * 0.5
    hidden = fluid.layers.concat([fluid.layers.reshape(vectors, [-1, N_IDS * WIDTH]), counts], axis=1)
    hidden = fluid.layers.fc(fluid.layers.fc(hidden, 64, act="relu"), 32, act="relu")
    logit = fluid.layers.fc(hidden, 1) + pairs + fluid.layers.reduce_sum(weights, dim=1)
    loss = fluid.layers.mean(fluid.layers.sigmoid_cross_entropy_with_logits(logit, label))
    return [label, counts, ids], fluid.layers.sigmoid(logit), loss


def make_loader(inputs, pattern, batch_size):
    """Batches of this rank's share of the files; a rank may have none."""
    files, dataset = sorted(glob.glob(pattern)), fluid.DatasetFactory().create_dataset("QueueDataset")
    if not files:
        raise FileNotFoundError(f"There are no files {pattern}.")
    dataset.set_use_var(inputs)
    dataset.set_batch_size(batch_size)
    dataset.set_filelist(fleet.split_files(files))
    return fluid.io.DataLoader.from_dataset(dataset, fluid.cpu_places(1), drop_last=False)


def evaluate(exe, program, loader, probability, loss):
    """(mean loss, area under the ROC curve) over the test samples of all ranks; all of them call it."""
    sums, bins = np.zeros(2), np.zeros((2, N_BINS))
    for (feed,) in loader:
        scores, value = exe.run(program, feed=feed, fetch_list=[probability, loss])
        labels, at = np.asarray(feed["label"]).ravel(), (scores.ravel() * (N_BINS - 1)).astype(int)
        sums += value.item() * len(labels), len(labels)
        for which in (0, 1):
            bins[which] += np.bincount(at[labels == which], minlength=N_BINS)
    job = distributed.current()
    (total, n), (zeros, ones) = job.all_reduce(sums), job.all_reduce(bins)
    return total / n, (ones * (np.cumsum(zeros) - zeros / 2)).sum() / (zeros.sum() * ones.sum())


def train(options):
    fleet.init()
    say = functools.partial(print, flush=True) if fleet.is_first_worker() else lambda text: None
    data = options.data or os.path.join(options.output, "data")
    if fleet.is_first_worker() and not (options.data or os.path.exists(data)):
        draw_files(data, options.samples)
    fleet.barrier_worker()

    (inputs, probability, loss), main = build_model(), fluid.default_main_program()
    test = main.clone(for_test=True)
    strategy = StrategyFactory.create_async_strategy() if options.is_async else StrategyFactory.create_sync_strategy()
    optimizer = fluid.optimizer.Adam(options.learning_rate, lazy_mode=True)
    fleet.distributed_optimizer(optimizer, strategy).minimize(loss)
    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(fluid.default_startup_program())

    loader = make_loader(inputs, os.path.join(data, "train-*"), options.batch_size)
    checkpoints, step = os.path.join(options.output, "checkpoints"), 0
    if fluid.io.latest_checkpoint(checkpoints) is not None:
        step = fluid.io.load_checkpoint(exe, checkpoints, main, readers=[loader])
        say(f"goes on after step {step}")
    fleet.init_worker()
    while step < options.steps and loader.state_dict()["epoch"] < options.epochs:
        for (feed,) in loader:
            (value,) = exe.run(main, feed=feed, fetch_list=[loss])
            step += 1
            if step % options.report == 0:
                say(f"step {step:>6,}  loss {value.item():.4f}")
            if step % options.save == 0:
                fluid.io.save_checkpoint(exe, checkpoints, step, main, readers=[loader])
            if step == options.steps:
                break
        # A rank that has fewer batches than others gives them rows until they are done.
        fleet.barrier_worker()

    tests = make_loader(inputs, os.path.join(data, "test-*"), options.batch_size)
    value, auc = evaluate(exe, test, tests, probability, loss)
    say(f"after {step:,} steps  test loss {value:.4f}  auc {auc:.4f}")
    fleet.save_inference_model(exe, os.path.join(options.output, "model"), ["counts", "ids"], [probability])
    say(f"rank 0 of {fleet.worker_num()}: {distributed.current().stats()}")
    fleet.stop_worker()
    return 0


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FOLDER", help="has train-* and test-*; without it, data are drawn")
    parser.add_argument("--output", metavar="FOLDER", default="distributed_ctr", help="checkpoints, model, drawn data")
    parser.add_argument("--async", action="store_true", dest="is_async", help="no rank waits for the others")
    parser.add_argument("--learning-rate", type=float, default=0.001)
    numbers = {"samples": 200_000, "batch-size": 256, "epochs": 1, "steps": 10**9, "report": 50, "save": 100}
    for name, value in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N")
    options = parser.parse_args(argv)
    with fluid.program_guard(fluid.Program(), fluid.Program()), fluid.scope_guard(fluid.Scope()):
        fluid.default_main_program().random_seed = fluid.default_startup_program().random_seed = 1
        with fluid.unique_name.guard():
            return train(options)


if __name__ == "__main__":
    raise SystemExit(main())
