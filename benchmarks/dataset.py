"""How quickly a dataset is read: Criteo-shaped lines through train_from_dataset, beside real Fluid 1.8.5.

    python benchmarks/dataset.py                       # fluidlite alone
    python benchmarks/dataset.py --fluid PYTHON        # and Fluid, in the interpreter that has paddlepaddle 1.8.5

A line has 13 dense float slots, 26 sparse int64 slots and a label; the program is the mean of the label. `cat` reads
MultiSlot text; `pipe` makes it of raw lines with a Python generator, whose own time is the row `pipe alone`. Seconds
are those of train_from_dataset, best of all passes; the sides take turns. This file also runs in Python 3.7.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time

N_DENSE, N_SPARSE = 13, 26


def raw_line(rng):
    """Label, 13 numbers and 26 hashed categories, separated by tabs."""
    dense = [str(int(rng.expovariate(0.01))) for _ in range(N_DENSE)]
    return "\t".join([str(rng.randrange(2)), *dense, *(f"{rng.getrandbits(32):08x}" for _ in range(N_SPARSE))])


def slots_of(line):
    """The (name, values) pairs of one raw line."""
    fields = line.rstrip("\n").split("\t")
    dense = [(f"d{i}", [float(v) / 1300.0]) for i, v in enumerate(fields[1 : 1 + N_DENSE])]
    sparse = [(f"s{i}", [int(v, 16) % 1000001]) for i, v in enumerate(fields[1 + N_DENSE :])]
    return dense + sparse + [("label", [int(fields[0])])]


def write_files(folder, n_lines):
    """raw.txt and slots.txt with the same samples."""
    rng = random.Random(1)
    raw, slots = os.path.join(folder, "raw.txt"), os.path.join(folder, "slots.txt")
    with open(raw, "w") as raw_file, open(slots, "w") as slots_file:
        for _ in range(n_lines):
            line = raw_line(rng)
            raw_file.write(line + "\n")
            text = " ".join("{} {}".format(len(v), " ".join(map(str, v))) for _, v in slots_of(line))
            slots_file.write(text + "\n")
    return raw, slots


def import_fluid(side):
    if side == "fluid":
        import paddle.fluid as fluid
    else:
        import fluidlite as fluid
    return fluid


def generate(side):
    """What the pipe command does: raw lines from stdin, MultiSlot text to stdout."""
    if side == "fluid":
        from paddle.fluid.incubate.data_generator import MultiSlotDataGenerator
    else:
        from fluidlite.incubate.data_generator import MultiSlotDataGenerator

    class Generator(MultiSlotDataGenerator):
        def generate_sample(self, line):
            def samples():
                yield slots_of(line)

            return samples

    Generator().run_from_stdin()


def work(side, path, command, batch_size):
    """Answers each line of stdin with the seconds of one pass over the file."""
    fluid = import_fluid(side)
    dense = [fluid.layers.data(f"d{i}", [1]) for i in range(N_DENSE)]
    sparse = [fluid.layers.data(f"s{i}", [1], dtype="int64", lod_level=1) for i in range(N_SPARSE)]
    label = fluid.layers.data("label", [1], dtype="int64")
    mean = fluid.layers.mean(label.astype("float32"))
    mean.persistable = True  # or there would be nothing to do without a fetch
    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(fluid.default_startup_program())
    for _ in sys.stdin:
        dataset = fluid.DatasetFactory().create_dataset("QueueDataset")
        dataset.set_use_var(dense + sparse + [label])
        dataset.set_batch_size(batch_size)
        dataset.set_thread(1)
        dataset.set_filelist([path])
        dataset.set_pipe_command(command)
        start = time.perf_counter()
        exe.train_from_dataset(fluid.default_main_program(), dataset)
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


class Worker:
    """A side in a process of its own."""

    def __init__(self, side, python, path, command, batch_size, folder):
        self.process = subprocess.Popen(
            [python, os.path.abspath(__file__), "--work", side, path, command, "--batch-size", str(batch_size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
            cwd=folder,  # Fluid leaves files where it runs
        )

    def seconds(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)["seconds"]
        raise SystemExit("a worker died")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def pipe_seconds(command, path):
    start = time.perf_counter()
    with open(path, "rb") as file:
        subprocess.run(command, shell=True, stdin=file, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def measure(args, folder):
    """{row: seconds of each round}."""
    raw, slots = write_files(folder, args.lines)
    pythons = {"fluidlite": sys.executable}
    if args.fluid:
        pythons["fluid"] = args.fluid
    commands = {s: f"{p} {os.path.abspath(__file__)} --generate {s}" for s, p in pythons.items()}
    workers, seconds = {}, {}
    try:
        for side, python in pythons.items():
            for what, path, command in (("cat", slots, "cat"), ("pipe", raw, commands[side])):
                if what in args.only:
                    workers[side, what] = Worker(side, python, path, command, args.batch_size, folder)
        for turn in range(args.rounds + 1):
            for key, worker in workers.items():
                seconds.setdefault(key, []).append(worker.seconds())
                if key[1] == "pipe":
                    seconds.setdefault((key[0], "pipe alone"), []).append(pipe_seconds(commands[key[0]], raw))
            if turn == 0:
                seconds.clear()  # the files were not in memory yet
    finally:
        for worker in workers.values():
            worker.close()
    return seconds


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fluid", metavar="PYTHON", help="an interpreter with paddlepaddle 1.8.5")
    parser.add_argument("--lines", type=int, default=200000)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=("cat", "pipe"), default=("cat", "pipe"))
    parser.add_argument("--work", nargs=3, metavar=("SIDE", "FILE", "COMMAND"), help=argparse.SUPPRESS)
    parser.add_argument("--generate", metavar="SIDE", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.generate:
        return generate(args.generate)
    if args.work:
        return work(*args.work, batch_size=args.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(args, folder)
    for (side, what), values in sorted(seconds.items()):
        best = min(values)
        print(f"{side:10} {what:10} {best:8.3f} s {args.lines / best:12,.0f} lines/s")
    return None


if __name__ == "__main__":
    main()
