"""Models that cross between Fluid 1.8.5 and fluidlite.

``python tests/golden/record_models.py record`` (Fluid): trains the models of golden/models.py and saves them in every
way, to ``data/models/<name>.tar.xz``, with their predictions and later losses.
``... write FOLDER`` (fluidlite): loads what was recorded, and saves it again in every way.
``... check FOLDER`` (Fluid): loads what fluidlite wrote, and compares predictions and later losses.

Fluid needs Python 3.7 with ``paddlepaddle==1.8.5``, ``protobuf<3.21`` and ``numpy<1.20``.
"""

import json
import os
import sys
import tarfile
import tempfile

import numpy

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from golden.models import BEFORE, MODELS  # noqa: E402
from golden.replay import feed_value  # noqa: E402

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "models")


class Built:
    """A model in programs, a scope and an executor of its own."""

    def __init__(self, fluid, name):
        self.fluid, self.exe = fluid, fluid.Executor(fluid.CPUPlace())
        self.main, self.startup, self.scope = fluid.Program(), fluid.Program(), fluid.Scope()
        self.startup.random_seed = 7
        with fluid.program_guard(self.main, self.startup), fluid.unique_name.guard():
            self.model = MODELS[name](fluid)

    def start(self):
        with self.fluid.scope_guard(self.scope):
            self.exe.run(self.startup)

    def train(self, feeds):
        """The loss of every step, as numbers."""
        feeds = [feed_values(self.fluid, feed) for feed in feeds]
        with self.fluid.scope_guard(self.scope):
            results = [self.exe.run(self.main, feed=feed, fetch_list=[self.model.loss]) for feed in feeds]
        return [float(loss[0]) for (loss,) in results]

    def save(self, folder):
        """Every way to save, each into a folder of its own."""
        io, exe, main, model = self.fluid.io, self.exe, self.main, self.model
        with self.fluid.scope_guard(self.scope):
            io.save_persistables(exe, os.path.join(folder, "persistables"), main)
            io.save_persistables(exe, os.path.join(folder, "combined"), main, filename="all")
            self.fluid.save(main, os.path.join(folder, "state", "model"))
            for kind, files in (("inference", ()), ("inference_combined", ("m", "p"))):
                # Fluid appends to the program, and counts on.
                copy = main.clone()
                targets = [copy.global_block().var(model.prediction.name)]
                with self.fluid.unique_name.guard():
                    io.save_inference_model(os.path.join(folder, kind), model.inputs, targets, exe, copy, *files)


def feed_values(fluid, feed):
    return {name: feed_value(fluid, value) for name, value in feed.items()}


def predict(fluid, folder, feed, *files):
    """The first target of a model saved for inference, loaded into a scope of its own."""
    exe, scope = fluid.Executor(fluid.CPUPlace()), fluid.Scope()
    with fluid.scope_guard(scope):
        program, names, targets = fluid.io.load_inference_model(folder, exe, *files)
        feed = feed_values(fluid, {name: feed[name] for name in names})
        return numpy.array(exe.run(program, feed=feed, fetch_list=targets, return_numpy=False)[0])


def record(fluid):
    # What Fluid says about where an op was made is no part of the model.
    fluid.framework.traceback.format_stack = lambda: ["", '  File "model.py", line 1, in build\n    build()\n'][::-1]
    if not os.path.isdir(DATA):
        os.makedirs(DATA)
    for name in MODELS:
        built = Built(fluid, name)
        built.start()
        built.train(built.model.feeds[:BEFORE])
        with tempfile.TemporaryDirectory() as folder:
            built.save(folder)
            prediction = predict(fluid, os.path.join(folder, "inference"), built.model.prediction_feed())
            losses = built.train(built.model.feeds[BEFORE:])
            expected = {"prediction": numpy.asarray(prediction, "float64").tolist(), "losses": losses}
            with open(os.path.join(folder, "expected.json"), "w") as file:
                json.dump(expected, file)
            pack(folder, os.path.join(DATA, name + ".tar.xz"))


def pack(folder, path):
    with tarfile.open(path, "w:xz") as archive:
        for root, _, files in sorted(os.walk(folder)):
            for file in sorted(files):
                full = os.path.join(root, file)
                info = tarfile.TarInfo(os.path.relpath(full, folder).replace(os.sep, "/"))
                info.size = os.path.getsize(full)
                with open(full, "rb") as content:
                    archive.addfile(info, content)


def unpack(name, folder):
    """The recorded files of a model in a folder, and what was expected of it."""
    with tarfile.open(os.path.join(DATA, name + ".tar.xz")) as archive:
        for info in archive:
            full = os.path.join(str(folder), *info.name.split("/"))
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as file:
                file.write(archive.extractfile(info).read())
    with open(os.path.join(str(folder), "expected.json")) as file:
        return json.load(file)


def write(fluid, folder):
    for name in MODELS:
        built = Built(fluid, name)
        with tempfile.TemporaryDirectory() as recorded:
            unpack(name, recorded)
            with fluid.scope_guard(built.scope):
                fluid.io.load_persistables(built.exe, os.path.join(recorded, "persistables"), built.main)
        built.save(os.path.join(folder, name))


def check(fluid, folder):
    for name in MODELS:
        with tempfile.TemporaryDirectory() as recorded:
            expected = unpack(name, recorded)
        ours = os.path.join(folder, name)
        for kind, files in (("inference", ()), ("inference_combined", ("m", "p"))):
            feed = Built(fluid, name).model.prediction_feed()
            prediction = predict(fluid, os.path.join(ours, kind), feed, *files)
            numpy.testing.assert_allclose(prediction, expected["prediction"], rtol=0, atol=1e-5)
        for kind in ("persistables", "combined", "state"):
            built = Built(fluid, name)
            built.start()
            with fluid.scope_guard(built.scope):
                if kind == "state":
                    fluid.load(built.main, os.path.join(ours, "state", "model"), built.exe)
                else:
                    filename = "all" if kind == "combined" else None
                    fluid.io.load_persistables(built.exe, os.path.join(ours, kind), built.main, filename)
            losses = built.train(built.model.feeds[BEFORE:])
            numpy.testing.assert_allclose(losses, expected["losses"], rtol=0, atol=1e-6)
        # The whole program of fluidlite, trained by Fluid.
        with open(os.path.join(ours, "state", "model.pdmodel"), "rb") as file:
            program = fluid.Program.parse_from_string(file.read())
        built = Built(fluid, name)
        with fluid.scope_guard(built.scope):
            fluid.io.load_persistables(built.exe, os.path.join(ours, "persistables"), program)
        loss, built.main = built.model.loss.name, program
        built.model.loss = loss
        losses = built.train(built.model.feeds[BEFORE:])
        numpy.testing.assert_allclose(losses, expected["losses"], rtol=0, atol=1e-6)
        sys.stderr.write(f"{name}: Fluid agrees\n")


def main(action, *arguments):
    if action == "write":
        import fluidlite as fluid
    else:
        import paddle.fluid as fluid
    {"record": record, "write": write, "check": check}[action](fluid, *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
