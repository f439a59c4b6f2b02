"""Data generators: the text they write, what they refuse, and that a dataset reads it."""

import io
import subprocess
import sys

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import EnforceNotMet
from fluidlite.incubate.data_generator import MultiSlotDataGenerator, MultiSlotStringDataGenerator


def generator(samples, base=MultiSlotDataGenerator):
    """A generator that yields `samples`, whatever the line is."""

    class Generator(base):
        def generate_sample(self, line):
            return lambda: iter(samples)

    return Generator()


def written(one, capsys):
    one.run_from_memory()
    return capsys.readouterr().out


class TestText:
    def test_numbers(self, capsys):
        samples = [[("words", [1926, 8, 17]), ("x", [0.5, 1])], (("words", [-1]), ("x", (1e-07, 2**64 - 1)))]
        assert written(generator(samples), capsys) == ("3 1926 8 17 2 0.5 1\n1 -1 2 1e-07 18446744073709551615\n")

    def test_floats_lose_nothing(self, capsys):
        values = [1 / 3, 0.1, 1e300, float("inf"), 5e-324]
        text = written(generator([[("x", values)]]), capsys)
        assert [float(t) for t in text.split()[1:]] == values

    def test_numpy_floats(self, capsys):
        assert written(generator([[("x", [np.float64(0.5)])]]), capsys) == "1 0.5\n"

    def test_strings(self, capsys):
        samples = [[("words", ["1926", "08", "17"]), ("label", ["1"])]]
        assert written(generator(samples, MultiSlotStringDataGenerator), capsys) == "3 1926 08 17 1 1\n"

    def test_none_is_passed_over(self, capsys):
        assert written(generator([None, [("x", [1])], None]), capsys) == "1 1\n"

    def test_a_slot_may_become_float_later(self, capsys):
        assert written(generator([[("x", [1])], [("x", [1.5])], [("x", [2])]]), capsys) == "1 1\n1 1.5\n1 2\n"

    def test_stdin(self, capsys, monkeypatch):
        class Words(MultiSlotDataGenerator):
            def generate_sample(self, line):
                def samples():
                    for word in line.split():
                        yield [("length", [len(word)])]

                return samples

        monkeypatch.setattr(sys, "stdin", io.StringIO("a bcd\n\nef\n"))
        Words().run_from_stdin()
        assert capsys.readouterr().out == "1 1\n1 3\n1 2\n"

    def test_batches(self, capsys):
        """generate_batch gets `set_batch` samples at once, in the end fewer, and may change them."""
        sizes = []

        class Padded(MultiSlotDataGenerator):
            def generate_sample(self, line):
                return lambda: iter([[("x", list(range(1, n + 1)))] for n in (1, 3, 2, 1, 2)])

            def generate_batch(self, samples):
                def changed():
                    sizes.append(len(samples))
                    longest = max(len(sample[0][1]) for sample in samples)
                    for [(name, values)] in samples:
                        yield [(name, values + [0] * (longest - len(values)))]

                return changed

        one = Padded()
        one.set_batch(2)
        assert written(one, capsys) == "3 1 0 0\n3 1 2 3\n2 1 2\n2 1 0\n2 1 2\n"
        assert sizes == [2, 2, 1]


class TestRefusals:
    @pytest.mark.parametrize(
        ("samples", "message"),
        [
            (["text"], "A sample is not a list of slots"),
            ([{"x": [1]}], "A sample is not a list of slots"),
            ([[1]], "A slot of a sample is not a pair"),
            ([[("x", [1], 3)]], "A slot of a sample is not a pair"),
            ([[(3, [1])]], "The name of a slot is not a str"),
            ([[("x", 1)]], "The values of slot 'x' are not a list"),
            ([[("x", "12")]], "The values of slot 'x' are not a list"),
            ([[("x", [])]], "The values of slot 'x' can not be empty"),
            ([[("x", ["1"])]], "A value of slot 'x' is not a number"),
            ([[("x", [1, None])]], "A value of slot 'x' is not a number"),
            ([[("x", [True])]], "A value of slot 'x' is not a number"),
            ([[("x", [1.5])], [("x", ["1"])]], "A value of slot 'x' is not a number"),
            ([[("x", [1])], [("y", [1])]], "The slots of a sample are not those of the samples before"),
            ([[("x", [1])], [("x", [1]), ("y", [1])]], "The slots of a sample are not those of the samples before"),
            ([[("x", [1])], [(3, [1])]], "The name of a slot is not a str"),
        ],
    )
    def test_samples(self, samples, message):
        with pytest.raises(ValueError, match=message) as caught:
            generator(samples).run_from_memory()
        assert isinstance(caught.value, EnforceNotMet)

    def test_strings(self):
        with pytest.raises(EnforceNotMet, match="A value of slot 'x' is not a str"):
            generator([[("x", [1])]], MultiSlotStringDataGenerator).run_from_memory()

    @pytest.mark.parametrize("size", [0, -1, 1.5, True, "2"])
    def test_batch_size(self, size):
        with pytest.raises(ValueError, match="int >= 1"):
            generator([]).set_batch(size)

    def test_not_written(self):
        with pytest.raises(NotImplementedError, match="generate_sample"):
            MultiSlotDataGenerator().run_from_memory()


def test_a_dataset_reads_what_is_written(fresh, capsys, tmp_path):
    values = [float(x) for x in np.random.default_rng(0).standard_normal(40)]
    (tmp_path / "a").write_text(written(generator([[("x", [v])] for v in values]), capsys))
    dataset = fluid.DatasetFactory().create_dataset()
    dataset.set_use_var([fluid.data("x", [None, 1])])
    dataset.set_batch_size(40)
    dataset.set_filelist([str(tmp_path / "a")])
    (feed,) = dataset.batches()
    np.testing.assert_array_equal(feed["x"].ravel(), np.float32(values))


def test_a_broken_pipe_is_the_readers_business(tmp_path):
    """A generator whose reader has gone ends, and does not hang."""
    script = tmp_path / "endless.py"
    script.write_text(
        "import itertools\n"
        "from fluidlite.incubate.data_generator import MultiSlotDataGenerator\n"
        "class Endless(MultiSlotDataGenerator):\n"
        "    def generate_sample(self, line):\n"
        "        return lambda: ([('x', [i])] for i in itertools.count())\n"
        "Endless().run_from_memory()\n"
    )
    root = fluid.__file__.rsplit("/", 2)[0]
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"PYTHONPATH": root}
    ) as process:
        assert process.stdout.readline() == b"1 0\n"
        process.stdout.close()
        assert process.wait(timeout=20) != 0
