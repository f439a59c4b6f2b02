"""DistributeTranspiler in one process, and what it asks of jobs of several ranks; tests/distributed runs real ones."""

import warnings

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import PreconditionNotMetError, UnavailableError
from fluidlite.transpiler import HashName, RoundRobin, distribute_transpiler
from fluidlite.transpiler.distribute_transpiler import DistributedMode, ServerRuntimeConfig
from fluidlite.transpiler.ps_dispatcher import PSDispatcher


class Ranks:
    """Stands in for a job of several ranks, as one of them sees it."""

    def __init__(self, rank, size):
        self.rank, self.size, self.is_first = rank, size, rank == 0
        self.distributed = []

    def distribute(self, program, startup_program, loss_name, **how):
        self.distributed.append((program, startup_program, how))


@pytest.fixture
def ranks(monkeypatch):
    """A function that makes this process one rank of several."""

    def pretend(rank, size):
        job = Ranks(rank, size)
        monkeypatch.setattr(distribute_transpiler, "start", lambda: job)
        return job

    return pretend


def minimized():
    x = fluid.data("x", [None, 3])
    loss = fluid.layers.mean(fluid.layers.fc(x, 1))
    fluid.optimizer.SGD(0.5).minimize(loss)
    return loss


def config(**settings):
    one = fluid.DistributeTranspilerConfig()
    for name, value in settings.items():
        setattr(one, name, value)
    return one


def test_the_names_of_fluid():
    assert fluid.DistributeTranspiler is fluid.transpiler.DistributeTranspiler
    assert fluid.DistributeTranspilerConfig is fluid.transpiler.DistributeTranspilerConfig
    assert fluid.transpiler.memory_optimize is fluid.memory_optimize
    assert fluid.transpiler.release_memory is fluid.release_memory


def test_a_trainer_trains_as_ever(fresh):
    loss = minimized()
    t = fluid.DistributeTranspiler()
    with warnings.catch_warnings(action="error"):
        t.transpile(1, program=fresh.main, pservers="10.0.0.1:6174,10.0.0.2:6174", trainers=2, sync_mode=False)
    assert t.get_trainer_program() is t.get_trainer_program(wait_port=False) is fresh.main
    assert (t.trainer_id, t.trainer_num) == (0, 1)
    fresh.start()
    feed = {"x": np.ones((5, 3), "float32")}
    first, second = (fresh.exe.run(t.get_trainer_program(), feed, [loss])[0] for _ in range(2))
    assert second[0] == pytest.approx(first[0] - 0.5 * 4, abs=1e-5)


def test_a_server_is_refused_when_it_runs(fresh):
    minimized()
    t = fluid.DistributeTranspiler()
    t.transpile(0, pservers="10.0.0.1:6174", trainers=1)
    before = fresh.main.to_string()
    program = t.get_pserver_program("10.0.0.1:6174")
    assert [op.type for op in program.global_block().ops] == ["listen_and_serv"]
    fresh.exe.run(t.get_startup_program("10.0.0.1:6174", program))
    with pytest.raises(UnavailableError, match=r"(?s)no rank is a server, at 10.0.0.1:6174.*where: .*test_transpiler"):
        fresh.exe.run(program)
    for one, startup in (t.get_pserver_programs("10.0.0.1:6174"), (program.clone(), fluid.Program())):
        assert fresh.exe.run(startup) == []
        with pytest.raises(UnavailableError, match="no rank is a server"):
            fresh.exe.run(one)
    copy = fluid.Program.parse_from_string(program.serialize_to_string())
    with pytest.raises(UnavailableError, match="no rank is a server, at 10.0.0.1:6174"):
        fresh.exe.run(copy)
    assert fresh.main.to_string() == before


def test_calls_before_transpile_are_refused(fresh):
    t = fluid.DistributeTranspiler()
    for call in (
        t.get_trainer_program,
        lambda: t.get_pserver_program("a:1"),
        lambda: t.get_pserver_programs("a:1"),
        lambda: t.get_startup_program("a:1"),
    ):
        with pytest.raises(PreconditionNotMetError, match="was called before transpile"):
            call()
    with pytest.raises(TypeError, match="The program of transpile is not a Program"):
        t.transpile(0, program="main")
    with pytest.raises(TypeError, match="The startup_program of transpile is not a Program"):
        t.transpile(0, startup_program="startup")


@pytest.mark.parametrize(
    ("settings", "sync_mode", "expected"),
    [
        ({}, True, {"sync": True, "max_staleness": 4, "prefetch": False}),
        ({}, False, {"sync": False, "max_staleness": 4, "prefetch": False}),
        ({"sync_mode": False}, True, {"sync": False, "max_staleness": 4, "prefetch": False}),
        ({"sync_mode": False, "half_async": True}, False, {"sync": False, "max_staleness": 1, "prefetch": False}),
        (
            {"sync_mode": False, "geo_sgd_mode": True, "geo_sgd_need_push_nums": 7},
            False,
            {"sync": False, "max_staleness": 7, "prefetch": False},
        ),
        ({"completely_not_async": True}, False, {"sync": True, "max_staleness": 4, "prefetch": False}),
        ({"mode": "nccl2"}, False, {"sync": True, "max_staleness": 4, "prefetch": False}),
        ({"max_staleness": 9, "prefetch": True}, False, {"sync": False, "max_staleness": 9, "prefetch": True}),
    ],
)
def test_what_the_job_is_asked_for(fresh, ranks, settings, sync_mode, expected):
    minimized()
    job = ranks(1, 2)
    t = fluid.DistributeTranspiler(config(**settings))
    t.transpile(trainer_id=0, trainers=2, sync_mode=sync_mode)
    assert job.distributed == [(fresh.main, fresh.startup, expected)]
    assert (t.trainer_id, t.trainer_num) == (1, 2)


def test_a_wrong_number_of_trainers_is_said_by_rank_0(fresh, ranks):
    minimized()
    t = fluid.DistributeTranspiler()
    ranks(1, 4)
    with warnings.catch_warnings(action="error"):
        t.transpile(0, trainers=2)
    ranks(0, 4)
    with pytest.warns(UserWarning, match="told of 2 trainers, but the job has 4 ranks"):
        t.transpile(0, trainers=2)
    with pytest.warns(UserWarning, match="told of 3 trainers, but the job has 4 ranks"):
        fluid.DistributeTranspiler(config(mode="nccl2")).transpile(0, trainers="a:1,b:1,c:1", current_endpoint="a:1")
    with warnings.catch_warnings(action="error"):
        t.transpile(0, trainers=4)


class TestConfig:
    def test_is_checked(self):
        with pytest.raises(AssertionError, match="min_block_size of the DistributeTranspilerConfig is too small"):
            fluid.DistributeTranspiler(config(min_block_size=8191))
        fluid.DistributeTranspiler(config(min_block_size=8192))
        for method in (PSDispatcher, "RoundRobin", int):
            with pytest.raises(AssertionError, match="split_method of the DistributeTranspilerConfig"):
                fluid.DistributeTranspiler(config(split_method=method))
        with pytest.raises(AttributeError, match=r"(?s)no 'slice_var_upp'.*did you mean 'slice_var_up'"):
            config(slice_var_upp=False)

    def test_modes_that_exclude_each_other(self):
        one = config()
        with pytest.raises(ValueError, match="make ensure config.sync_mode is false at first"):
            one.runtime_split_send_recv = True
        one.sync_mode = False
        one.runtime_split_send_recv = True
        with pytest.raises(ValueError, match="make ensure config.runtime_split_send_recv is false at first"):
            one.sync_mode = True
        for name in ("sync_mode", "runtime_split_send_recv"):
            with pytest.raises(ValueError, match=f"{name} can't be None"):
                setattr(one, name, None)
        assert (one.sync_mode, one.runtime_split_send_recv) == (False, True)
        assert config().sync_mode  # of its own

    def test_the_mode_of_a_transpiler(self):
        for settings, mode in (
            ({}, DistributedMode.SYNC),
            ({"sync_mode": False}, DistributedMode.HALF_ASYNC),
            ({"sync_mode": False, "runtime_split_send_recv": True}, DistributedMode.ASYNC),
            ({"sync_mode": False, "completely_not_async": True}, DistributedMode.SYNC),
        ):
            t = fluid.DistributeTranspiler(config(**settings))
            assert t.distributed_mode == mode and t.config.split_method is RoundRobin

    def test_of_servers_reads_the_environment(self, monkeypatch):
        monkeypatch.setenv("FLAGS_rpc_get_thread_num", "3")
        one = ServerRuntimeConfig()
        assert (one._rpc_send_thread_num, one._rpc_get_thread_num) == (12, 3)


class TestDispatchers:
    def test_round_robin_goes_on(self):
        one = RoundRobin(["a:1", "b:1", "c:1"])
        assert one.dispatch(["w", "x", "y", "z"]) == ["a:1", "b:1", "c:1", "a:1"]
        assert one.dispatch([]) == [] and one.dispatch(["w"]) == ["b:1"]
        one.reset()
        assert one.dispatch(["w"]) == ["a:1"] and one.eps == ["a:1", "b:1", "c:1"]

    def test_hash_name_depends_on_the_name_alone(self, fresh):
        one = HashName(["a:1", "b:1", "c:1"])
        names = [f"emb_{i}" for i in range(50)]
        chosen = one.dispatch(names)
        assert one.dispatch(names[::-1]) == chosen[::-1] and set(chosen) == {"a:1", "b:1", "c:1"}
        assert one.dispatch([fluid.data(name, [2, 3]) for name in names]) == chosen
        # FNV-1a of these names, from its authors' tables; `hash` changes from process to process.
        expected = [one.eps[0xAF63DC4C8601EC8C % 3], one.eps[0x85944171F73967E8 % 3]]
        assert one.dispatch(["a", "foobar"]) == expected

    def test_the_base_does_nothing(self):
        with pytest.raises(NotImplementedError):
            PSDispatcher([]).dispatch([])
