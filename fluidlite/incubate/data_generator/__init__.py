"""Generators of MultiSlot text: a subclass turns lines of raw data into samples, as the pipe command of a dataset.

A script that ends in ``MyGenerator().run_from_stdin()`` is given to ``dataset.set_pipe_command('python script.py')``.
"""

import sys

from ...errors import InvalidArgumentError, InvalidTypeError

__all__ = ["MultiSlotDataGenerator", "MultiSlotStringDataGenerator"]


class DataGenerator:
    """What both generators have in common: where lines come from and go to."""

    def __init__(self):
        self.batch_size_ = 32
        self._slot_names = None

    def set_batch(self, batch_size):
        """How many samples `generate_batch` gets at once, 32 if not set. The last time it may get fewer."""
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise InvalidArgumentError(
                "The batch size of a data generator is not usable.", expected="an int >= 1", actual=repr(batch_size)
            )
        self.batch_size_ = batch_size

    def generate_sample(self, line):
        """To be written by a subclass: a function without arguments that yields the samples of one line.

        Args:
            line: a line of stdin with its newline, or None in `run_from_memory`.

        A sample is a list or tuple of ``(name, [value, ...])``, always with the same names in the same order. None in
        place of a sample is passed over.
        """
        raise NotImplementedError(
            "generate_sample is not written: return a function that yields [(name, [value, ...]), ...]"
        )

    def generate_batch(self, samples):
        """May be written by a subclass that needs several samples at once: a function that yields the changed ones.

        Args:
            samples: a list of `set_batch` samples.
        """
        return lambda: iter(samples)

    def run_from_stdin(self):
        """Read lines from stdin and write a line of MultiSlot text to stdout for each sample."""
        self._run(sample for line in sys.stdin for sample in self.generate_sample(line)())

    def run_from_memory(self):
        """Write the samples of ``generate_sample(None)`` to stdout: for tests and benchmarks."""
        self._run(self.generate_sample(None)())

    def _run(self, samples):
        batch = []
        for sample in samples:
            if sample is not None:
                batch.append(sample)
                if len(batch) >= self.batch_size_:
                    self._write(batch)
                    batch = []
        if batch:
            self._write(batch)
        sys.stdout.flush()

    def _write(self, batch):
        sys.stdout.write("".join([self._gen_str(sample) for sample in self.generate_batch(batch)()]))

    def _gen_str(self, sample):
        """One sample as a line of MultiSlot text."""
        if not isinstance(sample, list | tuple):
            raise InvalidArgumentError(
                "A sample is not a list of slots.",
                expected="[('words', [1926, 8, 17]), ('label', [1])]",
                actual=f"{type(sample).__name__}: {sample!r:.80}",
                hint="generate_sample yields a list or tuple of (name, [value, ...]).",
            )
        try:
            names = [name for name, _ in sample]
        except (TypeError, ValueError):
            raise InvalidArgumentError(
                "A slot of a sample is not a pair.", expected="(name, [value, ...])", actual=f"{sample!r:.80}"
            ) from None
        if names != self._slot_names:
            self._check_names(names)
        return " ".join([self._slot_text(name, values) for name, values in sample]) + "\n"

    def _check_names(self, names):
        for name in names:
            if not isinstance(name, str):
                raise InvalidArgumentError(
                    "The name of a slot is not a str.", expected="str", actual=f"{type(name).__name__}: {name!r:.80}"
                )
        if self._slot_names is None:
            self._slot_names = names
            return
        raise InvalidArgumentError(
            "The slots of a sample are not those of the samples before.",
            expected=", ".join(self._slot_names),
            actual=", ".join(names),
            hint="a dataset reads slots by their order: every sample needs all of them, in the same order.",
        )

    def _slot_text(self, name, values):
        if values.__class__ is not list and not isinstance(values, tuple | list):
            raise InvalidArgumentError(
                f"The values of slot {name!r} are not a list.",
                expected="a list",
                actual=f"{type(values).__name__}: {values!r:.80}",
            )
        if not values:
            raise InvalidArgumentError(
                f"The values of slot {name!r} can not be empty.",
                hint="pad them in generate_sample, with [0] for example.",
            )
        return f"{len(values)} {self._values_text(name, values)}"

    def _values_text(self, name, values):
        raise NotImplementedError("use MultiSlotDataGenerator or MultiSlotStringDataGenerator")


class MultiSlotDataGenerator(DataGenerator):
    """Samples whose values are ints or floats.

    >>> class Words(MultiSlotDataGenerator):
    ...     def generate_sample(self, line):
    ...         def samples():
    ...             yield [('words', [1926, 8, 17]), ('label', [0.5])]
    ...         return samples
    >>> Words().run_from_memory()
    3 1926 8 17 1 0.5
    """

    def _values_text(self, name, values):
        if len(values) == 1 and values[0].__class__ in _NUMBERS:
            return str(values[0])
        if not {*map(type, values)} <= _NUMBERS:
            for value in values:
                if not isinstance(value, int | float) or isinstance(value, bool):
                    raise InvalidArgumentError(
                        f"A value of slot {name!r} is not a number.",
                        expected="int or float",
                        actual=f"{type(value).__name__}: {value!r:.80}",
                        hint="convert it in generate_sample: int(x) or float(x).",
                    )
        return " ".join(map(str, values))


_NUMBERS = {int, float}


class MultiSlotStringDataGenerator(DataGenerator):
    """Samples whose values are str already, which is quicker: they are written as they are.

    >>> class Words(MultiSlotStringDataGenerator):
    ...     def generate_sample(self, line):
    ...         return lambda: iter([[('words', ['1926', '08', '17']), ('label', ['1'])]])
    >>> Words().run_from_memory()
    3 1926 08 17 1 1
    """

    def _values_text(self, name, values):
        try:
            return " ".join(values)
        except TypeError:
            raise InvalidTypeError(
                f"A value of slot {name!r} is not a str.",
                expected="str",
                actual=f"{values!r:.80}",
                hint="MultiSlotDataGenerator takes numbers.",
            ) from None
