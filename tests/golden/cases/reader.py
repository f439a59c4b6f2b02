"""Programs that read their batches themselves: py_reader, create_py_reader_by_data, double_buffer, read_file."""

from .case import Run, case, integers, uniform


def samples(key, count):
    """Samples of three numbers, a sequence of ids (the second one empty), and a label."""
    lengths = [2, 0, 3, 1, 4]
    return [
        (
            uniform(f"{key}/x{i}", 3),
            [int(v) for v in integers(f"{key}/ids{i}", 7, lengths[i % 5])],
            int(integers(f"{key}/label{i}", 2, 1)[0]),
        )
        for i in range(count)
    ]


def sample_lists(key):
    """A reader of two batches of different sizes."""
    batches = [samples(key + "/0", 4), samples(key + "/1", 3)]
    return lambda: iter(batches)


def classifier(fluid, x, label):
    """The loss of a small model."""
    prediction = fluid.layers.fc(x, 2, act="softmax")
    return fluid.layers.mean(fluid.layers.cross_entropy(prediction, label))


@case
def py_reader_training(fluid):
    reader = fluid.layers.py_reader(4, [(-1, 3), (-1, 1), (-1, 1)], ["float32", "int64", "int64"], lod_levels=[0, 1, 0])
    x, ids, label = fluid.layers.read_file(reader)
    loss = classifier(fluid, x, label)
    test = fluid.default_main_program().clone(for_test=True)
    copy = fluid.default_main_program().clone()
    fluid.optimizer.SGD(0.5).minimize(loss)
    reader.decorate_paddle_reader(sample_lists("py_reader_training"))
    reader.start()
    return Run([{}, {}], [x, ids, label, loss, "fc_0.w_0"], programs={"test": test, "copy": copy})


@case
def py_reader_named(fluid):
    """One variable, names of the user, and a double buffer asked for."""
    reader = fluid.layers.py_reader(2, [[-1, 2, 3]], ["float64"], name="train", use_double_buffer=False)
    x = fluid.layers.read_file(fluid.layers.double_buffer(reader, name="buffered"))
    arrays = [uniform("py_reader_named/" + step, 5, 2, 3, dtype="float64") for step in "01"]
    reader.decorate_tensor_provider(lambda: ([array] for array in arrays))
    reader.start()
    return Run([{}, {}], [x, fluid.layers.scale(x, 2.0)])


@case
def py_reader_by_data(fluid):
    """Shapes, dtypes and LoD levels of variables; a checked one and one that is not; two buffers."""
    x = fluid.data("x", [None, 3])
    ids = fluid.layers.data("ids", [1], dtype="int64", lod_level=1)
    label = fluid.layers.data("label", [1], dtype="int64")
    reader = fluid.layers.create_py_reader_by_data(4, [x, ids, label])
    x, ids, label = fluid.layers.read_file(fluid.layers.double_buffer(reader))
    reader.decorate_sample_list_generator(sample_lists("py_reader_by_data"))
    reader.start()
    return Run([{}, {}], [ids, classifier(fluid, x, label)])


@case
def py_reader_lod_tensors(fluid):
    """Batches as tensors, with two levels of LoD."""
    reader = fluid.layers.py_reader(4, [(-1, 2), (-1, 1)], ["float32", "int64"], lod_levels=[2, 0])
    x, label = fluid.layers.read_file(reader)
    tensor = fluid.create_lod_tensor(uniform("py_reader_lod_tensors", 5, 2), [[2, 0, 1], [1, 0, 4]], fluid.CPUPlace())
    reader.decorate_batch_generator(lambda: iter([(tensor, integers("py_reader_lod_tensors", 3, 3, 1))]))
    reader.start()
    return Run([{}], [x, fluid.layers.scale(x, 2.0), label])


@case
def py_reader_of_two_programs(fluid):
    """A program to train and one to test, each with a reader of its own, over the same parameters."""
    test, test_startup = fluid.Program(), fluid.Program()
    with fluid.program_guard(test, test_startup), fluid.unique_name.guard():
        reader = fluid.layers.py_reader(2, [(-1, 3), (-1, 1)], ["float32", "int64"], name="test")
        classifier(fluid, *fluid.layers.read_file(reader))
    reader = fluid.layers.py_reader(2, [(-1, 3), (-1, 1)], ["float32", "int64"], name="train")
    loss = classifier(fluid, *fluid.layers.read_file(reader))
    fluid.optimizer.SGD(0.5).minimize(loss)
    reader.decorate_paddle_reader(lambda: iter([[(x, label) for x, _, label in samples("two_programs", 5)]]))
    reader.start()
    return Run([{}], [loss, "fc_0.w_0"], programs={"test": test, "test_startup": test_startup})
