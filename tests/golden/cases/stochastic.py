"""dropout where no random number decides, and the programs that it makes."""

from .case import Input, Run, case, op_case, variants


def dropout_case(suffix, backward=True, **options):
    return op_case(
        "dropout_" + suffix,
        lambda fluid, x: fluid.layers.dropout(x, **options),
        backward=backward,
        x=Input(4, 3, lens=[[3, 0, 1]], grad=backward),
    )


for _name in ("downgrade_in_infer", "upscale_in_train"):
    dropout_case(_name + "_none", dropout_prob=0.0, dropout_implementation=_name, seed=3)
    dropout_case(_name + "_all", dropout_prob=1.0, dropout_implementation=_name)
    # Fluid refuses the gradient of a test.
    dropout_case(
        _name + "_test", backward=False, dropout_prob=0.3, dropout_implementation=_name, is_test=True, name="drop"
    )


@case
def dropout_program(fluid):
    """What is built, with the seed of the program and one of its own, and what a clone for tests makes of it."""
    main = fluid.default_main_program()
    main.random_seed = 5
    x = fluid.data("x", [-1, 3])
    hidden = fluid.layers.dropout(fluid.layers.fc(x, 4, act="tanh"), 0.4)
    hidden = fluid.layers.dropout(hidden, 0.25, seed=7, dropout_implementation="upscale_in_train")
    loss = fluid.layers.mean(fluid.layers.fc(hidden, 1))
    test = main.clone(for_test=True)
    fluid.optimizer.SGD(0.5).minimize(loss)
    return Run((), programs={"test": test})


@variants(downgrade={"implementation": "downgrade_in_infer"}, upscale={"implementation": "upscale_in_train"})
def dropout_clone(fluid, implementation):
    """A program for tests runs on what the training program's startup made."""
    x = fluid.data("x", [-1, 3])
    out = fluid.layers.dropout(fluid.layers.fc(x, 4), 0.4, dropout_implementation=implementation)
    main = fluid.default_main_program()
    for op in main.global_block().ops:
        if op.type == "dropout":
            op._set_attr("is_test", True)
    return Run([{"x": Input(5, 3).feed("dropout_clone")}], [out])
