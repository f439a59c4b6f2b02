"""Programs of Fluid that had servers and trainers, untouched: by one process, and by two ranks."""

import numpy as np
import pytest

import fluidlite as fluid

from .launching import run_alone, run_ranks

MODEL = """
import os, sys
import numpy as np
import paddle.fluid as fluid
from tests_values import keep

def model():
    fluid.default_main_program().random_seed = fluid.default_startup_program().random_seed = 7
    ids = fluid.layers.data("ids", [1], dtype="int64", lod_level=1)
    label = fluid.layers.data("label", [1], dtype="float32")
    rows = fluid.layers.embedding(ids, [1000, 5], is_sparse=True, is_distributed=True, param_attr="table")
    hidden = fluid.layers.fc(fluid.layers.sequence_pool(rows, "sum"), 3, act="tanh")
    score = fluid.layers.fc(hidden, 1)
    loss = fluid.layers.mean(fluid.layers.sigmoid_cross_entropy_with_logits(score, label))
    return ids, label, score, loss

def batches(n, rank, size):
    "The rank's lines of n batches of 12 lines."
    draw = np.random.RandomState(3)
    for _ in range(n):
        ids = draw.randint(0, 50, (12, 2))
        label = (ids.sum(1, keepdims=True) > 50).astype("float32")
        mine = slice(12 // size * rank, 12 // size * (rank + 1))
        ids = ids[mine].reshape(-1, 1).astype("int64")
        value = fluid.create_lod_tensor(ids, [[2] * (12 // size)], fluid.CPUPlace())
        yield {"ids": value, "label": label[mine]}
"""

FLEET = (
    MODEL
    + """
import paddle.fluid.incubate.fleet.base.role_maker as role_maker
from paddle.fluid.incubate.fleet.parameter_server.distribute_transpiler import fleet
from paddle.fluid.incubate.fleet.parameter_server.distribute_transpiler.distributed_strategy import StrategyFactory

kind, folder = sys.argv[1:]
if kind == "cloud":
    role = role_maker.PaddleCloudRoleMaker()
else:
    role = role_maker.UserDefinedRoleMaker(
        current_id=0, role=role_maker.Role.WORKER, worker_num=3, server_endpoints=["127.0.0.1:36001"])
fleet.init(role)
ids, label, score, loss = model()
optimizer = fluid.optimizer.Adam(0.05, lazy_mode=True)
optimizer = fleet.distributed_optimizer(optimizer, StrategyFactory.create_sync_strategy())
optimizer.minimize(loss)
if fleet.is_server():
    fleet.init_server(folder)
    fleet.run_server()
elif fleet.is_worker():
    fleet.init_worker()
    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(fleet.startup_program)
    losses = []
    for feed in batches(20, fleet.worker_index(), fleet.worker_num()):
        losses.append(float(exe.run(fleet.main_program, feed=feed, fetch_list=[loss])[0][0]))
    total = np.zeros(2)
    fleet.all_reduce_worker(np.array([fleet.worker_index() + 1.0, 2.0]), total)
    fleet.barrier_worker()
    if fleet.is_first_worker():
        fleet.save_persistables(exe, folder + "/persistables")
    fleet.save_inference_model(exe, folder + "/inference", [ids.name], [score])
    files = fleet.split_files(["a", "b", "c"])
    keep([losses, total.tolist(), files, fleet.worker_index(), fleet.worker_num(), fleet.server_num(),
          len(set(fleet.worker_endpoints()))])
    fleet.stop_worker()
"""
)

DATASET = (
    MODEL
    + """
from paddle.fluid.incubate.fleet.parameter_server.pslib import fleet

(folder,) = sys.argv[1:]
for i in range(3):
    with open("part-%d" % i + os.environ.get("PADDLE_TRAINER_ID", ""), "w") as file:
        for line in range(7 * (i + 1)):
            file.write("2 %d %d 1 %d\\n" % (i, line, line % 2))
fleet.init()
ids, label, score, loss = model()
optimizer = fleet.distributed_optimizer(fluid.optimizer.SGD(0.05), strategy={"max_staleness": 3})
optimizer.minimize([loss])
exe = fluid.Executor(fluid.CPUPlace())
exe.run(fluid.default_startup_program())
fleet.init_worker()
dataset = fluid.DatasetFactory().create_dataset("InMemoryDataset")
dataset.set_use_var([ids, label])
dataset.set_batch_size(4)
dataset.set_filelist(fleet.split_files(["part-%d" % i + os.environ.get("PADDLE_TRAINER_ID", "") for i in range(3)]))
dataset.load_into_memory()
for epoch in range(3):
    exe.train_from_dataset(fluid.default_main_program(), dataset)
fleet.save_persistables(exe, folder)
keep([fleet.worker_index(), len(dataset.filelist), dataset.get_memory_data_size()])
fleet.stop_worker()
"""
)

TRANSPILER = (
    MODEL
    + """
role = os.getenv("TRAINING_ROLE", "TRAINER")
trainer_id = int(os.getenv("PADDLE_TRAINER_ID", "0"))
trainers = int(os.getenv("PADDLE_TRAINERS_NUM", "1"))
endpoint = "127.0.0.1:6174"
ids, label, score, loss = model()
fluid.optimizer.SGD(0.5).minimize(loss)
t = fluid.DistributeTranspiler()
t.transpile(trainer_id, pservers=endpoint, trainers=trainers, sync_mode=True)
exe = fluid.Executor(fluid.CPUPlace())
if role == "PSERVER":
    pserver_program = t.get_pserver_program(endpoint)
    exe.run(t.get_startup_program(endpoint, pserver_program))
    exe.run(pserver_program)
elif role == "TRAINER":
    trainer_program = t.get_trainer_program()
    exe.run(fluid.default_startup_program())
    keep([float(exe.run(trainer_program, feed=feed, fetch_list=[loss])[0][0])
          for feed in batches(20, trainer_id, trainers)])
"""
)


def predictions(folder):
    """What a model saved for inference says of ids that were trained, and of one that was not."""
    ids = np.array([[i] for i in range(50)] + [[777]], "int64")
    exe = fluid.Executor()
    with fluid.scope_guard(fluid.Scope()):
        program, (name,), targets = fluid.io.load_inference_model(str(folder), exe)
        feed = {name: fluid.create_lod_tensor(ids, [[1] * 51], None)}
        return exe.run(program, feed, targets)[0]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return folder, run_alone(FLEET, "cloud", folder / "out", folder=folder, fluid=True).checked()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return folder, run_ranks(2, FLEET, "user", folder / "out", folder=folder, fluid=True).checked()


class TestFleet:
    def test_every_rank_is_a_worker(self, alone, two):
        assert alone[1].values[0][1:] == [[1.0, 2.0], ["a", "b", "c"], 0, 1, 1, 1]
        assert two[1].values[0][1:] == [[3.0, 4.0], ["a", "b"], 0, 2, 2, 2]
        assert two[1].values[1][1:] == [[3.0, 4.0], ["c"], 1, 2, 2, 2]

    def test_losses_are_those_of_one_process(self, alone, two):
        (expected, *_), losses = alone[1].values[0], [value[0] for value in two[1].values]
        assert losses[0] == losses[1]
        assert np.allclose(losses[0], expected, rtol=0, atol=1e-5) and expected[-1] < 0.9 * expected[0]

    def test_a_wrong_number_of_workers_is_said_once(self, two):
        assert two[1].err.count("was told of 3 workers, but the job has 2 ranks") == 1

    def test_what_is_saved_is_what_one_process_saves(self, alone, two):
        expected = predictions(alone[0] / "out" / "inference")
        assert np.allclose(predictions(two[0] / "out" / "inference"), expected, rtol=0, atol=1e-5)
        assert np.ptp(expected) > 0.1
        folders = [one[0] / "out" / "persistables" for one in (alone, two)]
        assert sorted(p.name for p in folders[0].iterdir()) == sorted(p.name for p in folders[1].iterdir())

    def test_asynchronous_epochs_of_unequal_length_end(self, tmp_path):
        alone = run_alone(DATASET, tmp_path / "alone", folder=tmp_path, fluid=True).checked()
        assert alone.values == [[0, 3, 42]]
        outcome = run_ranks(2, DATASET, tmp_path / "two", folder=tmp_path, fluid=True).checked()
        assert outcome.values == [[0, 2, 21], [1, 1, 21]]
        names = [sorted(p.name for p in (tmp_path / one).iterdir()) for one in ("alone", "two")]
        assert names[0] == names[1] and "table" in names[0]


class TestTranspiler:
    def test_trainers_train_and_losses_are_those_of_one_process(self):
        (alone,) = run_alone(TRANSPILER, fluid=True).checked().values
        first, second = run_ranks(2, TRANSPILER, fluid=True).checked().values
        assert first == second
        assert np.allclose(first, alone, rtol=0, atol=1e-5) and alone[-1] < 0.9 * alone[0]

    def test_a_process_that_is_to_be_a_server_is_told_that_there_are_none(self):
        outcome = run_alone(TRANSPILER, fluid=True, env={"TRAINING_ROLE": "PSERVER"})
        assert outcome.code == 1 and "no rank is a server, at 127.0.0.1:6174" in outcome.err
