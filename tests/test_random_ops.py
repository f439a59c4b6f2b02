"""Random numbers from run to run: which ops draw anew, and what the numbers depend on."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.scope import RANDOM_STEP


def noise_program(seed=7, names=("noise",)):
    """A program that draws normal numbers into temporaries, and one that initializes a parameter."""
    main, startup = fluid.Program(), fluid.Program()
    main.random_seed = startup.random_seed = seed
    with fluid.program_guard(main, startup), fluid.unique_name.guard():
        fluid.layers.create_parameter([5, 3], "float32", name="w", default_initializer=fluid.initializer.Normal())
        for name in names:
            out = main.global_block().create_var(name=name, dtype="float32")
            main.global_block().append_op("gaussian_random", outputs={"Out": out}, attrs={"shape": [5, 3]})
    return main, startup


def draw(main, scope, count, names=("noise",)):
    exe = fluid.Executor()
    return [exe.run(main, fetch_list=list(names), scope=scope) for _ in range(count)]


def test_every_run_draws_other_numbers():
    main, _ = noise_program()
    drawn = np.array(draw(main, fluid.Scope(), 4))
    assert len(np.unique(drawn)) == drawn.size


def test_two_variables_of_one_shape_get_other_numbers():
    names = ("noise", "other")
    main, _ = noise_program(names=names)
    a, b = draw(main, fluid.Scope(), 1, names)[0]
    assert not np.intersect1d(a, b).size


def test_a_seed_gives_the_same_numbers_in_every_process_and_scope():
    first = draw(noise_program()[0], fluid.Scope(), 3)
    second = draw(noise_program()[0], fluid.Scope(), 3)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, draw(noise_program(seed=8)[0], fluid.Scope(), 3))


def test_initialization_repeats_itself():
    _, startup = noise_program()
    exe, scope, values = fluid.Executor(), fluid.Scope(), []
    for _ in range(2):
        exe.run(startup, scope=scope)
        values.append(np.array(scope.find_var("w").get_tensor()))
    np.testing.assert_array_equal(*values)
    assert scope.find_var(RANDOM_STEP) is None, "a run that draws nothing anew does not count"


@pytest.mark.parametrize("done", [1, 3])
def test_the_count_of_runs_in_the_scope_is_all_that_going_on_needs(done):
    whole = draw(noise_program()[0], fluid.Scope(), 5)
    before, after = fluid.Scope(), fluid.Scope()
    draw(noise_program()[0], before, done)
    after.var(RANDOM_STEP).get_tensor().set(np.array(before.find_var(RANDOM_STEP).get_tensor()))
    np.testing.assert_array_equal(draw(noise_program()[0], after, 5 - done), whole[done:])
