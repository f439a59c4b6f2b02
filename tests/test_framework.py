"""Program, Block and Operator: what a program is as data."""

import pytest

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError, InvalidTypeError, NotFoundError
from fluidlite.framework import Parameter
from fluidlite.optimizer import SGD

layers = fluid.layers


def op_types(program):
    return [op.type for op in program.global_block().ops]


def small_model(optimizer=None):
    x = fluid.data("x", [None, 3])
    loss = layers.mean(layers.fc(x, 2, act="relu"))
    if optimizer is not None:
        optimizer.minimize(loss)
    return loss


def test_layers_go_to_the_guarded_programs_and_to_no_others():
    main, startup = fluid.Program(), fluid.Program()
    outer_main, outer_startup = fluid.default_main_program(), fluid.default_startup_program()
    with fluid.program_guard(main, startup):
        assert fluid.default_main_program() is main
        assert fluid.default_startup_program() is startup
        small_model()
    assert fluid.default_main_program() is outer_main
    assert fluid.default_startup_program() is outer_startup
    assert op_types(main) == ["mul", "elementwise_add", "relu", "mean"]
    assert sorted(op_types(startup)) == ["fill_constant", "uniform_random"]


def test_program_guard_without_startup_leaves_the_default_startup(fresh):
    with fluid.program_guard(fluid.Program()):
        assert fluid.default_startup_program() is fresh.startup


def test_program_guard_restores_after_an_error(fresh):
    with pytest.raises(KeyError), fluid.program_guard(fluid.Program(), fluid.Program()):
        raise KeyError
    assert fluid.default_main_program() is fresh.main
    assert fluid.default_startup_program() is fresh.startup


@pytest.mark.parametrize("arguments", [("main",), (None,)])
def test_program_guard_refuses_what_is_no_program(arguments):
    with pytest.raises(InvalidTypeError, match="main program of program_guard"):
        fluid.program_guard(*arguments).__enter__()


def test_program_guard_with_a_bad_startup_program_changes_nothing(fresh):
    with pytest.raises(InvalidTypeError, match="startup program"):
        fluid.program_guard(fluid.Program(), "startup").__enter__()
    assert fluid.default_main_program() is fresh.main


def test_init_ops_stand_in_reverse_order_of_creation(fresh):
    small_model(SGD(0.1))
    assert [op.output_arg_names[0] for op in fresh.startup.global_block().ops] == [
        "learning_rate_0",
        "fc_0.b_0",
        "fc_0.w_0",
    ]


def test_all_parameters_come_in_order_of_creation(fresh):
    small_model(SGD(0.1))
    assert [p.name for p in fresh.main.all_parameters()] == ["fc_0.w_0", "fc_0.b_0"]
    assert all(isinstance(p, Parameter) for p in fresh.main.all_parameters())


def test_list_vars_lists_every_variable_once(fresh):
    small_model()
    names = [v.name for v in fresh.main.list_vars()]
    assert len(names) == len(set(names))
    assert {"x", "fc_0.w_0", "fc_0.b_0", "fc_0.tmp_2", "mean_0.tmp_0"} <= set(names)


def test_clone_copies_all_ops_and_variables(fresh):
    small_model(SGD(0.1))
    copy = fresh.main.clone()
    assert copy.to_string() == fresh.main.to_string()
    assert [op.attrs for op in copy.global_block().ops] == [op.attrs for op in fresh.main.global_block().ops]


def test_clone_shares_no_variable_op_or_attribute(fresh):
    small_model(SGD(0.1))
    copy = fresh.main.clone()
    for mine, theirs in zip(copy.global_block().ops, fresh.main.global_block().ops, strict=True):
        assert mine is not theirs
        assert mine.block is copy.global_block()
        for name, value in mine.attrs.items():
            assert not isinstance(value, list) or not value or value is not theirs.attrs[name], (mine.type, name)
    for name, variable in copy.global_block().vars.items():
        assert variable is not fresh.main.global_block().var(name)
        assert variable.block is copy.global_block()
        assert variable.op is None or variable.op in copy.global_block().ops
    mine, theirs = (p.global_block().var("fc_0.w_0") for p in (copy, fresh.main))
    assert mine.optimize_attr is not theirs.optimize_attr


def test_ops_appended_to_a_clone_do_not_appear_in_the_original(fresh):
    small_model()
    before = fresh.main.to_string()
    copy = fresh.main.clone()
    with fluid.program_guard(copy):
        layers.mean(copy.global_block().var("x"))
    assert fresh.main.to_string() == before
    assert len(copy.global_block().ops) == len(fresh.main.global_block().ops) + 1


@pytest.mark.parametrize("when", ["before minimize", "after minimize"])
def test_clone_for_test_has_the_forward_ops_alone(fresh, when):
    loss = small_model()
    if when == "before minimize":
        test = fresh.main.clone(for_test=True)
    SGD(0.1, regularization=fluid.regularizer.L2Decay(0.1)).minimize(loss)
    if when == "after minimize":
        test = fresh.main.clone(for_test=True)
    assert op_types(test) == ["mul", "elementwise_add", "relu", "mean"]
    assert not any(name.endswith("@GRAD") for name in test.global_block().vars)
    assert [p.name for p in test.all_parameters()] == ["fc_0.w_0", "fc_0.b_0"]


def test_clone_keeps_the_seed_even_when_it_was_drawn(fresh):
    fresh.main.random_seed = 7
    assert fresh.main.clone().random_seed == 7
    unseeded = fluid.Program()
    assert unseeded.clone().drawn_seed == unseeded.drawn_seed


def test_seed_zero_draws_one_readable_seed_for_each_program():
    one, other = fluid.Program(), fluid.Program()
    assert one.random_seed == 0
    assert one.drawn_seed == one.drawn_seed != 0
    assert one.drawn_seed != other.drawn_seed


def test_to_string_names_every_variable_and_op(fresh):
    small_model(SGD(0.1))
    text = fresh.main.to_string(True)
    assert text == str(fresh.main)
    for name in fresh.main.global_block().vars:
        assert name in text
    for type in op_types(fresh.main):
        assert f"= {type}(" in text


def test_op_reads_its_slots_and_attributes(fresh):
    small_model()
    op = fresh.main.global_block().ops[0]
    assert (op.type, op.input_names, op.output_names) == ("mul", ["X", "Y"], ["Out"])
    assert op.input("X") == ["x"]
    assert op.input("Y") == ["fc_0.w_0"]
    assert op.output("Out") == ["fc_0.tmp_0"]
    assert op.input("Nothing") == []
    assert op.input_arg_names == ["x", "fc_0.w_0"]
    assert op.attr("x_num_col_dims") == 1
    assert op.has_attr("y_num_col_dims")
    assert not op.has_attr("nothing")
    assert op.all_attrs()["op_role"] == 0


def test_an_op_is_asked_with_the_arguments_of_fluid(fresh):
    small_model()
    block = fresh.main.global_block()
    assert block.ops[1].input(name="X") == ["fc_0.tmp_0"]
    assert block.ops[0].output(name="Out") == ["fc_0.tmp_0"]
    assert [op.idx for op in block.ops] == list(range(len(block.ops)))
    assert list(block.iter_parameters()) == block.all_parameters()


def test_global_seed(fresh):
    fresh.main.global_seed(7)
    assert fresh.main.random_seed == 7


def test_what_an_op_hands_out_can_be_changed_without_changing_the_op(fresh):
    small_model()
    op = fresh.main.global_block().ops[0]
    op.input("X").append("y")
    op.all_attrs()["x_num_col_dims"] = 5
    assert op.input("X") == ["x"]
    assert op.attr("x_num_col_dims") == 1


def test_op_remembers_where_the_user_made_it(fresh):
    small_model()
    assert all(op.site[0] == __file__ for op in fresh.main.global_block().ops)
    assert {op.site[2] for op in fresh.main.global_block().ops} == {"small_model"}


def test_unknown_op_type_names_the_nearest(fresh):
    with pytest.raises(NotFoundError, match="no op of type 'meen'") as caught:
        fresh.main.global_block().append_op("meen")
    assert "'mean'" in caught.value.hint


def test_unknown_slot_and_missing_slot_are_refused(fresh):
    block, x = fresh.main.global_block(), fluid.data("x", [None, 3])
    out = block.create_var(name="out")
    with pytest.raises(InvalidArgumentError, match="no input 'Y'"):
        block.append_op("mean", inputs={"Y": x}, outputs={"Out": out})
    with pytest.raises(InvalidArgumentError, match="needs the input 'X'") as caught:
        block.append_op("mean", outputs={"Out": out})
    assert __file__ in caught.value.where
    assert block.ops == []


def test_unknown_variable_names_the_nearest(fresh):
    fluid.data("words", [None, 1], "int64")
    with pytest.raises(NotFoundError, match="no variable 'word'") as caught:
        fresh.main.global_block().var("word")
    assert "'words'" in caught.value.hint


def test_create_var_gives_the_variable_that_is_there(fresh):
    x = fluid.data("x", [None, 3])
    assert fresh.main.global_block().create_var(name="x") is x
    assert fresh.main.global_block().has_var("x")
    assert not fresh.main.global_block().has_var("y")


def test_a_second_parameter_of_one_name_is_the_first_one(fresh):
    first = layers.create_parameter([2, 3], "float32", name="w")
    second = layers.create_parameter([2, 3], "float32", name="w")
    assert second is first
    assert op_types(fresh.startup) == ["uniform_random"]


def test_a_parameter_does_not_replace_a_data_variable_of_its_name(fresh):
    x = fluid.data("w", [2, 3])
    with pytest.raises(InvalidArgumentError, match="w"):
        layers.create_parameter([2, 3], "float32", name="w")
    assert fresh.main.global_block().var("w") is x


@pytest.mark.parametrize("shape", [[0, 3], [-1, 3], [], None])
def test_a_parameter_needs_positive_dimensions(fresh, shape):
    with pytest.raises(InvalidArgumentError, match="'w'"):
        layers.create_parameter(shape, "float32", name="w")


def test_name_scope_marks_ops_and_leaves_variable_names(fresh):
    with fluid.name_scope("outer"), fluid.name_scope("inner"):
        loss = small_model()
    assert loss.name == "mean_0.tmp_0"
    assert loss.op.attr("op_namescope") == "/outer/inner/"
    assert not layers.mean(loss).op.has_attr("op_namescope")


@pytest.mark.parametrize("prefix", [None, "", 3])
def test_name_scope_needs_a_prefix(prefix):
    with pytest.raises(InvalidArgumentError):
        fluid.name_scope(prefix).__enter__()


def test_op_roles_tell_forward_backward_and_optimizer_ops_apart(fresh):
    small_model(SGD(0.1))
    roles = [(op.type, op.attr("op_role")) for op in fresh.main.global_block().ops]
    assert roles == [
        ("mul", 0),
        ("elementwise_add", 0),
        ("relu", 0),
        ("mean", 256),
        ("fill_constant", 257),
        ("mean_grad", 1),
        ("relu_grad", 1),
        ("elementwise_add_grad", 1),
        ("mul_grad", 1),
        ("sgd", 2),
        ("sgd", 2),
    ]


def test_roles_that_programs_give_their_own_ops(fresh):
    """Language programs write schedules and weight decay of their own with these."""
    x = fluid.layers.fill_constant([1], "float32", 1.0)
    with fresh.main._lr_schedule_guard():
        fluid.layers.scale(x, 2.0)
    with fresh.main._lr_schedule_guard(is_with_opt=True):
        fluid.layers.scale(x, 2.0)
    w = fluid.layers.create_parameter([2], "float32", name="w")
    with fresh.main._optimized_guard([w, "w@GRAD"]), fluid.name_scope("weight_decay"):
        fluid.layers.scale(w, 2.0)
    fluid.layers.scale(x, 2.0)
    scales = [op for op in fresh.main.global_block().ops if op.type == "scale"]
    assert [op.attr("op_role") for op in scales] == [16, 18, 2, 0]
    assert scales[2].attr("op_role_var") == ["w", "w@GRAD"]
    test = fresh.main.clone(for_test=True)
    assert [op.type for op in test.global_block().ops] == ["fill_constant", "scale"]
