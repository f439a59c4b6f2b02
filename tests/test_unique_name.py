"""unique_name: one counter for each key, and guards that start anew."""

import pytest

from fluidlite import unique_name


def test_each_key_counts_from_zero():
    with unique_name.guard():
        assert [unique_name.generate(k) for k in ("fc", "fc", "embedding", "fc")] == [
            "fc_0",
            "fc_1",
            "embedding_0",
            "fc_2",
        ]


def test_guard_restores_the_counters_before_it():
    with unique_name.guard():
        unique_name.generate("fc")
        with unique_name.guard():
            assert unique_name.generate("fc") == "fc_0"
        assert unique_name.generate("fc") == "fc_1"


def test_guard_restores_after_an_error():
    with unique_name.guard():
        unique_name.generate("fc")
        with pytest.raises(KeyError), unique_name.guard():
            raise KeyError
        assert unique_name.generate("fc") == "fc_1"


@pytest.mark.parametrize("prefix", ["a/", b"a/"])
def test_a_string_is_a_prefix(prefix):
    with unique_name.guard(prefix):
        assert unique_name.generate("fc") == "a/fc_0"


def test_switch_puts_a_generator_back():
    with unique_name.guard():
        unique_name.generate("fc")
        before = unique_name.switch()
        assert unique_name.generate("fc") == "fc_0"
        unique_name.switch(before)
        assert unique_name.generate("fc") == "fc_1"
