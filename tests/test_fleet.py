"""Fluid's fleet in one process, and what it says to jobs of several ranks; tests/distributed runs real ones."""

import importlib
import inspect
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError, InvalidTypeError, UnavailableError
from fluidlite.incubate.fleet import collective
from fluidlite.incubate.fleet.base import fleet_base, role_maker
from fluidlite.incubate.fleet.base.role_maker import Role, UserDefinedRoleMaker
from fluidlite.incubate.fleet.parameter_server import distribute_transpiler, pslib, version
from fluidlite.incubate.fleet.parameter_server.distribute_transpiler import distributed_strategy
from fluidlite.incubate.fleet.parameter_server.distribute_transpiler.distributed_strategy import StrategyFactory
from fluidlite.incubate.fleet.utils.fleet_util import FleetUtil

RECORDED = json.loads((Path(__file__).parent / "golden" / "distributed.json").read_text())
DEFAULTS = RECORDED.pop("defaults")
FACES = [collective, distribute_transpiler, pslib]

_SERVERS = "settings of PSLib's own tables, which are variables here"
_CUT = "cuts variables for servers"
OMITTED = {
    "MockBarrier": "an inner class",
    "Collective.clean_redundant_check_points": "fluid.io.save_checkpoint(keep=...)",
    "Collective.load_check_point": "fluid.io.load_checkpoint",
    "Collective.save_check_point": "fluid.io.save_checkpoint",
    "Collective.run_worker": "only warns",
    "CollectiveOpBasedOptimizer": "an inner class",
    "CollectiveOptimizer.raiseOptimizeError": "an inner function",
    **dict.fromkeys(("DistFCConfig", "LambConfig", "TrainStatus"), "classes without use"),
    **{
        f"PSLib.{name}": _SERVERS
        for name in ("clear_model", "clear_one_table", "confirm", "load_one_table", "load_pslib_whitelist")
        + ("print_table_stat", "revert", "save_cache_model", "save_model_with_whitelist", "save_one_table")
        + ("set_pull_local_thread_num", "shrink_dense_table", "shrink_sparse_table")
    },
    "fleet_embedding": _SERVERS,
    **dict.fromkeys(("VarBlock", "same_or_split_var", "slice_variable"), _CUT),
    "log": "an inner function",
}
UTIL = {"__init__", "rank0_print", "rank0_info", "rank0_error", "set_zero", "get_global_auc", "print_global_auc"}
# A default that is an object in Fluid, made when the module is imported, is None here.
CHANGED_DEFAULTS = {("set_zero", "scope"), ("set_zero", "place"), ("get_global_auc", "scope")}
CHANGED_DEFAULTS |= {("print_global_auc", "scope"), ("__init__", "strategy")}


def recorded():
    for module, names in RECORDED.items():
        for name, signature in names.items():
            cls, _, method = name.partition(".")
            if cls == "FleetUtil" and method not in UTIL:
                continue
            if name not in OMITTED and cls not in OMITTED and not isinstance(signature, str):
                yield module, name, signature


def signature_of(function, is_method):
    kinds = inspect.Parameter
    for one in list(inspect.signature(function).parameters.values())[1 if is_method else 0 :]:
        stars = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(one.kind, "")
        yield [stars + one.name, None if one.default is one.empty else repr(one.default)]


@pytest.mark.parametrize(("module", "name", "signature"), list(recorded()), ids=str)
def test_signatures_are_those_of_fluid(module, name, signature):
    owner = importlib.import_module(f"fluidlite.{module}")
    *cls, method = name.split(".")
    for part in cls:
        owner = getattr(owner, part)
    thing = inspect.getattr_static(owner, method)
    is_method = bool(cls) and not isinstance(thing, staticmethod)
    ours = [] if thing is object.__init__ else list(signature_of(getattr(thing, "__func__", thing), is_method))
    expected = [[p, "None" if d == "object" and (method, p) in CHANGED_DEFAULTS else d] for p, d in signature]
    assert ours == expected


def test_every_module_and_object_of_fluid_is_there():
    for module, names in RECORDED.items():
        found = importlib.import_module(f"fluidlite.{module}")
        assert [name for name in names if isinstance(names[name], str) and not hasattr(found, name)] == []


def test_defaults_are_those_of_fluid():
    for name, defaults in DEFAULTS.items():
        module, _, cls = name.rpartition(".")
        one = getattr(importlib.import_module(f"fluidlite.{module}"), cls)()
        assert {key: getattr(one, key) for key in defaults} == defaults


@pytest.fixture(params=FACES, ids=lambda face: face.__name__.rpartition(".")[2])
def face(request):
    request.param.fleet.__init__()
    yield request.param
    request.param.fleet.__init__()


class Ranks:
    """Stands in for a job of several ranks, as one of them sees it."""

    def __init__(self, rank, size):
        self.rank, self.size, self.is_first = rank, size, rank == 0
        self.hosts = [f"node{i}" for i in range(size)]
        self.distributed = []

    def distribute(self, program, startup_program=None, loss_name=None, **how):
        self.distributed.append((program, startup_program, loss_name, how))

    def all_reduce(self, array, mode):
        return array * self.size if mode == "sum" else array

    def all_gather(self, value):
        return [value] * self.size

    def barrier(self):
        pass

    finish = barrier


@pytest.fixture
def ranks(monkeypatch):
    """A function that makes this process one rank of several."""

    def pretend(rank, size):
        job = Ranks(rank, size)
        monkeypatch.setattr(role_maker, "start", lambda: job)
        monkeypatch.setattr(fleet_base, "start", lambda: job)
        return job

    return pretend


def model():
    x = fluid.data("x", [None, 3])
    return fluid.layers.mean(fluid.layers.fc(x, 1))


class TestOneProcess:
    def test_is_a_worker_and_no_server(self, face):
        fleet = face.fleet
        with pytest.raises(ValueError, match=r"use fleet.init\(role\)"):
            fleet.is_worker()
        fleet.init()
        assert fleet.is_worker() and not fleet.is_server() and fleet.is_first_worker()
        assert (fleet.worker_num(), fleet.worker_index(), fleet.server_num(), fleet.server_index()) == (1, 0, 1, 0)
        (name,) = fleet.worker_endpoints()
        assert name.endswith(":0") and fleet.server_endpoints(to_string=True) == name
        output = np.zeros(2)
        fleet.all_reduce_worker([1.5, 2.0], output)
        assert output.tolist() == [1.5, 2.0]
        fleet.barrier_worker()

    def test_every_role_maker_does(self, face):
        one = [role_maker.MPISymetricRoleMaker(), role_maker.MPIRoleMaker(), role_maker.RoleMakerBase()]
        one += [role_maker.PaddleCloudRoleMaker(), role_maker.PaddleCloudRoleMaker(is_collective=True)]
        one += [role_maker.GeneralRoleMaker(path="/x", hdfs_name="h", hdfs_ugi="u")]
        one += [UserDefinedRoleMaker(3, Role.WORKER, 5, ["a:1"])]
        one += [role_maker.UserDefinedCollectiveRoleMaker(1, ["a:1", "b:1"])]
        for role in one:
            with warnings.catch_warnings(action="error"):
                face.fleet.init(role)
            assert role.is_worker() and not role.is_server() and role.is_first_worker() and role.worker_num() == 1
            assert role.all_gather("x") == role._all_gather("x") == role._worker_gather("x") == ["x"]
            assert role.to_string().startswith("role: 1, current_id: 0, worker_endpoints: ['")
            role.barrier_all()
        with pytest.raises(TypeError, match="role_maker must be an instance of RoleMakerBase"):
            face.fleet.init("worker")

    def test_minimize_and_train(self, face, fresh):
        fleet = face.fleet
        fleet.init()
        with pytest.raises(ValueError, match="You should run"):
            fleet.init_worker()
        loss = model()
        ops, pairs = fleet.distributed_optimizer(fluid.optimizer.SGD(0.5)).minimize(loss)
        assert [op.type for op in ops] == ["sgd", "sgd"] and len(pairs) == 2
        assert fleet.main_program is fresh.main and fleet.startup_program is fresh.startup
        fleet.init_worker()
        fresh.exe.run(fleet.startup_program)
        feed = {"x": np.ones((5, 3), "float32")}
        first, second = (fresh.exe.run(fleet.main_program, feed, [loss])[0] for _ in range(2))
        assert second[0] == pytest.approx(first[0] - 0.5 * 4, abs=1e-5)
        fleet.stop_worker()

    def test_servers_are_refused(self, face):
        face.fleet.init()
        with pytest.raises(UnavailableError, match="run_server was called, but no rank is a server"):
            face.fleet.run_server()
        if face is not pslib:
            with pytest.raises(UnavailableError, match="init_server was called, but no rank is a server"):
                face.fleet.init_server("model")

    def test_optimizers_are_checked(self, face, fresh):
        with pytest.raises(ValueError, match=r"use fleet.init\(role\)"):
            face.fleet.distributed_optimizer(fluid.optimizer.SGD(0.1))
        face.fleet.init()
        with pytest.raises(TypeError, match="optimizer must be an instance of Optimizer"):
            face.fleet.distributed_optimizer("adam")
        with pytest.raises(TypeError):
            face.fleet.distributed_optimizer(fluid.optimizer.SGD(0.1), "fast")

    def test_saving_is_checked(self, face, fresh):
        fleet = face.fleet
        fleet.init()
        with pytest.raises(ValueError, match="You should run"):
            fleet.save_persistables(fresh.exe, "model")
        with pytest.raises(TypeError, match="executor must be as Executor type"):
            fleet.save_persistables("exe", "model", fresh.main)
        with pytest.raises(TypeError, match="main_program must be as Program type"):
            fleet.save_persistables(fresh.exe, "model", fluid.CompiledProgram(fresh.main))

    def test_save_and_load(self, face, fresh, tmp_path):
        fleet = face.fleet
        fleet.init()
        x = fluid.data("x", [None, 3])
        y = fluid.layers.fc(x, 2, param_attr="w")
        fleet.distributed_optimizer(fluid.optimizer.Adam(0.5)).minimize(fluid.layers.mean(y))
        fresh.start()
        feed = {"x": np.ones((5, 3), "float32")}
        fresh.run(feed)
        saved, (before,) = fresh.snapshot(), fresh.run(feed, [y])
        fleet.save_inference_model(fresh.exe, str(tmp_path / "inference"), ["x"], [y])
        fleet.save_persistables(fresh.exe, str(tmp_path / "model"))
        after_two = fresh.snapshot()
        assert after_two != saved
        fresh.start()
        fluid.io.load_persistables(fresh.exe, str(tmp_path / "model"), fleet.main_program)
        assert fresh.snapshot() == after_two
        with fluid.scope_guard(fluid.Scope()):
            program, _, targets = fluid.io.load_inference_model(str(tmp_path / "inference"), fresh.exe)
            (loaded,) = fresh.exe.run(program, feed, targets)
        assert np.all(loaded != before)


class TestManyRanks:
    def test_split_files_gives_blocks(self, face, ranks):
        files = list("abcde")
        for size, blocks in ((2, ["abc", "de"]), (3, ["ab", "cd", "e"]), (7, ["a", "b", "c", "d", "e", "", ""])):
            for rank, block in enumerate(blocks):
                ranks(rank, size)
                face.fleet.init()
                assert face.fleet.split_files(files) == list(block)
                assert face.fleet.split_files([]) == []
        with pytest.raises(TypeError, match="files should be a list"):
            face.fleet.split_files(("a", "b"))

    def test_the_job_says_who_is_who(self, face, ranks):
        ranks(2, 3)
        face.fleet.init(UserDefinedRoleMaker(0, Role.WORKER, 1, ["127.0.0.1:6174"]))
        fleet = face.fleet
        assert (fleet.worker_index(), fleet.worker_num(), fleet.is_first_worker()) == (2, 3, False)
        assert (fleet.server_index(), fleet.server_num(), fleet.is_server()) == (2, 3, False)
        assert fleet.worker_endpoints() == ["node0:0", "node1:1", "node2:2"]
        assert fleet.server_endpoints(True) == "node0:0,node1:1,node2:2"
        assert fleet._role_maker.get_local_endpoint() == "node2:2" and fleet._role_maker.get_local_ip() == "node2"

    def test_nothing_is_saved_after_the_end(self, face, ranks, fresh):
        ranks(0, 2)
        face.fleet.init()
        face.fleet.distributed_optimizer(fluid.optimizer.SGD(0.1)).minimize(model())
        face.fleet.stop_worker()
        for call in (
            lambda: face.fleet.save_persistables(fresh.exe, "model"),
            lambda: face.fleet.save_inference_model(fresh.exe, "model", ["x"], [fresh.main.global_block().var("x")]),
        ):
            with pytest.raises(UnavailableError, match="was called after fleet.stop_worker"):
                call()

    def test_a_wrong_number_of_workers_is_said_once_by_rank_0(self, ranks):
        role = UserDefinedRoleMaker(0, Role.WORKER, 2, ["a:1"])
        ranks(1, 4)
        with warnings.catch_warnings(action="error"):
            UserDefinedRoleMaker(0, Role.WORKER, 2, ["a:1"]).generate_role()
        ranks(0, 4)
        with pytest.warns(UserWarning, match="told of 2 workers, but the job has 4 ranks"):
            role.generate_role()
        with warnings.catch_warnings(action="error"):
            role.generate_role()
            UserDefinedRoleMaker(0, Role.WORKER, 4, ["a:1"]).generate_role()
        with pytest.warns(UserWarning, match="told of 3 workers, but the job has 4"):
            role_maker.UserDefinedCollectiveRoleMaker(0, ["a:1", "b:1", "c:1"]).generate_role()

    def test_the_environment_is_compared(self, ranks, monkeypatch):
        ranks(0, 4)
        monkeypatch.setenv("PADDLE_TRAINERS_NUM", "4")
        monkeypatch.setenv("PADDLE_TRAINER_ENDPOINTS", "a:1,b:1")
        with warnings.catch_warnings(action="error"):
            role_maker.PaddleCloudRoleMaker().generate_role()
        for role in (role_maker.PaddleCloudRoleMaker(is_collective=True), role_maker.GeneralRoleMaker()):
            with pytest.warns(UserWarning, match="told of 2 workers"):
                role.generate_role()
        monkeypatch.setenv("PADDLE_TRAINERS_NUM", "four")
        with pytest.raises(ValueError, match="PADDLE_TRAINERS_NUM"):
            role_maker.PaddleCloudRoleMaker().generate_role()

    @pytest.mark.parametrize("size", [1, 2])
    def test_a_server_is_told_that_it_trains(self, ranks, monkeypatch, size):
        ranks(0, size)
        with pytest.warns(UserWarning, match="there are no servers: it trains"):
            UserDefinedRoleMaker(0, Role.SERVER, size, ["a:1"]).generate_role()
        monkeypatch.setenv("TRAINING_ROLE", "PSERVER")
        role = role_maker.PaddleCloudRoleMaker()
        with pytest.warns(UserWarning, match="there are no servers: it trains"):
            role.generate_role()
        assert role.is_worker() and not role.is_server()
        monkeypatch.setenv("TRAINING_ROLE", "BOSS")
        with pytest.raises(ValueError, match="TRAINING_ROLE must be PSERVER or TRAINER"):
            role_maker.PaddleCloudRoleMaker().generate_role()

    def test_all_reduce(self, ranks):
        ranks(0, 3)
        role = role_maker.MPISymetricRoleMaker()
        total, numbers = np.zeros((2, 2)), [0, 0]
        role.all_reduce_worker([[1, 2], [3, 4]], total)
        role.all_reduce_worker(np.array([5, 7]), numbers, mode="max")
        assert total.tolist() == [[3, 6], [9, 12]] and numbers == [5, 7]
        with pytest.raises(ValueError, match="unknown mode: mean"):
            role.all_reduce_worker([1], [0], "mean")
        for wrong in ([0], np.zeros(3), (0, 0)):
            with pytest.raises(InvalidArgumentError, match="cannot hold"):
                role.all_reduce_worker([1, 2], wrong)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((0, Role.WORKER, 1, None), InvalidTypeError, "server_endpoints must be as string list"),
        ((0, Role.WORKER, 1, []), InvalidArgumentError, "must be greater than 0"),
        ((0, Role.WORKER, 1, ["a:1", "a:1"]), InvalidArgumentError, "duplicate"),
        ((0, Role.WORKER, 1, [1]), InvalidTypeError, "every element"),
        ((0, 3, 1, ["a:1"]), InvalidTypeError, "role must be as Role"),
        (("0", Role.WORKER, 1, ["a:1"]), InvalidTypeError, "current_id must be as int"),
        ((-1, Role.WORKER, 1, ["a:1"]), InvalidArgumentError, "greater than or equal to 0"),
        ((1, Role.SERVER, 1, ["a:1"]), InvalidArgumentError, r"len\(server_endpoints\) - 1"),
        ((0, Role.WORKER, 1.0, ["a:1"]), InvalidTypeError, "worker_num must be as int"),
        ((0, Role.WORKER, 0, ["a:1"]), InvalidArgumentError, "worker_num must be greater than 0"),
    ],
)
def test_arguments_of_role_makers_are_checked(arguments, error, text):
    with pytest.raises(error, match=text):
        UserDefinedRoleMaker(*arguments)


def test_an_id_beyond_the_workers_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"len\(worker_endpoints\) - 1"):
        role_maker.UserDefinedCollectiveRoleMaker(2, ["a:1", "b:1"])


class TestStrategies:
    def options(self, ranks, face, strategy):
        face.fleet.__init__()
        job = ranks(0, 2)
        face.fleet.init()
        with fluid.program_guard(fluid.Program(), fluid.Program()), fluid.unique_name.guard():
            loss = model()
            face.fleet.distributed_optimizer(fluid.optimizer.SGD(0.1), strategy).minimize(loss)
            ((program, startup, name, how),) = job.distributed
            assert program is fluid.default_main_program() and startup is fluid.default_startup_program()
            assert name == loss.name
        face.fleet.__init__()
        return how

    def test_of_the_factory(self, ranks):
        create = StrategyFactory
        asynchronous = create.create_async_strategy()
        asynchronous.max_staleness, asynchronous.prefetch = 2, True
        for strategy, expected in (
            (None, {"sync": True, "max_staleness": 4, "prefetch": False}),
            (create.create_sync_strategy(), {"sync": True, "max_staleness": 4, "prefetch": False}),
            (create.create_async_strategy(), {"sync": False, "max_staleness": 4, "prefetch": False}),
            (asynchronous, {"sync": False, "max_staleness": 2, "prefetch": True}),
            (create.create_half_async_strategy(), {"sync": False, "max_staleness": 1, "prefetch": False}),
            (create.create_geo_strategy(7), {"sync": False, "max_staleness": 7, "prefetch": False}),
        ):
            assert self.options(ranks, distribute_transpiler, strategy) == expected

    def test_of_a_config(self, ranks):
        for settings, expected in (
            ({}, {"sync": True, "max_staleness": 4}),
            ({"sync_mode": False}, {"sync": False, "max_staleness": 1}),
            ({"sync_mode": False, "runtime_split_send_recv": True}, {"sync": False, "max_staleness": 4}),
            ({"sync_mode": False, "runtime_split_send_recv": True, "geo_sgd_mode": True}, {"max_staleness": 100}),
            ({"sync_mode": False, "completely_not_async": True}, {"sync": True}),
            ({"sync_mode": False, "max_staleness": 9, "prefetch": True}, {"max_staleness": 9, "prefetch": True}),
        ):
            config = fluid.DistributeTranspilerConfig()
            for name, value in settings.items():
                setattr(config, name, value)
            how = self.options(ranks, distribute_transpiler, config)
            assert {name: how[name] for name in expected} == expected

    def test_of_the_other_faces(self, ranks):
        assert self.options(ranks, pslib, {"fleet_desc_file": "x"}) == {"sync": False}
        how = {"sync_mode": True, "max_staleness": 3, "prefetch": True}
        assert self.options(ranks, pslib, how) == {"sync": True, "max_staleness": 3, "prefetch": True}
        strategy = collective.DistributedStrategy()
        strategy.nccl_comm_num, strategy.prefetch = 2, True
        assert self.options(ranks, collective, strategy) == {"sync": True, "prefetch": True}
        strategy.use_amp = True
        with pytest.warns(UserWarning, match="use_amp has no effect"):
            self.options(ranks, collective, strategy)
        assert self.options(ranks, collective, None) == {"sync": True, "prefetch": False}

    def test_settings_are_kept(self, monkeypatch):
        monkeypatch.setenv("CPU_NUM", "3")
        monkeypatch.setenv("FLAGS_rpc_retry_times", "9")
        strategy = StrategyFactory.create_half_async_strategy()
        strategy.set_trainer_runtime_config({"communicator_send_wait_times": "7"})
        config = strategy.get_trainer_runtime_config()
        assert config.runtime_configs["rpc_retry_times"] == "9"
        assert config.get_communicator_flags() == {
            "communicator_max_merge_var_num": "3",
            "communicator_send_wait_times": "7",
            "communicator_thread_pool_size": "5",
            "communicator_send_queue_size": "3",
        }
        assert "communicator_send_wait_times" in repr(config)
        strategy.set_program_config({"min_block_size": 9000})
        assert strategy.get_program_config().min_block_size == 9000 and strategy.get_program_config().half_async
        strategy.set_server_runtime_config({"_rpc_get_thread_num": 2})
        strategy.set_execute_strategy({"num_threads": 5})
        strategy.set_build_strategy({"async_mode": False})
        assert strategy.get_build_strategy().async_mode and strategy.get_execute_strategy().num_threads == 5
        strategy.set_debug_opt({"dump_slot": 1})
        assert strategy.get_debug_opt()["dump_slot"] is True

    def test_misspelt_settings_are_refused(self):
        strategy = StrategyFactory.create_sync_strategy()
        for call, text in (
            (strategy.set_program_config, "DistributeTranspilerConfig doesn't have key: min_blok_size"),
            (strategy.set_trainer_runtime_config, "TrainerRuntimeConfig doesn't have key: min_blok_size"),
            (strategy.set_server_runtime_config, "ServerRuntimeConfig doesn't have key: min_blok_size"),
            (strategy.set_build_strategy, "BuildStrategy doesn't have key: min_blok_size"),
            (strategy.set_execute_strategy, "ExecutionStrategy doesn't have key: min_blok_size"),
        ):
            with pytest.raises(ValueError, match=text):
                call({"min_blok_size": 1})
            with pytest.raises(TypeError, match="only accept input type: dict or"):
                call(7)
        with pytest.raises(AttributeError, match="use_local_sdg"):
            collective.DistributedStrategy().use_local_sdg = True
        with pytest.raises(TypeError, match="strategy must be DistributedStrategy"):
            collective.CollectiveOptimizer(fluid.optimizer.SGD(0.1), fluid.BuildStrategy())


class TestPSLib:
    @pytest.fixture(autouse=True)
    def one(self):
        pslib.fleet.__init__()
        pslib.fleet.init()
        yield
        pslib.fleet.__init__()

    def test_losses_come_in_a_list(self, fresh):
        loss = model()
        optimizer = pslib.fleet.distributed_optimizer(fluid.optimizer.Adam(0.1))
        with pytest.raises(InvalidArgumentError, match="losses of DownpourOptimizer.minimize has to be one"):
            optimizer.minimize([loss, loss])
        assert not [op for op in fresh.main.global_block().ops if op.type == "adam"]
        ops, pairs = optimizer.minimize([loss], [fresh.scope], [fresh.startup])
        assert len(ops) == len(pairs) == 2

    def test_models_are_saved_and_loaded(self, fresh, tmp_path):
        pslib.fleet.distributed_optimizer(fluid.optimizer.SGD(0.5)).minimize([model()])
        fresh.start()
        before = fresh.snapshot()
        pslib.fleet.save_model(str(tmp_path / "a"))
        pslib.fleet.save_persistables(None, str(tmp_path / "b"), mode=0)
        pslib.fleet.save_inference_model(None, str(tmp_path / "c"))
        for folder in "abc":
            fresh.run({"x": np.ones((2, 3), "float32")})
            assert fresh.snapshot() != before
            pslib.fleet.init_server(str(tmp_path / folder))
            assert fresh.snapshot() == before
        pslib.fleet.init_server()
        with pytest.raises(InvalidArgumentError, match="mode of fleet.load_model is not supported"):
            pslib.fleet.load_model(str(tmp_path / "a"), mode=1)
        with pytest.raises(InvalidTypeError, match="has no argument 'mod'"):
            pslib.fleet.save_model(str(tmp_path / "a"), mod=0)

    def test_global_auc(self, fresh, ranks, capsys):
        predict = fluid.data("predict", [None, 2])
        label = fluid.data("label", [None, 1], "int64")
        auc, _, (_, _, stat_pos, stat_neg) = fluid.layers.auc(predict, label, num_thresholds=63)
        fresh.start()
        scores = np.array([0.1, 0.4, 0.35, 0.8, 0.4], "float32")
        feed = {"predict": np.stack([1 - scores, scores], 1), "label": np.array([[0], [0], [1], [1], [1]])}
        (expected,) = fresh.run(feed, [auc])
        util = FleetUtil()
        assert util.get_global_auc(fresh.scope, stat_pos.name, stat_neg.name) == pytest.approx(float(expected[0]))
        ranks(0, 3)
        assert util.get_global_auc(None, stat_pos.name, stat_neg.name) == pytest.approx(float(expected[0]))
        util.print_global_auc(None, stat_pos.name, stat_neg.name, "day 1")
        assert capsys.readouterr().out == f"day 1 global auc = {float(expected[0])}\n"
        ranks(1, 3)
        util.rank0_print("silent")
        assert capsys.readouterr().out == ""
        util.set_zero(stat_pos.name)
        assert not fresh.value(stat_pos.name).any()
        assert util.get_global_auc(None, stat_pos.name, stat_neg.name) == 0.5
        assert util.get_global_auc(None, "nothing", stat_neg.name) is None
        with pytest.raises(ValueError, match="Please choose one mode"):
            FleetUtil("mpi")


def test_the_faces_are_of_one_job():
    assert version.is_transpiler()
    assert distributed_strategy.StrategyFactory is distribute_transpiler.StrategyFactory
    assert not hasattr(fluid.incubate.fleet, "fleet")
