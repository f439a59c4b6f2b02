"""Datasets: batches from files and pipe commands, shuffles, refusals."""

import sys
import time

import numpy as np
import pytest
from dataset_files import (
    LINES,
    ROOT,
    is_gone,
    labels,
    lists,
    make,
    no_threads_are_left,  # noqa: F401
    numbered,
    variables,
    write_fixture,  # noqa: F401
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fluidlite as fluid
from fluidlite import multislot
from fluidlite.errors import InvalidArgumentError, InvalidTypeError, NotFoundError, UnavailableError
from fluidlite.prefetch import Prefetch


class TestBatches:
    def test_values_shapes_and_lod(self, fresh, write):
        """The batches of real Fluid 1.8.5, but for the LoD that it gives to dense slots."""
        first, second = make(variables(), [write("a", LINES)]).batches()
        assert lists(first) == {
            "ids": ([[5], [6], [7]], [[0, 2, 3]]),
            "dense": [[0.5, 1.5], [2.5, 3.5]],
            "label": [[1], [0]],
        }
        assert lists(second) == {"ids": ([[1], [2], [3]], [[0, 3]]), "dense": [[4.0, 5.0]], "label": [[1]]}
        assert (first["dense"].dtype, first["label"].dtype) == (np.float32, np.int64)

    @pytest.mark.parametrize(
        ("shape", "dtype", "lod_level", "batch"),
        [
            ([None, 2, 2], "float32", 0, (2, 2, 2)),
            ([None, 4, 1], "int64", 0, (2, 4, 1)),
            ([None], "int64", 0, (2,)),
            ([2, 2], "float32", 0, (2, 2)),
            ([4, 3], "float32", 0, (4, 3)),
            ([None, 1], "float32", 1, (5, 1)),
            ([None], "int64", 1, (5,)),
            ([None, 1], "int64", 2, (5, 1)),
        ],
    )
    def test_shapes(self, fresh, write, shape, dtype, lod_level, batch):
        x = fluid.data("x", shape, dtype, lod_level)
        counts = [2, 3] if lod_level else [int(np.prod(batch)) // 2] * 2
        lines = [f"{n} " + " ".join(["7"] * n) for n in counts]
        (feed,) = make([x], [write("a", lines)]).batches()
        value = feed["x"]
        if lod_level:
            assert value.lod() == [[0, 2, 5]]
            value = value.value
        assert (value.shape, value.dtype) == (batch, np.dtype(dtype))
        fresh.run({"x": feed["x"]}, [x], return_numpy=False)

    @pytest.mark.parametrize("end", ["\n", "", "\r\n"])
    def test_the_last_line(self, fresh, write, end):
        assert labels(make(variables(), [write("a", LINES, end)])) == [[1, 0], [1]]

    @pytest.mark.parametrize("command", ["cat", "cat | cat"])
    def test_a_batch_goes_on_in_the_next_file(self, fresh, write, command):
        files = [write("a", numbered(5)), write("c", numbered(5, 10))]
        assert labels(make(variables(), files, 3, pipe_command=command)) == [[0, 1, 2], [3, 4, 10], [11, 12, 13], [14]]

    @pytest.mark.parametrize("command", ["cat", "sed ''"])
    def test_an_empty_file_stops_before_the_first_batch(self, fresh, write, command):
        files = [write("a", LINES), write("b", [])]
        with pytest.raises(InvalidArgumentError, match=r"b' is empty(.|\n)*at least one line(.|\n)*line 1"):
            next(make(variables(), files, pipe_command=command).batches())

    def test_a_command_may_leave_out_all_lines_of_a_file(self, fresh, write):
        files = [write("a", LINES), write("b", numbered(2, 10))]
        left_out = make(variables(), files, 9, pipe_command="grep -v '0 *$' || true")
        assert sum(labels(left_out), []) == [label for label in [1, 0, 1, 10, 11] if label % 10]

    @pytest.mark.parametrize("command", ["cat", "sed ''"])
    def test_files_larger_than_what_is_read_at_once(self, fresh, write, monkeypatch, command):
        """Lines that lie across two reads, and lines that are longer than one."""
        monkeypatch.setattr(multislot, "_CHUNK", 64)
        lines = numbered(40) + ["60 " + " ".join(["3"] * 60) + " 2 1 2 1 40"] + numbered(3, 41)
        got = labels(make(variables(), [write("a", lines, "")], 7, pipe_command=command))
        assert sum(got, []) == list(range(44))
        assert [len(batch) for batch in got] == [7] * 6 + [2]

    def test_again(self, fresh, write):
        """Each iteration reads the files anew; one that is left early leaves nothing behind."""
        dataset = make(variables(), [write("a", numbered(7))], 3)
        for _ in dataset.batches():
            break
        assert labels(dataset) == labels(dataset) == [[0, 1, 2], [3, 4, 5], [6]]

    @settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.integers(1, 6), st.integers(1, 4))
    def test_streams_in_turn(self, make_fresh, tmp_path_factory, sizes, n_streams, batch_size):
        """With n threads: stream k reads files k, k + n, ...; one batch from each in turn; nothing is lost."""
        folder = tmp_path_factory.mktemp("files")
        files = []
        for i, size in enumerate(sizes):
            (folder / f"{i}").write_text("".join(line + "\n" for line in numbered(size, 10 * i)))
            files.append(str(folder / f"{i}"))
        n = min(n_streams, len(files))
        streams = []
        for k in range(n):
            values = [10 * i + j for i in range(k, len(sizes), n) for j in range(sizes[i])]
            streams.append([values[b : b + batch_size] for b in range(0, len(values), batch_size)])
        expected = []
        while any(streams):
            expected += [stream.pop(0) for stream in streams if stream]
        with make_fresh():
            dataset = make(variables(), files, batch_size, thread=n_streams)
            assert labels(dataset) == expected
            assert labels(dataset, thread=n_streams) == expected


class TestPipes:
    def test_a_python_generator(self, fresh, write, tmp_path):
        script = tmp_path / "reader.py"
        script.write_text(
            "from fluidlite.incubate.data_generator import MultiSlotDataGenerator\n"
            "class Reader(MultiSlotDataGenerator):\n"
            "    def generate_sample(self, line):\n"
            "        def samples():\n"
            "            label, *ids = [int(x) for x in line.split(',')]\n"
            "            yield [('ids', ids), ('dense', [label / 3, 1]), ('label', [label])]\n"
            "        return samples\n"
            "Reader().run_from_stdin()\n"
        )
        raw = [f"{i},{i + 1},{i + 2}" for i in range(100)]
        command = f"PYTHONPATH={ROOT} {sys.executable} {script}"
        batches = list(make(variables(), [write("raw", raw)], 64, pipe_command=command).batches())
        assert [len(b["label"]) for b in batches] == [64, 36]
        assert batches[1]["ids"].value.ravel().tolist() == [x for i in range(64, 100) for x in (i + 1, i + 2)]
        np.testing.assert_array_equal(batches[1]["dense"][:, 0], np.float32([i / 3 for i in range(64, 100)]))

    def test_a_command_that_fails(self, fresh, write, capfd):
        path = write("a", numbered(5))
        dataset = make(variables(), [path], pipe_command="cat; echo lost the thread >&2; exit 3")
        got = []
        with pytest.raises(UnavailableError) as caught:
            got.extend(dataset.batches())
        assert "exit code 3, after it said:\nlost the thread" in str(caught.value)
        assert path in str(caught.value)
        assert len(got) == 2  # the batches that were whole when it died
        assert "lost the thread" in capfd.readouterr().err

    def test_a_command_that_fails_within_a_line(self, fresh, write):
        """The failure is the news, not the line that it left half written."""
        dataset = make(variables(), [write("a", LINES)], pipe_command="printf '2 5'; kill -9 $$")
        with pytest.raises(UnavailableError, match="failed on") as caught:
            list(dataset.batches())
        assert "SIGKILL" in caught.value.actual

    def test_a_command_that_does_not_exist(self, fresh, write):
        dataset = make(variables(), [write("a", LINES)], pipe_command="no_such_command_here")
        with pytest.raises(UnavailableError, match="no_such_command_here") as caught:
            list(dataset.batches())
        assert "exit code 127" in caught.value.actual

    def test_lines_are_counted_in_its_output(self, fresh, write):
        dataset = make(variables(), [write("a", LINES)], pipe_command="sed 's/.*/1 4/'")
        with pytest.raises(InvalidArgumentError, match="Slot 'dense' is missing: line 1 of what .*sed.* made of"):
            list(dataset.batches())

    def test_what_it_says_goes_to_stderr(self, fresh, write, capfd):
        make_one = make(variables(), [write("a", LINES)], pipe_command="echo hello >&2; cat")
        assert labels(make_one) == [[1, 0], [1]]
        assert "hello" in capfd.readouterr().err

    def test_leaving_early_ends_the_command(self, fresh, write, tmp_path):
        """A pipeline of several processes that would run forever."""
        mark = tmp_path / "pid"
        command = f"sh -c 'echo $$ > {mark}; while true; do echo 1 4 2 1 2 1 7; done' | cat"
        start = time.monotonic()
        for _ in make(variables(), [write("a", LINES)], pipe_command=command).batches():
            break
        assert time.monotonic() - start < 20
        assert is_gone(int(mark.read_text()))

    def test_leaving_a_command_that_says_nothing(self, fresh, write):
        """The reader waits in the pipe when it is told to end."""
        reader = multislot.Reader([write("a", LINES)], [multislot.Slot("x", False, 1, (-1, 1))], 2, "sleep 1000")
        stream = Prefetch(reader.__iter__, 2)
        while reader._input is None:
            time.sleep(0.01)
        start = time.monotonic()
        reader.close()
        stream.close()
        assert time.monotonic() - start < 5
        assert reader._input.process.returncode is not None


class TestRefusals:
    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("1 4 2 1 2", "Slot 'label' is missing"),
            ("0 2 1 2 1 7", "Slot 'ids' has no values: the number of ids can not be zero"),
            ("1 4 3 1 2 3 1 7", "Slot 'dense' has the wrong number of values"),
            ("1 4 2 1 two 1 7", "Slot 'dense' has a value that is not a float"),
            ("1 4.5 2 1 2 1 7", "Slot 'ids' has a value that is not an integer"),
            ("-1 2 1 2 1 7", "Slot 'ids' does not start with a count"),
            ("", "Slot 'ids' is missing"),
            ("1 4 2 1 2 1 7 8", "A sample has text behind its last slot, 'label'"),
        ],
    )
    @pytest.mark.parametrize("kind", ["QueueDataset", "InMemoryDataset"])
    def test_a_bad_line(self, fresh, write, kind, line, message):
        good, bad = write("good", numbered(3)), write("bad", [*numbered(4), line, *numbered(4)])
        dataset = make(variables(), [good, bad], 2, kind)
        got = []
        with pytest.raises(InvalidArgumentError, match=message) as caught:
            if kind == "InMemoryDataset":
                dataset.load_into_memory()
            got.extend(dataset.batches())
        assert f"line 5 of {bad!r}" in str(caught.value)
        assert caught.value.where == f'File "{bad}", line 5'
        assert caught.value.expected and caught.value.actual
        assert len(got) == (3 if kind == "QueueDataset" else 0)

    @pytest.mark.parametrize("kind", ["QueueDataset", "InMemoryDataset"])
    def test_a_missing_file_is_found_before_anything_is_read(self, fresh, write, tmp_path, kind):
        dataset = make(variables(), [write("a", LINES), str(tmp_path / "none")], kind=kind)
        with pytest.raises(NotFoundError, match="none' does not exist"):
            next(dataset.batches()) if kind == "QueueDataset" else dataset.load_into_memory()

    def test_files_that_cannot_be_read(self, fresh, tmp_path):
        with pytest.raises(InvalidArgumentError, match="is a directory"):
            next(make(variables(), [str(tmp_path)]).batches())
        with pytest.raises(UnavailableError, match="only local files"):
            next(make(variables(), ["hdfs:/day/1"]).batches())

    def test_a_read_that_fails(self, fresh, monkeypatch, write):
        dataset = make(variables(), [write("a", LINES)])

        def refuse(path, *args, **options):
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(multislot, "open", refuse, raising=False)
        with pytest.raises(UnavailableError, match="cannot be read: Permission denied"):
            next(dataset.batches())

    def test_nothing_set(self, fresh, write):
        dataset = fluid.DatasetFactory().create_dataset()
        with pytest.raises(UnavailableError, match="no variables"):
            next(dataset.batches())
        dataset.set_use_var(variables())
        with pytest.raises(UnavailableError, match="no files"):
            next(dataset.batches())

    @pytest.mark.parametrize("name", ["Foo", "DatasetBase", None, 3])
    def test_unknown_kind(self, name):
        with pytest.raises(ValueError, match=f"datafeed class {name} does not exist"):
            fluid.DatasetFactory().create_dataset(name)

    @pytest.mark.parametrize(
        ("shape", "dtype", "lod_level", "message"),
        [
            ([None, 2], "int32", 0, "only supports dtype=float32 and dtype=int64"),
            ([None, None], "float32", 0, "no fixed number of values"),
            ([None, 0], "float32", 0, "no fixed number of values"),
            ([None, 3], "float32", 1, "a step has one value"),
        ],
    )
    def test_variables_that_are_no_slots(self, fresh, shape, dtype, lod_level, message):
        with pytest.raises(ValueError, match=message):
            fluid.DatasetFactory().create_dataset().set_use_var([fluid.data("x", shape, dtype, lod_level)])

    def test_a_first_dimension_that_the_batch_does_not_fill(self, fresh, write):
        dataset = make([fluid.data("x", [3, 1])], [write("a", ["1 5"])], 2)
        with pytest.raises(InvalidArgumentError, match="filled evenly by 2 lines"):
            next(dataset.batches())

    def test_use_var(self, fresh):
        dataset, (ids, _, label) = fluid.DatasetFactory().create_dataset(), variables()
        with pytest.raises(InvalidTypeError, match="feeds Variables"):
            dataset.set_use_var(["ids"])
        with pytest.raises(InvalidArgumentError, match="two slots"):
            dataset.set_use_var([ids, label, ids])
        assert dataset.use_vars == []

    @pytest.mark.parametrize("method", ["set_batch_size", "set_thread"])
    @pytest.mark.parametrize("value", [0, -1, 1.5, "2", True, None])
    def test_numbers(self, method, value):
        with pytest.raises(InvalidArgumentError, match="int >= 1"):
            getattr(fluid.DatasetFactory().create_dataset(), method)(value)

    def test_settings(self):
        dataset = fluid.DatasetFactory().create_dataset()
        for files in ("a.txt", b"a.txt"):
            with pytest.raises(InvalidTypeError, match="not a list"):
                dataset.set_filelist(files)
        for command in (None, "", " "):
            with pytest.raises(InvalidTypeError, match="not a command"):
                dataset.set_pipe_command(command)

    def test_a_queue_cannot_be_shuffled(self):
        dataset = fluid.DatasetFactory().create_dataset()
        with pytest.raises(NotImplementedError, match="QueueDataset does not support local shuffle"):
            dataset.local_shuffle()
        with pytest.raises(NotImplementedError, match="QueueDataset does not support global shuffle"):
            dataset.global_shuffle()


class TestInMemory:
    @pytest.mark.parametrize("thread", [1, 2, 5])
    def test_without_a_shuffle_in_the_order_of_the_files(self, fresh, write, thread):
        files = [write("a", numbered(5)), write("c", numbered(5, 5))]
        queue = make(variables(), files, 3)
        memory = make(variables(), files, 3, "InMemoryDataset", thread=thread)
        memory.load_into_memory()
        assert memory.get_memory_data_size() == 10
        assert [lists(feed) for feed in memory.batches()] == [lists(feed) for feed in queue.batches()]

    @pytest.mark.parametrize("shuffle", ["local_shuffle", "global_shuffle"])
    def test_a_shuffle_keeps_samples_whole(self, fresh, write, shuffle):
        path = write("a", numbered(50))
        memory = make(variables(), [path], 7, "InMemoryDataset")
        memory.load_into_memory()
        assert memory.get_shuffle_data_size() == 0
        getattr(memory, shuffle)()
        assert (memory.get_memory_data_size(), memory.get_shuffle_data_size()) == (50, 50)
        ordered = {s["label"]: s for feed in make(variables(), [path], 7).batches() for s in self.samples(feed)}
        shuffled = [s for feed in memory.batches() for s in self.samples(feed)]
        order = [s["label"] for s in shuffled]
        assert sorted(order) == list(range(50)) != order
        assert [ordered[label] for label in order] == shuffled

    @staticmethod
    def samples(feed):
        offsets = feed["ids"].lod()[0]
        for i, label in enumerate(feed["label"].ravel().tolist()):
            ids = feed["ids"].value.ravel()[offsets[i] : offsets[i + 1]].tolist()
            yield {"ids": ids, "dense": feed["dense"][i].tolist(), "label": label}

    def test_the_seed_decides(self, fresh, write):
        path = write("a", numbered(30))

        def epochs(seed):
            memory = make(variables(), [path], 30, "InMemoryDataset")
            if seed is not None:
                memory.set_shuffle_seed(seed)
            memory.load_into_memory()
            orders = []
            for _ in range(3):
                memory.local_shuffle()
                orders += labels(memory)
            assert orders[-1:] == labels(memory), "an order stays until the next shuffle"
            return orders

        assert epochs(None) == epochs(0)
        assert epochs(7) == epochs(7) != epochs(8)
        first, second, third = epochs(7)
        assert first != second != third
        with pytest.raises(InvalidArgumentError, match="seed"):
            fluid.DatasetFactory().create_dataset("InMemoryDataset").set_shuffle_seed(-1)

    def test_preload(self, fresh, write):
        memory = make(variables(), [write("a", LINES)], kind="InMemoryDataset")
        memory.preload_into_memory()
        with pytest.raises(UnavailableError, match="being loaded already"):
            memory.preload_into_memory(2)
        memory.wait_preload_done()
        assert labels(memory) == [[1, 0], [1]]
        with pytest.raises(UnavailableError, match="Nothing is being loaded"):
            memory.wait_preload_done()

    def test_preload_that_fails(self, fresh, write):
        memory = make(variables(), [write("a", LINES)], kind="InMemoryDataset")
        memory.load_into_memory()
        memory.set_filelist([write("bad", ["1"])])
        memory.preload_into_memory()
        with pytest.raises(InvalidArgumentError, match="line 1"):
            memory.wait_preload_done()
        assert memory.get_memory_data_size() == 3, "what was there stays"

    def test_release(self, fresh, write):
        memory = make(variables(), [write("a", LINES)], kind="InMemoryDataset")
        for use in (memory.local_shuffle, memory.global_shuffle, lambda: next(memory.batches())):
            with pytest.raises(UnavailableError, match="load_into_memory"):
                use()
        memory.load_into_memory()
        memory.local_shuffle()
        memory.release_memory()
        assert (memory.get_memory_data_size(), memory.get_shuffle_data_size()) == (0, 0)
        with pytest.raises(UnavailableError, match="load_into_memory"):
            next(memory.batches())

    def test_other_variables_than_were_loaded(self, fresh, write):
        memory = make(variables(), [write("a", LINES)], kind="InMemoryDataset")
        memory.load_into_memory()
        memory.set_use_var(variables()[:2])
        with pytest.raises(UnavailableError, match="changed since the samples were loaded"):
            next(memory.batches())

    def test_an_empty_file(self, fresh, write):
        memory = make(variables(), [write("a", [])], kind="InMemoryDataset")
        with pytest.raises(InvalidArgumentError, match="is empty"):
            memory.load_into_memory()

    def test_a_fleet_of_one_shuffles_and_more_are_refused(self, fresh, write):
        class Fleet:
            def __init__(self, n):
                self.n = n

            def worker_num(self):
                return self.n

        memory = make(variables(), [write("a", LINES)], kind="InMemoryDataset")
        memory.load_into_memory()
        memory.global_shuffle(Fleet(1), thread_num=12)
        assert memory.get_shuffle_data_size(Fleet(1)) == 3
        assert memory.get_memory_data_size(Fleet(1)) == 3
        for call in (memory.global_shuffle, memory.get_memory_data_size, memory.get_shuffle_data_size):
            with pytest.raises(NotImplementedError, match="over 2 workers"):
                call(Fleet(2))

    def test_the_state_of_one_of_several_ranks_is_refused(self, fresh, write):
        memory = make(variables(), [write("a", LINES)], kind="InMemoryDataset")
        memory.load_into_memory()
        memory.set_state_dict(memory.state_dict() | {"exchanges": [7], "order": np.arange(2)})
        assert memory.state_dict()["exchanges"] == [7]
        for use in (lambda: next(memory.batches()), memory.local_shuffle):
            with pytest.raises(UnavailableError, match="one of several ranks"):
                use()
        memory.load_into_memory()
        assert memory.state_dict()["exchanges"] == [] and len(list(memory.batches())) == 2

    @pytest.mark.parametrize("kind", ["InMemoryDataset", "QueueDataset"])
    def test_one_process_needs_files(self, fresh, kind):
        dataset = make(variables(), [], kind=kind)
        with pytest.raises(UnavailableError, match="has no files"):
            dataset.load_into_memory() if kind == "InMemoryDataset" else next(dataset.batches())


DESC = """\
name: "MultiSlotInMemoryDataFeed"
batch_size: 2
multi_slot_desc {
  slots {
    name: "ids"
    type: "uint64"
    is_used: true
  }
  slots {
    name: "dense"
    type: "float"
    is_dense: true
    is_used: true
    shape: -1
    shape: 2
  }
  slots {
    name: "label"
    type: "uint64"
    is_dense: true
    is_used: true
    shape: -1
    shape: 1
  }
}
pipe_command: "sed \\"s/a/b/\\""
"""


def test_desc_is_the_text_of_fluid(fresh):
    dataset = make(variables(), [], kind="InMemoryDataset", pipe_command='sed "s/a/b/"')
    assert dataset.desc() == DESC
