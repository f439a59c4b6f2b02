"""The profiler: what it counts, prints and writes, and that nobody notices when it is off."""

import ast
import gc
import inspect
import json
import os
import textwrap
import threading
import weakref

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import executor, plan, profile_recorder, profiler
from fluidlite import step as plan_step

KEYS = ["calls", "total", "max", "min", "ave"]


@pytest.fixture(autouse=True)
def off_again():
    plain = fluid.Executor.run
    yield
    left_on = profiler.recorder is not None
    profiler.stop_profiler(None, os.devnull)
    profiler.reset_profiler()
    assert not left_on and fluid.Executor.run is plain


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "profile")


def classifier():
    """ids -> embedding -> fc -> softmax, trained by SparseAdam; all sizes differ."""
    ids = fluid.data("ids", [None, 1], "int64")
    label = fluid.data("label", [None, 1], "int64")
    rows = fluid.layers.embedding(ids, [11, 3], is_sparse=True, param_attr="table")
    guess = fluid.layers.fc(rows, 5, act="softmax")
    loss = fluid.layers.mean(fluid.layers.cross_entropy(guess, label))
    fluid.optimizer.SGD(0.1).minimize(loss)
    return loss


def batch(n=7):
    return {"ids": np.arange(n).reshape(-1, 1) % 11, "label": np.arange(n).reshape(-1, 1) % 5}


@pytest.fixture
def train(fresh):
    """A function that runs a number of steps of `classifier` and returns the last loss."""
    fluid.default_main_program().random_seed = fluid.default_startup_program().random_seed = 3
    loss = classifier()
    fresh.start()

    def steps(count, n=7):
        for _ in range(count):
            (value,) = fresh.run(batch(n), [loss])
        return value

    steps.fresh = fresh
    return steps


def plan_ops(one):
    """The op types of the last plan that was made, in order."""
    return [step.op.type for step in list(one.main._plans.values())[-1].steps]


def events_of(path):
    with open(path) as file:
        return json.load(file)["traceEvents"]


def nanoseconds(event):
    start = round(event["ts"] * 1000)
    return start, start + round(event["dur"] * 1000)


class Blocking:
    """The steps of a plan, with something done in the middle of the run."""

    def __init__(self, one, action):
        steps = list(one.main._plans.values())[-1].steps
        self.step, self.before = steps[0], steps[0].call

        def call():
            action()
            self.before()

        self.step.call = call


def test_calls_are_counted_by_op_type(train, path, capsys):
    train(1)
    with profiler.profiler("CPU", None, path) as given:
        train(4)
    assert given is None
    types = plan_ops(train.fresh)
    found = profiler.summary()
    assert [event.name for event in found] == list(dict.fromkeys(types))
    assert {event.name: event.calls for event in found} == {name: 4 * types.count(name) for name in types}
    assert types.count("sgd") > 1, "one op type with several ops"
    assert capsys.readouterr().out.count("Profiling Report") == 1


def test_times_fit_together(train, path):
    with profiler.profiler("CPU", None, path):
        train(5)
    found = profiler.summary()
    for event in found:
        assert 0 < event.min <= event.ave <= event.max <= event.total
        assert event.ave == pytest.approx(event.total / event.calls)
    total = found[0].total / found[0].ratio
    assert [event.ratio for event in found] == pytest.approx([event.total / total for event in found])
    assert 0 < sum(event.ratio for event in found) < 1
    runs = [event for event in events_of(path) if event["name"] == "Executor.run"]
    # The profiler's own work between ops is in the trace, but not in the total.
    assert sum(event.total for event in found) < total <= sum(event["dur"] for event in runs) / 1000
    for event in found:
        durations = [one["dur"] / 1000 for one in events_of(path) if one["name"] == event.name]
        assert (event.min, event.max) == pytest.approx((min(durations), max(durations)))
        assert event.total == pytest.approx(sum(durations))


def test_a_slow_op_has_its_share(train, path, monkeypatch):
    train(1)
    now = [0]
    monkeypatch.setattr(profile_recorder, "_clock", lambda: now[0])

    def pass_time(milliseconds):
        now[0] += milliseconds * 1_000_000

    for step, took in zip(list(train.fresh.main._plans.values())[-1].steps, (3, 5, 2), strict=False):
        monkeypatch.setattr(step, "call", lambda call=step.call, took=took: (pass_time(took), call()))
    fetch = plan.Plan.fetch
    monkeypatch.setattr(plan.Plan, "fetch", lambda self: (pass_time(10), fetch(self))[1])
    with profiler.profiler("CPU", None, path):
        train(2)
    shares = {event.name: (event.total, event.ave, event.ratio) for event in profiler.summary()}
    first = list(dict.fromkeys(plan_ops(train.fresh)[:3]))
    assert len(first) == 3
    expected = [(6.0, 3.0, 0.15), (10.0, 5.0, 0.25), (4.0, 2.0, 0.1)]
    assert [shares.pop(name) for name in first] == [pytest.approx(e) for e in expected]
    assert all(total == 0 for total, _, _ in shares.values())


def test_the_table(train, path, capsys):
    with profiler.profiler("All", "total", path):
        train(3)
    lines = capsys.readouterr().out.splitlines()
    assert "------------------------->     Profiling Report     <-------------------------" in lines
    assert "Place: All" in lines and "Time unit: ms" in lines
    assert "Sorted by total time in descending order" in lines
    head = next(k for k, line in enumerate(lines) if line.startswith("Event "))
    assert lines[head].split() == ["Event", "Calls", "Total", "Min.", "Max.", "Ave.", "Ratio."]
    printed = [line.split() for line in lines[head + 1 :]]
    for words, event in zip(printed, profiler.summary("total"), strict=True):
        assert words[0] == event.name and int(words[1]) == event.calls
        assert [float(word) for word in words[2:]] == pytest.approx(event[2:], rel=1e-5)
    (inside,) = [line.split() for line in lines if "Computation time" in line]
    (outside,) = [line.split() for line in lines if "Framework overhead" in line]
    assert float(inside[5][:-1]) + float(outside[5][:-1]) == pytest.approx(100, abs=1e-3)
    assert float(outside[3]) > 0 and "3 Executor.run" in " ".join(outside)
    assert len({line.find("Total") for line in lines if "Ratio:" in line}) == 1


@pytest.mark.parametrize("key", KEYS)
def test_the_table_is_sorted(train, path, capsys, key):
    with profiler.profiler("CPU", key, path):
        train(3)
    found = [getattr(event, key) for event in profiler.summary(key)]
    assert found == sorted(found, reverse=True) and len(set(found)) > 1
    names = [line.split()[0] for line in capsys.readouterr().out.split("Ratio.\n")[1].splitlines()]
    assert names == [event.name for event in profiler.summary(key)]


def test_the_trace(train, path):
    with profiler.profiler("CPU", None, path):
        train(2)
        train(1, n=1)
    events = events_of(path)
    for event in events:
        assert set(event) == {"name", "ph", "ts", "dur", "pid", "tid", "args"}
        assert event["ph"] == "X" and event["pid"] == os.getpid() and event["tid"] == threading.get_native_id()
        assert event["ts"] >= 0 and event["dur"] >= 0
    runs = [event for event in events if event["name"] == "Executor.run"]
    assert len(runs) == 3
    types = plan_ops(train.fresh)
    for run in runs:
        start, end = nanoseconds(run)
        inside = [e for e in events if e is not run and start <= nanoseconds(e)[0] and nanoseconds(e)[1] <= end]
        assert [e["name"] for e in inside] == types
        for before, after in zip(inside, inside[1:], strict=False):
            assert nanoseconds(before)[1] <= nanoseconds(after)[0]
    assert len(events) == 3 + 3 * len(types)


def test_an_op_in_the_trace_says_what_it_made_and_where_it_comes_from(train, path):
    with profiler.profiler("CPU", None, path):
        train(1, n=7)
        train(1, n=1)
    look_ups = [e["args"] for e in events_of(path) if e["name"] == "lookup_table"]
    steps = list(train.fresh.main._plans.values())[-1].steps
    (op,) = [step.op for step in steps if step.op.type == "lookup_table"]
    assert [args["outputs"] for args in look_ups] == [op.output("Out")] * 2
    assert [args["shapes"] for args in look_ups] == [[[7, 3]], [[1, 3]]]
    lines, first = inspect.getsourcelines(classifier)
    at = first + next(k for k, line in enumerate(lines) if "layers.embedding" in line)
    assert look_ups[0]["where"] == f"{__file__}:{at}"
    sparse = [e["args"] for e in events_of(path) if e["name"] == "lookup_table_grad"]
    assert [args["shapes"] for args in sparse] == [[[7, 3]], [[1, 3]]], "the rows of the SelectedRows"


def test_an_op_whose_output_slots_are_not_all_used(fresh, path):
    x = fluid.data("x", [None, 3])
    loss = fluid.layers.mean(fluid.layers.fc(x, 5, act="relu"))
    fluid.optimizer.SGD(0.1).minimize(loss)
    fresh.start()
    with profiler.profiler("CPU", None, path):
        fresh.run({"x": np.ones((2, 3), np.float32)}, [loss])
    (args,) = [e["args"] for e in events_of(path) if e["name"] == "mul_grad"]
    assert args["outputs"] == ["fc_0.w_0@GRAD"] and args["shapes"] == [[3, 5]], "nobody needs the grad of x"


def test_fused_ops_have_the_names_of_the_plan(train, path, monkeypatch):
    monkeypatch.delenv("FLUIDLITE_NO_FUSE", raising=False)
    with profiler.profiler("CPU", None, path):
        train(1)
    assert any(event.name.startswith("fused_") for event in profiler.summary())


def test_nothing_is_recorded_when_off(train, path):
    train(2)
    assert profiler.recorder is None and profiler.summary() == []
    with profiler.profiler("CPU", None, path):
        train(1)
    before = profiler.summary()
    train(5)
    assert profiler.summary() == before
    assert len(events_of(path)) == 1 + len(plan_ops(train.fresh))


def test_when_off_a_run_pays_one_look():
    run = ast.parse(textwrap.dedent(inspect.getsource(plan.Plan.run))).body[0]
    looks = [node for node in ast.walk(run) if isinstance(node, ast.Name) and node.id == "profiler"]
    assert len(looks) == 1
    loops = [n for n in ast.walk(run) if isinstance(n, ast.For) and ast.unparse(n.body[0]) == "step.call()"]
    assert len(loops) == 1 and len(loops[0].body) == 1
    assert "profiler" not in inspect.getsource(executor)
    assert "watch" not in inspect.getsource(plan_step.make_call)


def test_when_off_the_steps_are_the_plans_own_list(train, monkeypatch):
    train(1)
    monkeypatch.setattr(profile_recorder.Recorder, "watch", None)
    train(1)


def test_results_are_the_same_bits(make_fresh, path, with_threads):
    with_threads(2)
    states = []
    for on in (False, True):
        with make_fresh() as one:
            one.main.random_seed = one.startup.random_seed = 3
            loss = classifier()
            if on:
                profiler.start_profiler("CPU")
            one.start()
            losses = [one.run(batch(n), [loss])[0].tobytes() for n in (7, 2, 1, 7)]
            profiler.stop_profiler(None, path)
            states.append((losses, one.snapshot()))
    assert states[0] == states[1]


def test_reset_forgets(train, path):
    profiler.start_profiler("CPU")
    train(5)
    profiler.reset_profiler()
    train(1)
    profiler.stop_profiler("calls", path)
    assert {event.calls for event in profiler.summary() if event.name != "sgd"} == {1}
    assert sum(event["name"] == "Executor.run" for event in events_of(path)) == 1
    profiler.reset_profiler()
    assert profiler.summary() == []


def test_stop_without_start_does_nothing(path, capsys):
    profiler.stop_profiler("total", path)
    assert not os.path.exists(path) and capsys.readouterr().out == ""


def test_an_empty_profile(path, capsys):
    with profiler.profiler("CPU", "total", path):
        pass
    assert profiler.summary() == [] and events_of(path) == []
    assert "Total time: 0\n" in capsys.readouterr().out


def test_the_default_is_fluids(train, monkeypatch):
    written = []
    monkeypatch.setattr(profile_recorder.Recorder, "write", lambda self, path: written.append(path))
    with profiler.profiler("CPU"):
        train(1)
    profiler.start_profiler("CPU", tracer_option="AllOpDetail")
    profiler.stop_profiler()
    assert written == ["/tmp/profile"] * 2
    found = {name: str(inspect.signature(getattr(profiler, name))) for name in profiler.__all__}
    assert found["profiler"] == "(state, sorted_key=None, profile_path='/tmp/profile', tracer_option='Default')"
    assert found["start_profiler"] == "(state, tracer_option='Default')"
    assert found["stop_profiler"] == "(sorted_key=None, profile_path='/tmp/profile')"
    assert found["reset_profiler"] == "()"
    assert found["cuda_profiler"] == "(output_file, output_mode=None, config=None)"


@pytest.mark.parametrize("state", ["cpu", "", None, 1, ["CPU"]])
def test_bad_states(state):
    for start in (profiler.start_profiler, profiler.profiler):
        with pytest.raises(ValueError, match="does not know the state") as caught:
            start(state)
        assert "'CPU' or 'GPU' or 'All'" in str(caught.value) and __file__ in str(caught.value)
    assert profiler.recorder is None


def test_bad_options(train, path):
    with pytest.raises(ValueError, match="tracer_option 'Detail'"):
        profiler.start_profiler("CPU", "Detail")
    with pytest.raises(ValueError, match="tracer_option 'Detail'"):
        profiler.profiler("CPU", tracer_option="Detail")
    with pytest.raises(ValueError, match="sorted_key 'avg'"):
        profiler.profiler("CPU", "avg")
    with pytest.raises(TypeError, match="profile_path of the profiler is not a path"):
        profiler.profiler("CPU", None, None)
    with pytest.raises(ValueError, match="sorted_key 'avg'"):
        profiler.summary("avg")


@pytest.mark.parametrize("given", [("avg",), (["calls"],), ("calls", 3)])
def test_a_stop_with_a_bad_option_leaves_the_profiler_on(train, path, given):
    profiler.start_profiler("CPU")
    train(1)
    with pytest.raises(fluid.EnforceNotMet):
        profiler.stop_profiler(*given)
    train(1)
    profiler.stop_profiler(None, path)
    assert profiler.summary()[0].calls == 2


def test_a_gpu_is_refused():
    for start in (profiler.start_profiler, profiler.profiler):
        with pytest.raises(RuntimeError, match="cannot profile a GPU") as caught:
            start("GPU")
        assert "'CPU'" in str(caught.value)
    assert profiler.recorder is None


def test_a_second_start_is_refused(train, path):
    with profiler.profiler("CPU", None, path):
        train(1)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="on already") as caught:
                with profiler.profiler("CPU"):
                    raise AssertionError("not reached")
            assert str(caught.value).count(__file__) == 2, "where it was started, and where again"
        train(1)
    assert profiler.summary()[0].calls == 2


def test_a_path_that_cannot_be_written(train, tmp_path, capsys):
    bad = tmp_path / "missing" / "profile"
    with pytest.raises(RuntimeError, match="cannot be written to profile_path") as caught:
        with profiler.profiler("CPU", "total", bad):
            train(2)
    assert str(bad) in str(caught.value) and isinstance(caught.value.__cause__, FileNotFoundError)
    assert "lookup_table" in capsys.readouterr().out
    assert profiler.recorder is None and profiler.summary()[0].calls == 2
    with pytest.raises(RuntimeError, match="directory"):
        with profiler.profiler("CPU", "total", tmp_path):
            pass


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit])
def test_an_exception_ends_the_profile(train, path, capsys, error):
    with pytest.raises(error, match="stop here"):
        with profiler.profiler("CPU", None, path):
            train(2)
            raise error("stop here")
    assert profiler.recorder is None and profiler.summary()[0].calls == 2
    assert "lookup_table" in capsys.readouterr().out
    assert sum(event["name"] == "Executor.run" for event in events_of(path)) == 2


def test_an_exception_comes_before_a_path_that_cannot_be_written(tmp_path):
    with pytest.raises(KeyError) as caught:
        with profiler.profiler("CPU", None, tmp_path):
            raise KeyError("first")
    assert "cannot be written" in caught.value.__notes__[0]


def test_errors_keep_their_messages(train, path):
    wrong = {"ids": np.array([[11]]), "label": np.array([[0]])}
    texts = []
    for on in (False, True):
        if on:
            profiler.start_profiler("CPU")
        with pytest.raises(IndexError) as caught:
            train.fresh.run(wrong, [])
        with pytest.raises(TypeError) as other:
            train.fresh.run({"ids": np.array([[0.5]]), "label": np.array([[0]])}, [])
        texts.append((str(caught.value), str(other.value)))
    train(1)
    profiler.stop_profiler(None, path)
    assert texts[0] == texts[1]
    events = events_of(path)
    failed = [event for event in events if event["args"].get("failed")]
    assert [event["name"] for event in failed] == ["lookup_table"] and "shapes" not in failed[0]["args"]
    assert [event["name"] for event in events][:3] == ["Executor.run", "lookup_table", "Executor.run"]


def test_ctrl_c_in_an_op(train, path):
    train(1)

    def interrupt():
        raise KeyboardInterrupt

    block = Blocking(train.fresh, interrupt)
    with pytest.raises(KeyboardInterrupt):
        with profiler.profiler("CPU", None, path):
            train(1)
    block.step.call = block.before
    assert [event.calls for event in profiler.summary()] == [1]
    train(1)


def test_the_check_for_nan_has_a_line_of_its_own(train, path):
    fluid.set_flags({"FLAGS_check_nan_inf": True})
    try:
        with profiler.profiler("CPU", None, path):
            train(1)
    finally:
        fluid.set_flags({"FLAGS_check_nan_inf": False})
    types = plan_ops(train.fresh)[::2]
    calls = {event.name: event.calls for event in profiler.summary()}
    assert calls.pop("check_nan_inf") == len(types)
    assert calls == {name: types.count(name) for name in types}


def test_threads_that_train_at_the_same_time(make_fresh, path):
    ones, both = [], threading.Barrier(2, timeout=60)
    for _ in range(2):
        with make_fresh() as one:
            ones.append((one, classifier()))
            one.start()

    def work(one, loss, steps):
        both.wait()
        for _ in range(steps):
            one.run(batch(), [loss])
        both.wait()

    threads = [threading.Thread(target=work, args=(*one, n)) for one, n in zip(ones, (20, 30), strict=True)]
    with profiler.profiler("CPU", None, path):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    calls = {event.name: event.calls for event in profiler.summary()}
    types = plan_ops(ones[0][0])
    assert calls == {name: 50 * types.count(name) for name in types}
    by_thread = {}
    for event in events_of(path):
        by_thread.setdefault(event["tid"], []).append(event)
    assert sorted(sum(e["name"] == "Executor.run" for e in events) for events in by_thread.values()) == [20, 30]
    for events in by_thread.values():
        for k in range(0, len(events), 1 + len(types)):
            run, *ops = events[k : k + 1 + len(types)]
            assert [e["name"] for e in ops] == types
            assert nanoseconds(run)[0] <= nanoseconds(ops[0])[0] and nanoseconds(ops[-1])[1] <= nanoseconds(run)[1]


@pytest.mark.parametrize("what", ["stop", "reset", "start"])
def test_a_run_that_is_under_way_does_not_count(train, path, what):
    """Another thread turns the profiler on, off, or over, in the middle of a run."""
    train(1)
    action = {
        "stop": lambda: profiler.stop_profiler(None, path),
        "reset": profiler.reset_profiler,
        "start": lambda: profiler.start_profiler("CPU"),
    }[what]
    if what != "start":
        profiler.start_profiler("CPU")
        train(1)
    block = Blocking(train.fresh, action)
    train(1)
    block.step.call = block.before
    assert [event.calls for event in profiler.summary()][:1] == ([1] if what == "stop" else [])
    train(1)
    profiler.stop_profiler(None, path)
    assert profiler.summary()[0].calls == 1


def test_a_method_that_was_bound_before_the_start(train, path):
    one = train.fresh
    train(1)
    run = one.exe.run
    with profiler.profiler("CPU", None, path):
        run(one.main, feed=batch(), fetch_list=[], scope=one.scope)
    run(one.main, feed=batch(), fetch_list=[], scope=one.scope)
    assert [event["name"] for event in events_of(path)] == ["Executor.run", *plan_ops(one)]


def test_a_run_inside_an_op_belongs_to_the_op(train, make_fresh, path):
    train(1)
    with make_fresh() as inner:
        y = fluid.layers.tanh(fluid.layers.fill_constant([2, 3], "float32", 0.5))
        inner.run(fetch_list=[y])
    block = Blocking(train.fresh, lambda: inner.run(fetch_list=[y]))
    with profiler.profiler("CPU", None, path):
        train(1)
    block.step.call = block.before
    found = {event.name: event for event in profiler.summary()}
    outer = plan_ops(train.fresh)
    assert found["tanh"].calls == 1 and found["tanh"].total < found[outer[0]].total
    assert sum(found[name].ratio for name in dict.fromkeys(outer) if name != "fill_constant") < 1
    assert sum(event["name"] == "Executor.run" for event in events_of(path)) == 1


def test_what_was_put_around_the_executor_stays(train, path, monkeypatch):
    plain = fluid.Executor.run
    profiler.start_profiler("CPU")
    wrapped = fluid.Executor.run
    seen = []

    def around(self, *args, **options):
        seen.append(1)
        return wrapped(self, *args, **options)

    fluid.Executor.run = around
    try:
        profiler.stop_profiler(None, path)
        train(1)
        with profiler.profiler("CPU", None, path):
            train(1)
        assert fluid.Executor.run is around and len(seen) == 2
    finally:
        fluid.Executor.run = plain
    assert profiler.summary()[0].calls == 1
    assert sum(event["name"] == "Executor.run" for event in events_of(path)) == 1


def test_a_full_trace_says_so_and_the_table_goes_on(train, path, capsys, monkeypatch):
    train(1)
    each = 1 + len(plan_ops(train.fresh))
    monkeypatch.setattr(profile_recorder, "_TRACE_LIMIT", 3 * each)
    with profiler.profiler("CPU", None, path):
        train(5)
    assert len(events_of(path)) == 3 * each
    assert f"its last {2 * each} events are left out" in capsys.readouterr().out
    assert profiler.summary()[0].calls == 5


def test_a_profile_holds_no_program_and_no_scope(make_fresh, path):
    with profiler.profiler("CPU", None, path):
        with make_fresh() as one:
            loss = classifier()
            one.start()
            one.run(batch(), [loss])
        refs = [weakref.ref(one.main), weakref.ref(one.scope)]
        del one, loss
        gc.collect()
        assert [ref() for ref in refs] == [None, None]
    assert "lookup_table" in [event["name"] for event in events_of(path)]
    assert not profiler._last.trace, "the trace has been written"


def test_a_decorated_function_is_profiled_each_time(train, path, capsys):
    decorated = profiler.profiler("CPU", "total", path)(train)
    for _ in range(2):
        decorated(3)
        assert profiler.summary()[0].calls == 3
    assert capsys.readouterr().out.count("Profiling Report") == 2


def test_cuda_profiler_warns_and_runs_the_body(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="no effect") as caught:
        with profiler.cuda_profiler("out", "csv", config=["streamid"]):
            value = train(1)
    assert value.shape == (1,) and os.listdir(tmp_path) == [] and caught[0].filename == __file__
    with pytest.raises(ValueError, match="output_mode 'xml'"):
        with profiler.cuda_profiler("out", "xml"):
            raise AssertionError("not reached")


def test_it_is_found_where_fluid_has_it():
    assert fluid.profiler is profiler
