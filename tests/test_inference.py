"""Predictor: the results of the Executor, from many threads and processes, on one mapped copy of the parameters."""

import gc
import multiprocessing
import os
import pickle
import re
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from golden.models import MODELS
from golden.record_models import Built, feed_values, unpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fluidlite as fluid
from fluidlite.errors import (
    EnforceNotMet,
    InvalidArgumentError,
    InvalidTypeError,
    NotFoundError,
    OutOfRangeError,
    UnavailableError,
)
from fluidlite.inference import Predictor

HEIGHT = 70_001  # with 5 columns of float32 more than the 1 MB from which values are mapped


@pytest.fixture
def saved(fresh, tmp_path):
    """A model with a large table, sequences, two outputs (one of them a sequence) and a test-mode dropout."""
    word = fluid.layers.data("word", [1], dtype="int64", lod_level=1)
    x = fluid.data("x", [None, 3])
    rows = fluid.layers.embedding(word, size=[HEIGHT, 5], is_sparse=True, param_attr="table")
    pooled = fluid.layers.sequence_pool(rows, "sum")
    hidden = fluid.layers.batch_norm(fluid.layers.dropout(fluid.layers.fc([pooled, x], 7, act="tanh"), 0.5))
    y = fluid.layers.fc(hidden, 2, act="softmax")
    fresh.start()
    fresh.folder = tmp_path / "model"
    fresh.names = fluid.io.save_inference_model(fresh.folder, ["word", "x"], [y, rows], fresh.exe)
    combined = tmp_path / "combined"
    fluid.io.save_inference_model(combined, ["word", "x"], [y, rows], fresh.exe, None, "program", "params")
    fresh.combined = (combined, "program", "params")
    return fresh


def feed(seed=0, lengths=(2, 0, 3)):
    rng = np.random.default_rng(seed)
    word = fluid.create_lod_tensor(rng.integers(0, HEIGHT, (sum(lengths), 1)), [list(lengths)])
    return {"word": word, "x": rng.normal(size=(len(lengths), 3)).astype(np.float32)}


def expected(saved, inputs):
    with fluid.scope_guard(fluid.Scope()):
        program, _, fetches = fluid.io.load_inference_model(saved.folder, saved.exe)
        return saved.exe.run(program, feed=inputs, fetch_list=fetches, return_numpy=False)


def assert_same(found, want):
    for value, tensor in zip(found.values(), want, strict=True):
        assert np.asarray(value).tobytes() == np.asarray(tensor).tobytes()
        assert (value.lod() if isinstance(value, fluid.LoDTensor) else []) == tensor.lod()


class TestResults:
    @pytest.mark.parametrize("options", [{}, {"map_files": False}, {"preload": True}])
    @pytest.mark.parametrize("kind", ["files", "combined"])
    def test_equal_the_executors(self, saved, kind, options):
        where = (saved.folder,) if kind == "files" else saved.combined
        with Predictor(*where, **options) as predictor:
            assert predictor.feed_names == ["word", "x"] and predictor.fetch_names == saved.names
            assert predictor.mapped_names == ([] if options.get("map_files") is False else ["table"])
            for seed, lengths in enumerate([(2, 0, 3), (1,), (4, 4, 1, 2, 0)]):
                inputs = feed(seed, lengths)
                found = predictor.run(inputs)
                assert list(found) == saved.names
                assert isinstance(found[saved.names[0]], np.ndarray)
                assert isinstance(found[saved.names[1]], fluid.LoDTensor)
                assert_same(found, expected(saved, inputs))

    def test_results_are_copies(self, saved):
        predictor = Predictor(saved.folder)
        first = predictor.run(feed(1))
        kept = {name: np.array(value) for name, value in first.items()}
        predictor.run(feed(2))
        for name, value in first.items():
            np.testing.assert_array_equal(np.asarray(value), kept[name])

    def test_inputs_with_and_without_lod_take_turns(self, saved):
        predictor = Predictor(saved.folder)
        flat = {"word": [[1], [2]], "x": np.zeros((2, 3), np.float32)}
        for _ in range(2):
            assert_same(predictor.run(feed()), expected(saved, feed()))
            with pytest.raises(InvalidArgumentError, match="word|embedding"):
                predictor.run(flat)

    def test_a_call_is_a_run(self, saved):
        predictor = Predictor(saved.folder)
        assert_same(predictor(feed()), expected(saved, feed()))

    def test_nan_check(self, saved):
        predictor = Predictor(saved.folder)
        inputs = feed() | {"x": np.full((3, 3), np.nan, np.float32)}
        predictor.run(inputs)
        before = fluid.get_flags("FLAGS_check_nan_inf")
        fluid.set_flags({"FLAGS_check_nan_inf": True})
        try:
            with pytest.raises(FloatingPointError, match="NaN"):
                predictor.run(inputs)
        finally:
            fluid.set_flags(before)

    def test_nothing_large_is_read(self, saved):
        predictor = Predictor(saved.folder)
        table = predictor._scope.find_var("table").cell.value
        assert not table.flags.writeable and not table.flags.owndata
        predictor._scope.find_var("fc_0.w_0").cell.value[...] = 0  # small ones are copies of their own

    @pytest.mark.parametrize("dims", [(HEIGHT, 5), (300_000, 1), (20_000, 17), (17_000, 300)])
    def test_tables_at_any_offset(self, fresh, tmp_path, dims):
        ids = fluid.data("ids", [None], "int64")
        rows = fluid.embedding(ids, size=list(dims), param_attr="t")
        fresh.start()
        (name,) = fluid.io.save_inference_model(tmp_path, ["ids"], [rows], fresh.exe)
        predictor = Predictor(tmp_path)
        chosen = np.array([0, dims[0] - 1, 5, 5])
        assert predictor.mapped_names == ["t"]
        np.testing.assert_array_equal(predictor.run({"ids": chosen})[name], fresh.value("t")[chosen])

    def test_a_matrix_that_is_not_aligned_is_read(self, fresh, tmp_path):
        x = fluid.data("x", [None, 700])
        y = fluid.layers.fc(x, 600, param_attr="w", bias_attr=False)
        table = fluid.layers.create_parameter([700, 600], "float32", name="v")
        z = fluid.layers.matmul(x, table)
        fresh.start()
        names = fluid.io.save_inference_model(tmp_path, ["x"], [y, z], fresh.exe)
        predictor = Predictor(tmp_path)
        for parameter in ("w", "v"):
            value = predictor._scope.find_var(parameter).cell.value
            assert value.flags.aligned
            assert (parameter in predictor.mapped_names) == (not value.flags.writeable)
        x = np.random.default_rng(0).normal(size=(3, 700)).astype(np.float32)
        found = predictor.run({"x": x})
        want = fresh.run(feed={"x": x}, fetch_list=[y, z])
        for name, array in zip(names, want, strict=True):
            np.testing.assert_array_equal(found[name], array)


class TestModelsOfFluid:
    @pytest.mark.filterwarnings("ignore:please ensure that you have set the auc states:UserWarning")
    @pytest.mark.parametrize("name", MODELS)
    @pytest.mark.parametrize(("kind", "files"), [("inference", ()), ("inference_combined", ("m", "p"))])
    def test_predictions(self, fresh, tmp_path, name, kind, files):
        expected = unpack(name, tmp_path)
        inputs = Built(fluid, name).model.prediction_feed()
        with Predictor(tmp_path / kind, *files) as predictor:
            found = predictor.run(feed_values(fluid, {name: inputs[name] for name in predictor.feed_names}))
        first = np.asarray(found[predictor.fetch_names[0]])
        np.testing.assert_allclose(first, expected["prediction"], rtol=0, atol=1e-5)


def test_the_programs_of_the_page_run(fresh, tmp_path, monkeypatch):
    page = Path(__file__).parent.parent / "docs" / "serving.md"
    sources = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(sources) >= 6
    monkeypatch.chdir(tmp_path)
    names = {"print": lambda *args: None}
    for source in sources:
        exec(compile(source, page.name, "exec"), names)


class TestErrors:
    def test_names(self, saved):
        predictor = Predictor(saved.folder)
        with pytest.raises(NotFoundError, match="no input 'wrod'(.|\n)*did you mean 'word'"):
            predictor.run(feed() | {"wrod": [[1]]})
        with pytest.raises(NotFoundError, match="Input 'x' of the model is missing"):
            predictor.run({"word": feed()["word"]})
        with pytest.raises(NotFoundError, match="Input 'word'(.|\n)*actual: no inputs"):
            predictor.run({})
        with pytest.raises(InvalidTypeError, match="not a dict"):
            predictor.run(5)
        assert_same(predictor.run(feed()), expected(saved, feed()))

    def test_values(self, saved):
        predictor = Predictor(saved.folder)
        with pytest.raises(InvalidTypeError, match="'word' must be 'int64'"):
            predictor.run(feed() | {"word": np.ones((3, 1))})
        with pytest.raises(InvalidArgumentError, match="'x' should have"):
            predictor.run(feed() | {"x": np.zeros((3, 4), np.float32)})
        bad = feed()["word"]
        bad.value = bad.value[:-1]
        with pytest.raises(InvalidArgumentError, match="LoD of fed Variable 'word'"):
            predictor.run(feed() | {"word": bad})
        assert_same(predictor.run(feed()), expected(saved, feed()))

    @pytest.mark.parametrize("bad", [-1, HEIGHT])
    def test_ids_outside_the_table(self, saved, bad):
        predictor = Predictor(saved.folder)
        inputs = feed()
        inputs["word"].value[3] = bad
        with pytest.raises(OutOfRangeError, match=f"Id {bad} at position 3 of (.|\n)*'word'"):
            predictor.run(inputs)
        for good in (0, HEIGHT - 1):
            inputs["word"].value[3] = good
            predictor.run(inputs)

    def test_closed(self, saved):
        with Predictor(saved.folder) as predictor:
            predictor.run(feed())
            table = weakref.ref(predictor._scope.find_var("table").cell.value)
        for use in (lambda: predictor.run(feed()), lambda: pickle.dumps(predictor)):
            with pytest.raises(UnavailableError, match="closed"):
                use()
        predictor.close()
        gc.collect()
        assert table() is None and "closed" in repr(predictor)

    def test_programs_that_are_not_for_prediction(self, fresh, tmp_path):
        x = fluid.data("x", [None, 3])
        loss = fluid.layers.mean(fluid.layers.fc(x, 1))
        fluid.optimizer.SGD(0.1).minimize(loss)
        fresh.start()
        fluid.io.save_inference_model(tmp_path, ["x"], [loss], fresh.exe, export_for_deployment=False)
        with pytest.raises(InvalidArgumentError, match="names no targets|trains: op sgd"):
            Predictor(tmp_path, "__model__.main_program")
        fresh.main._fetch_names = [loss.name]
        (tmp_path / "trains").write_bytes(fresh.main.serialize_to_string())
        with pytest.raises(InvalidArgumentError, match="trains: op sgd updates 'fc_0"):
            Predictor(tmp_path, "trains")

    def test_files(self, saved, tmp_path):
        with pytest.raises(NotFoundError, match="no directory"):
            Predictor(tmp_path / "nothing")
        with pytest.raises(NotFoundError, match="does not exist"):
            Predictor(saved.folder, "other")
        path = saved.folder / "table"
        whole = path.read_bytes()
        # Cut at the elements, in the header, and at nothing: a mapping must not reach beyond the file.
        for n in (len(whole) - 1, len(whole) - HEIGHT, 30, 11, 0):
            path.write_bytes(whole[:n])
            with pytest.raises(InvalidArgumentError, match="'table'.* ends inside"):
                Predictor(saved.folder)
        path.write_bytes(whole + b"\0")
        with pytest.raises(InvalidArgumentError, match="goes on where it should end"):
            Predictor(saved.folder)

    @given(st.sampled_from(["table", "__model__", "fc_0.w_0"]), st.integers(0, 400), st.binary(min_size=1, max_size=9))
    @settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_damaged_files_are_errors_and_nothing_else(self, saved, name, at, data):
        path = saved.folder / name
        whole = path.read_bytes()
        at = at % len(whole)
        # A file of its own, since what is mapped must not change.
        path.unlink()
        path.write_bytes((whole[:at] + data + whole[at + len(data) :])[: len(whole)])
        try:
            Predictor(saved.folder).close()
        except EnforceNotMet as error:
            assert str(error)
        finally:
            path.unlink()
            path.write_bytes(whole)

    def test_a_model_saved_over_the_old_one(self, saved):
        predictor = Predictor(saved.folder)
        before = predictor.run(feed())
        want = expected(saved, feed())
        saved.set("table", np.zeros((HEIGHT, 5), np.float32))
        main = saved.main.global_block()
        fluid.io.save_inference_model(saved.folder, ["word", "x"], [main.var(n) for n in _targets(main)], saved.exe)
        assert_same(before, want)
        assert_same(predictor.run(feed()), want)
        again = Predictor(saved.folder).run(feed())
        assert not np.asarray(again[saved.names[1]]).any()


def _targets(block):
    softmax = next(op for op in block.ops if op.type == "softmax")
    lookup = next(op for op in block.ops if op.type == "lookup_table")
    return softmax.output("Out")[0], lookup.output("Out")[0]


class TestThreads:
    def test_many_threads_share_one_copy(self, saved, threads):
        predictor = Predictor(saved.folder)
        inputs = [feed(seed, (seed % 5, 3)) for seed in range(8)]
        wanted = [expected(saved, one) for one in inputs]
        errors, start = [], threading.Barrier(4)

        def work(k):
            try:
                start.wait()
                for i in range(60):
                    j = (i * 3 + k) % len(inputs)
                    assert_same(predictor.run(inputs[j]), wanted[j])
            except BaseException as error:
                errors.append(error)

        workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not errors
        plans = [plan for idle in predictor._idle.values() for plan in idle]
        assert 1 <= len(plans) <= 4
        tables = {plan.cells["table"].value.ctypes.data for plan in plans}
        assert len(tables) == 1

    def test_a_table_of_any_ids(self, fresh, tmp_path):
        ids = fluid.data("ids", [None], "int64")
        rows = fluid.embedding(ids, size=[1000, 3], is_sparse=True, is_distributed=True, param_attr="table")
        fluid.optimizer.SGD(0.1).minimize(fluid.layers.mean(rows))
        fresh.start()
        known = np.array([-5, 1 << 60, 3, 11])
        fresh.run(feed={"ids": known})
        table = fresh.scope.find_var("table").get_table()
        (name,) = fluid.io.save_inference_model(tmp_path, ["ids"], [rows], fresh.exe)
        predictor, errors = Predictor(tmp_path), []

        def work(k):
            try:
                for i in range(100):
                    chosen = np.concatenate([np.roll(known, i + k), [1000 + i, 7]])
                    found = predictor.run({"ids": chosen})[name]
                    np.testing.assert_array_equal(found, table.lookup(chosen))
            except BaseException as error:
                errors.append(error)

        workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not errors
        assert len(predictor._scope.find_var("table").get_table()) == len(known)  # unseen ids made no rows

    def test_one_thread_needs_one_plan(self, saved):
        predictor = Predictor(saved.folder)
        for seed in range(5):
            predictor.run(feed(seed))
            with pytest.raises(InvalidTypeError):
                predictor.run(feed() | {"word": np.ones((3, 1))})
        assert sum(map(len, predictor._idle.values())) <= 2

    def test_inputs_are_not_kept(self, saved):
        predictor = Predictor(saved.folder)
        inputs = feed()
        inputs["x"] = np.asarray(inputs["x"])
        gone = weakref.ref(inputs["x"])
        predictor.run(inputs)
        del inputs
        gc.collect()
        assert gone() is None

    def test_closing_while_others_run(self, saved):
        predictor = Predictor(saved.folder)
        want = expected(saved, feed())
        started, odd = threading.Event(), []

        def work():
            try:
                while True:
                    assert_same(predictor.run(feed()), want)
                    started.set()
            except UnavailableError:
                pass
            except BaseException as error:
                odd.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        started.wait()
        predictor.close()
        worker.join()
        assert not odd

    @pytest.mark.filterwarnings("ignore:please ensure that you have set the auc states:UserWarning")
    def test_what_a_program_keeps_is_each_plans_own(self, fresh, tmp_path):
        p, label = fluid.data("p", [None, 2]), fluid.data("label", [None, 1], "int64")
        area, _, _ = fluid.layers.auc(p, label)
        fresh.start()
        (name,) = fluid.io.save_inference_model(tmp_path, ["p", "label"], [area], fresh.exe)
        predictor = Predictor(tmp_path)
        inputs = {"p": np.array([[0.3, 0.7], [0.8, 0.2]], np.float32), "label": np.array([[1], [0]])}
        assert predictor.run(inputs)[name][0] == 1
        shared = {n: predictor._scope.find_var(n).cell.value for n in predictor._written}
        assert shared and not any(value.any() for value in shared.values())

    def test_random_ops_draw_other_numbers_in_each_plan(self, fresh, tmp_path):
        x = fluid.data("x", [None, 50])
        y = fluid.layers.elementwise_add(x, fluid.layers.uniform_random([3, 50], seed=7))
        fresh.start()
        (name,) = fluid.io.save_inference_model(tmp_path, ["x"], [y], fresh.exe)
        inputs = {"x": np.zeros((3, 50), np.float32)}
        predictor = Predictor(tmp_path)
        drawn = [predictor.run(inputs)[name].tobytes() for _ in range(2)]
        predictor._idle.clear()
        drawn += [predictor.run(inputs)[name].tobytes() for _ in range(2)]
        assert len(set(drawn)) == 4


def _child(predictor, inputs, results):
    results.put({name: np.asarray(value).tobytes() for name, value in predictor.run(inputs).items()})


class TestProcesses:
    def _same_in_a_child(self, kind, predictor, inputs):
        context = multiprocessing.get_context(kind)
        results = context.Queue()
        child = context.Process(target=_child, args=(predictor, inputs, results))
        child.start()
        found = results.get(timeout=60)
        child.join(60)
        assert child.exitcode == 0
        assert found == {name: np.asarray(value).tobytes() for name, value in predictor.run(inputs).items()}

    def test_fork(self, saved):
        predictor = Predictor(saved.folder)
        predictor.run(feed())
        self._same_in_a_child("fork", predictor, feed(1))

    def test_fork_while_another_thread_makes_a_plan(self, saved):
        predictor = Predictor(saved.folder)
        held, release = threading.Event(), threading.Event()

        def hold():
            with predictor._lock:
                held.set()
                release.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                predictor.run(feed())
                code = 0
            finally:
                os._exit(code)
        release.set()
        holder.join()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def test_spawn(self, saved):
        predictor = Predictor(saved.folder)
        self._same_in_a_child("spawn", predictor, feed(1))

    def test_pickle_opens_the_same_files(self, saved):
        predictor = Predictor(*saved.combined, map_files=False)
        again = pickle.loads(pickle.dumps(predictor))
        assert again is not predictor and again.mapped_names == [] and repr(again) == repr(predictor)
        assert_same(again.run(feed(1)), expected(saved, feed(1)))


class TestFluidsFace:
    def test_run(self, saved):
        config = fluid.core.AnalysisConfig(str(saved.folder))
        config.disable_gpu()
        config.switch_ir_optim(True)
        assert config.model_dir() == str(saved.folder) and not config.use_gpu()
        predictor = fluid.core.create_paddle_predictor(config)
        inputs = feed()
        word = fluid.core.PaddleTensor(np.asarray(inputs["word"]), lod=inputs["word"].lod())
        assert (word.shape, word.dtype, word.data.length()) == ([5, 1], fluid.core.PaddleDType.INT64, 40)
        assert word.data.int64_data() == np.asarray(inputs["word"]).reshape(-1).tolist()
        found = predictor.run([word, fluid.core.PaddleTensor(inputs["x"])])
        want = expected(saved, inputs)
        assert [t.name for t in found] == predictor.get_output_names() == saved.names
        for tensor, value in zip(found, want, strict=True):
            np.testing.assert_array_equal(tensor.as_ndarray(), np.asarray(value))
            assert tensor.lod == value.lod() and tensor.shape == value.shape()
        with pytest.raises(InvalidArgumentError, match="number of inputs"):
            predictor.run([word])

    def test_zero_copy(self, saved):
        folder, program, params = saved.combined
        config = fluid.core.AnalysisConfig(str(folder / program), str(folder / params))
        config.switch_use_feed_fetch_ops(False)
        assert fluid.core.AnalysisConfig(config).params_file() == str(folder / params)
        predictor = fluid.core.create_paddle_predictor(config).clone()
        inputs = feed()
        with pytest.raises(UnavailableError, match="'word' holds no array"):
            predictor.zero_copy_run()
        word, x = map(predictor.get_input_tensor, predictor.get_input_names())
        word.copy_from_cpu(np.asarray(inputs["word"]))
        word.set_lod(inputs["word"].lod())
        x.reshape([3, 3])
        x.copy_from_cpu(inputs["x"])
        assert predictor.zero_copy_run()
        for name, value in zip(saved.names, expected(saved, inputs), strict=True):
            tensor = predictor.get_output_tensor(name)
            np.testing.assert_array_equal(tensor.copy_to_cpu(), np.asarray(value))
            assert tensor.lod() == value.lod() and tensor.shape() == value.shape()
            assert tensor.type() == fluid.core.PaddleDType.FLOAT32
        with pytest.raises(NotFoundError, match="no input 'wrod'"):
            predictor.get_input_tensor("wrod")

    def test_errors(self, saved):
        with pytest.raises(UnavailableError, match="no GPUs"):
            fluid.core.AnalysisConfig(str(saved.folder)).enable_use_gpu(100, 0)
        with pytest.raises(AttributeError, match="enable_tensorrt_engine"):
            fluid.core.AnalysisConfig(str(saved.folder)).enable_tensorrt_engine()
        with pytest.raises(InvalidArgumentError, match="names no model"):
            fluid.core.create_paddle_predictor(fluid.core.AnalysisConfig())
        with pytest.raises(InvalidTypeError, match="AnalysisConfig"):
            fluid.core.create_paddle_predictor("folder")
        with pytest.raises(InvalidTypeError, match="cannot hold"):
            fluid.core.PaddleTensor(np.array(["a"]))
