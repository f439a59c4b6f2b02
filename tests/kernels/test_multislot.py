"""MultiSlotParser: values against a parser in plain Python, floats against exact arithmetic, refusals, bounds."""

import math
import os
import subprocess
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidlite._kernels.multislot import MultiSlotError, MultiSlotParser

LARGEST = Fraction(float(np.finfo(np.float32).max))
OVERFLOW = LARGEST + Fraction(2) ** 103  # half a step above; from here on float32 has infinity


def nearest_float32(text):
    """The nearest float32 by exact comparison of all candidates, a tie going to the even one; None beyond float32."""
    exact = Fraction(text)
    if abs(exact) >= OVERFLOW:
        return None
    with np.errstate(over="ignore"):
        guess = np.float32(float(text))
        candidates = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    finite = [c for c in candidates if np.isfinite(c)]
    value = min(finite, key=lambda c: (abs(Fraction(float(c)) - exact), int(c.view(np.uint32)) & 1))
    return np.copysign(value, np.float32(-1 if text.lstrip().startswith("-") else 1))


def parse(slots, text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    parser = MultiSlotParser(slots)
    end = parser.parse(data, 0, len(data), options.get("max_lines", 1 << 40))
    return parser.take(), end


def parse_floats(texts):
    (values, _), *_ = parse([(True, 0)], f"{len(texts)} " + " ".join(texts) + "\n")[0]
    return values


def parse_plainly(slots, text):
    """The same result by `int`, `float` and split; no checks."""
    columns = [([], [0]) for _ in slots]
    for line in text.split("\n")[:-1]:
        fields = iter(line.split())
        for (is_float, _), (values, offsets) in zip(slots, columns, strict=True):
            for _ in range(int(next(fields))):
                token = next(fields)
                values.append(nearest_float32(token) if is_float else (int(token) + 2**63) % 2**64 - 2**63)
            offsets.append(len(values))
    return [
        (np.array(values, np.float32 if is_float else np.int64), None if width else np.array(offsets, np.int64))
        for (is_float, width), (values, offsets) in zip(slots, columns, strict=True)
    ]


def assert_equal(actual, expected):
    for (values, offsets), (expected_values, expected_offsets) in zip(actual, expected, strict=True):
        assert values.dtype == expected_values.dtype
        assert values.tobytes() == expected_values.tobytes()
        assert (offsets is None) == (expected_offsets is None)
        if offsets is not None:
            np.testing.assert_array_equal(offsets, expected_offsets, strict=True)


blanks = st.sampled_from([" ", "  ", "\t", " \t "])
integers = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.integers(-99, 99), st.sampled_from([2**63 - 1, 2**63, -(2**63), 2**64 - 1])
)
floats = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e38, 1e38).map(repr),
    st.decimals(-1000, 1000, places=5).map(str),
    st.integers(-(10**25), 10**25).map(str),
)


@st.composite
def samples(draw):
    """(slots, text) of a few lines."""
    slots = draw(st.lists(st.tuples(st.booleans(), st.sampled_from([0, 0, 1, 3])), min_size=1, max_size=4))
    lines = []
    for _ in range(draw(st.integers(0, 5))):
        parts = []
        for is_float, width in slots:
            count = width or draw(st.integers(1, 4))
            values = draw(st.lists(floats if is_float else integers, min_size=count, max_size=count))
            parts += [str(count), *map(str, values)]
        blank = draw(blanks)
        lines.append(
            draw(st.sampled_from(["", " "])) + blank.join(parts) + draw(st.sampled_from(["", " ", "\r"])) + "\n"
        )
    return slots, "".join(lines)


class TestValues:
    @given(samples())
    def test_equals_plain_python(self, case):
        slots, text = case
        actual, end = parse(slots, text)
        assert end == len(text)
        assert_equal(actual, parse_plainly(slots, text))

    @given(samples(), st.integers(1, 3), st.integers(1, 7))
    def test_pieces_and_batches_make_no_difference(self, case, batch, step):
        """Bytes that come in pieces, and lines that are taken in batches, give what all at once gives."""
        slots, text = case
        data, parser, taken = text.encode(), MultiSlotParser(slots), []
        begin = 0
        for end in [*range(0, len(data), step), len(data)]:
            begin = parser.parse(data, begin, end, 1 << 40)
            taken += parser.take_batches(batch)
            assert parser.n_lines < batch
        assert all(offsets is None or len(offsets) == batch + 1 for arrays in taken for _, offsets in arrays)
        taken.append(parser.take())
        assert begin == len(data)
        for i, (values, offsets) in enumerate(parse_plainly(slots, text)):
            assert np.concatenate([t[i][0] for t in taken]).tobytes() == values.tobytes()
            if offsets is not None:
                lengths = np.concatenate([np.diff(t[i][1]) for t in taken])
                np.testing.assert_array_equal(lengths, np.diff(offsets))

    def test_lines_that_fill_no_batch_stay(self):
        parser = MultiSlotParser(SLOTS)
        data = (GOOD * 5).encode()
        parser.parse(data, 0, len(data), 100)
        assert len(parser.take_batches(3)) == 1 and parser.n_lines == 2
        assert parser.take_batches(3) == [] and parser.n_lines == 2
        assert_equal(parser.take(), parse_plainly(SLOTS, GOOD * 2))
        with pytest.raises(ValueError, match="batch_size"):
            parser.take_batches(0)

    def test_unsigned_numbers_keep_their_bits(self):
        text = "4 18446744073709551615 9223372036854775808 9223372036854775807 -9223372036854775808\n"
        values = parse([(False, 0)], text)[0][0][0]
        np.testing.assert_array_equal(values, [-1, -(2**63), 2**63 - 1, -(2**63)])

    @pytest.mark.parametrize("text", ["007", "+7", "0000000000000000000000000000007"])
    def test_zeros_and_a_plus_in_front(self, text):
        assert parse([(False, 1)], f"1 {text}\n")[0][0][0] == [7]

    def test_no_lines(self):
        (sequence, offsets), (dense, none) = parse([(False, 0), (True, 3)], b"")[0]
        assert (sequence.dtype, dense.dtype, none) == (np.int64, np.float32, None)
        assert (len(sequence), len(dense), offsets.tolist()) == (0, 0, [0])

    def test_many_values_and_many_lines_grow_the_memory(self):
        n = 5000
        lines = [f"{i % 7 + 1} " + " ".join(str(i * 10 + k) for k in range(i % 7 + 1)) + f" 1 {i}.5" for i in range(n)]
        text = "\n".join(lines) + "\n"
        slots = [(False, 0), (True, 1)]
        assert_equal(parse(slots, text)[0], parse_plainly(slots, text))

    def test_read_only_bytes_bytearrays_and_memoryviews(self):
        for data in (b"1 5\n", bytearray(b"1 5\n"), memoryview(b"1 5\n")):
            assert parse([(False, 1)], bytes(data))[0][0][0] == [5]
            parser = MultiSlotParser([(False, 1)])
            assert parser.parse(data, 0, 4, 1) == 4


class TestFloats:
    """Every float is the one next to the number that is written, whatever the digits."""

    @given(st.lists(floats, min_size=1, max_size=20))
    def test_decimals(self, texts):
        texts = [t for t in texts if nearest_float32(t) is not None] or ["0"]
        assert parse_floats(texts).tobytes() == np.array([nearest_float32(t) for t in texts]).tobytes()

    @given(st.floats(width=32, allow_nan=False, allow_infinity=False))
    def test_its_own_digits(self, value):
        assert parse_floats([repr(value)])[0].tobytes() == np.float32(value).tobytes()

    @settings(max_examples=300)
    @given(
        st.integers(0, 2**32 - 1).map(lambda bits: np.uint32(bits).view(np.float32)).filter(np.isfinite),
        st.sampled_from(["", "0", "1", "000000000000000000000000001"]),
        st.booleans(),
    )
    def test_middles_between_two_floats_and_a_little_more_or_less(self, value, more, below):
        """The digits of a middle, all of them; one more digit decides. `float` alone would round some of them twice."""
        middle = (Fraction(float(value)) + Fraction(float(np.nextafter(value, np.float32(0))))) / 2
        digits = exact_digits(abs(middle))
        if below and more:
            digits = digits[:-1] + str(int(digits[-1]) - 1 if digits[-1] != "0" else 0) + "9" * 30
        elif more:
            digits += more
        text = ("-" if value < 0 else "") + digits
        assert parse_floats([text])[0].tobytes() == nearest_float32(text).tobytes()

    @pytest.mark.parametrize(
        "text",
        ["0", "-0", "0.0", "-0.0e5", ".5", "5.", "-.5", "+1.5", "1e5", "1E+5", "1e-5", "0e999", "16777217",
         "16777217.0", "16777219", "1.17549435e-38", "1e-45", "1e-46", "7e-46", "0.7006492e-45",
         "7.006492321624085e-46",
         "7.0064923216240853546186479164495e-46", "7.0064923216240853546186479164496e-46", "3.4028235e38",
         "3.4028235677973366e38", "340282356779733661637539395458142568447", "1e-400", "123456789012345678901234567890",
         "0.1", "0.30000000000000004", "9007199254740993", "1" + "0" * 38, "0." + "0" * 44 + "14", "1" * 39,
         "1.00000005960464477539062", "1.000000059604644775390625", "1.000000059604644775390626"],
    )  # fmt: skip
    def test_edges(self, text):
        value = parse_floats([text])[0]
        assert value.tobytes() == np.float32(nearest_float32(text)).tobytes()

    def test_many_digits(self):
        text = "0." + "3" * 5000
        assert parse_floats([text])[0] == np.float32(1 / 3)
        # The middle between 1 and the float above it, and a digit 5,000 places behind it that decides.
        middle = "1.000000059604644775390625"
        assert parse_floats([middle, middle + "0" * 5000 + "1"]).tolist() == [1.0, 1.0 + 2.0**-23]

    def test_many_of_them(self):
        rng = np.random.default_rng(5)
        numbers = rng.standard_normal(50_000) * 10.0 ** rng.integers(-37, 37, 50_000)
        values = parse_floats([repr(x) for x in numbers.tolist()])
        np.testing.assert_array_equal(values, numbers.astype(np.float32))

    @pytest.mark.parametrize("text", ["inf", "-inf", "Infinity", "+INF", "nan", "NaN"])
    def test_words(self, text):
        np.testing.assert_array_equal(parse_floats([text]), np.float32([float(text)]))

    @pytest.mark.parametrize(
        "text", ["1e39", "-1e39", "1e400", "3.4028236e38", "340282356779733661637539395458142568448"]
    )
    def test_what_rounds_to_infinity_is_refused(self, text):
        with pytest.raises(MultiSlotError, match="does not fit") as caught:
            parse_floats([text])
        assert caught.value.expected == "a float32"


def exact_digits(fraction):
    """A fraction whose denominator is a power of two, in decimal and without rounding."""
    power = fraction.denominator.bit_length() - 1
    digits = str(fraction.numerator * 5**power).rjust(power + 1, "0")
    return f"{digits[:-power]}.{digits[-power:]}" if power else digits + ".0"


GOOD = "2 5 6 2 0.5 1.5 1 1\n"
SLOTS = [(False, 0), (True, 2), (False, 1)]

# (the line, the slot, what the message says, what was expected, what came)
BAD = [
    ("", 0, "is missing", "a count (the number of values, at least 1)", "the end of the line"),
    ("   ", 0, "is missing", "a count (the number of values, at least 1)", "the end of the line"),
    ("1 4", 1, "is missing", "a count (2)", "the end of the line"),
    ("1 4 2 1 2", 2, "is missing", "a count (1)", "the end of the line"),
    ("x 4", 0, "does not start with a count", "a count (the number of values, at least 1)", "'x'"),
    ("-1 4", 0, "does not start with a count", "a count (the number of values, at least 1)", "'-1'"),
    ("1.0 4", 0, "does not start with a count", "a count (the number of values, at least 1)", "'1.0'"),
    ("99999999999999999999 4", 0, "does not start with a count", "a count (the number of values, at least 1)",
     "'99999999999999999999'"),
    ("18446744073709551615 4", 0, "does not start with a count", "a count (the number of values, at least 1)",
     "'18446744073709551615'"),
    ("0 2 1 2 1 3", 0, "the number of ids can not be zero", "the number of values, at least 1", "'0'"),
    ("1 4 0 1 3", 1, "has the wrong number of values", "2", "'0'"),
    ("1 4 3 1 2 3 1 3", 1, "has the wrong number of values", "2", "'3'"),
    ("1 4 2 1 2 2 7 8", 2, "has the wrong number of values", "1", "'2'"),
    ("9223372036854775807 1 2", 0, "is cut off", "9223372036854775807 values", "the end of the line"),
    ("5 1 2", 0, "is cut off", "5 values", "the end of the line"),
    ("1 4 2 1", 1, "is cut off", "2 values", "the end of the line"),
    ("1 3.7 2 1 2 1 7", 0, "not an integer", "an integer as value 1", "'3.7'"),
    ("2 3 4x 2 1 2 1 7", 0, "not an integer", "an integer as value 2", "'4x'"),
    ("1 - 2 1 2 1 7", 0, "not an integer", "an integer as value 1", "'-'"),
    ("1 4 2 1 0x10 1 7", 1, "not a float", "a float as value 2", "'0x10'"),
    ("1 4 2 1_0 1 1 7", 1, "not a float", "a float as value 1", "'1_0'"),
    ("1 4 2 1e 1 1 7", 1, "not a float", "a float as value 1", "'1e'"),
    ("1 4 2 . 1 1 7", 1, "not a float", "a float as value 1", "'.'"),
    ("1 4 2 - 1 1 7", 1, "not a float", "a float as value 1", "'-'"),
    ("1 4 2 1,5 1 1 7", 1, "not a float", "a float as value 1", "'1,5'"),
    ("1 4 2 1 \0 1 7", 1, "not a float", "a float as value 2", "'\\x00'"),
    ("1 18446744073709551616 2 1 2 1 7", 0, "does not fit", "an integer of 64 bits, -2**63 <= value < 2**64",
     "'18446744073709551616'"),
    ("1 -9223372036854775809 2 1 2 1 7", 0, "does not fit", "an integer of 64 bits, -2**63 <= value < 2**64",
     "'-9223372036854775809'"),
    ("1 111111111111111111111111111 2 1 2 1 7", 0, "does not fit", "an integer of 64 bits, -2**63 <= value < 2**64",
     "'111111111111111111111111111'"),
    ("1 4 2 1 2 1 7 8", None, "has text behind its last slot", "the end of the line", "'8'"),
    ("1 " + "7" * 60 + "x 1", 0, "not an integer", "an integer as value 1", "'" + "7" * 40 + "...'"),
]  # fmt: skip


class TestRefusals:
    @pytest.mark.parametrize(("line", "slot", "problem", "expected", "actual"), BAD, ids=[case[0][:30] for case in BAD])
    def test_a_bad_line(self, line, slot, problem, expected, actual):
        data = (GOOD + GOOD + line + "\n" + GOOD).encode()
        parser = MultiSlotParser(SLOTS)
        with pytest.raises(MultiSlotError) as caught:
            parser.parse(data, 0, len(data), 100)
        error = caught.value
        assert (error.line, error.slot) == (2, slot)
        assert problem in str(error)
        assert (error.expected, error.actual) == (expected, actual)
        # The lines before it are there; nothing of it is.
        assert parser.n_lines == 2
        assert_equal(parser.take(), parse_plainly(SLOTS, GOOD + GOOD))

    def test_bytes_that_are_no_text(self):
        with pytest.raises(MultiSlotError) as caught:
            parse([(True, 1)], b"1 \xff\xfe\n")
        assert caught.value.actual == r"'\\xff\\xfe'"

    @given(st.binary(max_size=40), samples())
    def test_any_bytes_are_parsed_or_refused(self, noise, case):
        slots, text = case
        data = text.encode() + noise + b"\n"
        parser = MultiSlotParser(slots)
        try:
            assert parser.parse(data, 0, len(data), 100) == len(data)
        except MultiSlotError as error:
            assert error.line == parser.n_lines
        for (values, offsets), (_, width) in zip(parser.take(), slots, strict=True):
            assert width or offsets[-1] == len(values)

    @pytest.mark.parametrize(("begin", "end"), [(-1, 3), (2, 1), (0, 5), (5, 5)])
    def test_bounds_outside_of_the_bytes(self, begin, end):
        with pytest.raises(ValueError, match="no part of `data`"):
            MultiSlotParser([(False, 1)]).parse(b"1 5\n", begin, end, 1)

    def test_nothing_beyond_the_end_is_read(self):
        data = b"1 5\n1 6\n1 7"
        parser = MultiSlotParser([(False, 1)])
        assert parser.parse(data, 0, 7, 10) == 4  # the newline of the second line lies behind the end
        assert parser.parse(data, 4, 11, 10) == 8
        assert parser.parse(data, 8, 11, 10) == 8
        assert parser.take()[0][0].tolist() == [5, 6]

    def test_max_lines(self):
        parser = MultiSlotParser([(False, 1)])
        assert parser.parse(b"1 5\n1 6\n1 7\n", 0, 12, 2) == 8
        assert parser.parse(b"1 5\n", 0, 4, 0) == 0
        with pytest.raises(ValueError, match="max_lines"):
            parser.parse(b"1 5\n", 0, 4, -1)

    @pytest.mark.parametrize("slots", [[], [(True, -1)]])
    def test_slots(self, slots):
        with pytest.raises(ValueError, match="slot"):
            MultiSlotParser(slots)

    def test_what_is_no_buffer(self):
        with pytest.raises(TypeError):
            MultiSlotParser([(True, 1)]).parse("1 5\n", 0, 4, 1)

    def test_one_thread_at_a_time(self):
        data = b"1 123456.5\n" * 400_000
        parser, done = MultiSlotParser([(True, 1)]), threading.Event()

        def work():
            parser.parse(data, 0, len(data), 1 << 40)
            done.set()

        thread = threading.Thread(target=work)
        thread.start()
        refused = 0
        while not done.is_set() and not refused:
            try:
                parser.take()
            except RuntimeError as error:
                refused += "another thread" in str(error)
        thread.join()
        assert refused or done.is_set()
        assert parser.parse(b"1 5\n", 0, 4, 1) == 4

    def test_the_decimal_point_is_no_matter_of_locale(self):
        code = (
            "import locale, sys\n"
            "from fluidlite._kernels.multislot import MultiSlotParser\n"
            "for name in ('de_DE.UTF-8', 'fr_FR.UTF-8', ''):\n"
            "    try: locale.setlocale(locale.LC_ALL, name)\n"
            "    except locale.Error: pass\n"
            "    else: break\n"
            "p = MultiSlotParser([(True, 2)])\n"
            "data = b'2 0.5 1.000000059604644775390626\\n'\n"
            "p.parse(data, 0, len(data), 1)\n"
            "assert p.take()[0][0].tolist() == [0.5, 1.0 + 2.0**-23]\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def test_signs_of_zero():
    values = parse_floats(["-0", "0", "-0.0", "-1e-60"])
    assert [math.copysign(1, v) for v in values] == [-1, 1, -1, -1]
