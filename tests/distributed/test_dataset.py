"""Datasets of several ranks: shuffles over all of them, sizes, ranks without files, and going on after a checkpoint."""

import pytest

from .launching import run_alone, run_ranks

SCRIPT = """
import sys
import numpy as np
import fluidlite as fluid
from fluidlite.incubate.fleet.collective import fleet
from tests_values import keep

N_FILES, TOGETHER = int(sys.argv[1]), sys.argv[2] == "together"
fleet.init()
rank = fleet.worker_index()
ids = fluid.data("ids", [None, 1], "int64", lod_level=1)
pair = fluid.data("pair", [None, 2], "float32")
table = fluid.embedding(ids, [5000, 3], is_sparse=True, is_distributed=True)
loss = fluid.layers.mean(fluid.layers.fc(fluid.layers.sequence_pool(fluid.layers.squeeze(table, [1]), "sum"), 1))
fleet.distributed_optimizer(fluid.optimizer.SGD(0.1)).minimize(loss)
exe = fluid.Executor()
exe.run(fluid.default_startup_program())

def write(name, first, n):
    "Samples whose slots all follow from a number."
    with open(name, "w") as file:
        for k in range(first, first + n):
            file.write(" ".join(map(str, [1 + k % 3, *[k] * (1 + k % 3), 2, k, -k])) + "\\n")
    return name

def dataset():
    one = fluid.DatasetFactory().create_dataset("InMemoryDataset")
    one.set_use_var([ids, pair])
    one.set_batch_size(4)
    files = ["part%d-%d" % (rank, i) for i in range(N_FILES)]
    one.set_filelist(fleet.split_files([write(name, 100 * i, 10 * i + 3) for i, name in enumerate(files)]))
    one.load_into_memory()
    return one

def numbers(one):
    "The numbers of the samples of an epoch, in its order; every slot of a sample has to be of that number."
    found = []
    for feed in one.batches():
        values, lengths = feed["ids"].value.ravel(), np.diff(feed["ids"].lod_offsets[0])
        pairs = feed["pair"]
        for begin, length, (a, b) in zip(np.cumsum(lengths) - lengths, lengths, pairs):
            k = values[begin]
            assert (values[begin:begin + length] == k).all() and length == 1 + k % 3 and (a, b) == (k, -k)
            found.append(int(k))
    return found

data = dataset()
result = {"loaded": numbers(data), "size": [data.get_memory_data_size(), data.get_memory_data_size(fleet)]}
result["shuffled size before"] = data.get_shuffle_data_size(fleet)
shuffle = (lambda d: d.global_shuffle(fleet)) if TOGETHER else (lambda d: d.local_shuffle())
shuffle(data)
result["first"] = numbers(data)
shuffle(data)
result["second"] = numbers(data)
result["sizes after"] = [data.get_shuffle_data_size(fleet), data.get_memory_data_size(fleet)]
exe.train_from_dataset(fluid.default_main_program(), data)
state = data.state_dict()
again = dataset()
again.set_state_dict(state)
result["again"] = numbers(again)
shuffle(again), shuffle(data)
result["third"] = [numbers(again), numbers(data)]
keep(result)
"""


def of_all(values, key):
    return sorted(number for value in values for number in value[key])


ALL = [k for i in range(3) for k in range(100 * i, 100 * i + 10 * i + 3)]


@pytest.fixture(scope="module")
def two():
    return run_ranks(2, SCRIPT, 3, "together").checked().values


def test_samples_are_mixed_over_the_ranks(two):
    for epoch in ("loaded", "first", "second"):
        assert of_all(two, epoch) == ALL
    loaded, first, second = ([set(value[key]) for value in two] for key in ("loaded", "first", "second"))
    for before, after in ((loaded, first), (first, second)):
        assert before[0] & after[0] and before[0] & after[1] and before[1] & after[1]
    assert [len(value["loaded"]) for value in two] == [16, 23]
    assert [len(value["first"]) for value in two] == [20, 19]
    assert two[0]["first"] != sorted(two[0]["first"])


def test_sizes_are_those_of_all_ranks(two):
    assert [value["size"] for value in two] == [[16, 39], [23, 39]]
    assert [value["shuffled size before"] for value in two] == [0, 0]
    assert [value["sizes after"] for value in two] == [[39, 39]] * 2


def test_a_restored_dataset_goes_on(two):
    for value in two:
        assert value["again"] == value["second"] and value["third"][0] == value["third"][1] != value["second"]


def test_shuffles_are_the_same_in_every_run(two):
    assert run_ranks(2, SCRIPT, 3, "together").checked().values == two


def test_ranks_without_files_take_their_share_or_serve():
    values = run_ranks(3, SCRIPT, 2, "together").checked().values
    assert [len(value["loaded"]) for value in values] == [3, 13, 0]
    assert sorted(len(value["first"]) for value in values) == [5, 5, 6]
    values = run_ranks(3, SCRIPT, 2, "alone").checked().values
    assert [len(value["second"]) for value in values] == [3, 13, 0]


def test_one_process_shuffles_by_itself():
    (together,) = run_alone(SCRIPT, 3, "together").checked().values
    (alone,) = run_alone(SCRIPT, 3, "alone").checked().values
    assert together == alone and sorted(together["first"]) == ALL
