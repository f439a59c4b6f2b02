"""Measures every row of the benchmark table: `python benchmarks/run.py`.

usage: python benchmarks/run.py [--torch PYTHON] [--fluid PYTHON] [--only NAME ...] [--quick] [--json FILE]
                                [--markdown FILE] [--plot FILE.png]

The peers are other interpreters: one with PyTorch, and a Python 3.7 with paddlepaddle 1.8.5. All peers take turns, so
that one table compares what was measured in the same minutes.
"""

import argparse
import fnmatch
import importlib.util
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import figure  # noqa: E402
import report  # noqa: E402
from c_floor import build_floor  # noqa: E402
from measure import QUICK, Interpreter, Settings, measure_row, say, versions_of  # noqa: E402
from peer import PeerError  # noqa: E402
from workloads import FLOOR, FLUID, OURS, ROWS, TORCH, tiny  # noqa: E402


@dataclass
class Run:
    """One run of the benchmark, for the report."""

    settings: Settings
    machine: dict
    warnings: list
    versions: dict = field(default_factory=dict)
    peers: dict = field(default_factory=dict)
    figures: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    title_note: str = ""


def parse(arguments):
    parser = argparse.ArgumentParser(
        description="Benchmarks of fluidlite, beside PyTorch, Fluid 1.8.5 and a C floor. Rows: " + ", ".join(ROWS)
    )
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter that has PyTorch")
    parser.add_argument("--fluid", metavar="PYTHON", help="a Python 3.7 that has paddlepaddle 1.8.5")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows to run; * and ? match")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and end")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and steps")
    parser.add_argument("--tiny", action="store_true", help="tables of some rows: whether it runs, not how fast")
    parser.add_argument("--threads", type=int, help="threads of every peer (default: 2, or 1 on one core)")
    parser.add_argument("--no-floor", action="store_true", help="do not build the C floor")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds that a peer may take to answer")
    parser.add_argument("--json", metavar="FILE", help="write everything measured, raw")
    parser.add_argument("--markdown", metavar="FILE", help=f"put the table between {report.BEGIN} and {report.END}")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the cost against height and batch (matplotlib)")
    options = parser.parse_args(arguments)
    try:
        options.rows = chosen_rows(options.only)
    except ValueError as error:
        parser.error(str(error))
    if options.plot:
        if importlib.util.find_spec("matplotlib") is None:
            parser.error("--plot needs matplotlib: pip install matplotlib")
        options.rows += [ROWS[name] for name in ("height", "batch") if ROWS[name] not in options.rows]
    if options.markdown:
        path = Path(options.markdown)
        if not path.exists() or not report.has_markers(path.read_text(encoding="utf-8")):
            parser.error(f"--markdown: {path} has no lines {report.BEGIN} and {report.END}")
    if options.threads is not None and options.threads < 1:
        parser.error(f"--threads is at least 1, but is {options.threads}")
    return options


def chosen_rows(only):
    """The rows that match, in the order of the table."""
    if only is None:
        return list(ROWS.values())
    for pattern in only:
        if not fnmatch.filter(ROWS, pattern):
            raise ValueError(f"no row is called {pattern!r}; there are: {', '.join(ROWS)}")
    return [row for name, row in ROWS.items() if any(fnmatch.fnmatch(name, pattern) for pattern in only)]


def settings_of(options, cores):
    changed = dict(QUICK) if options.quick else {}
    if options.tiny:
        changed = {**QUICK, "rounds": 1, "turn_seconds": 0.001, "quiet_seconds": 0.0, "warm_seconds": 0.1}
    return Settings(**changed, threads=options.threads or min(2, cores), timeout=options.timeout)


def interpreters_of(options, folder, notes):
    """{peer: Interpreter} in the order of turns."""
    found = {OURS: Interpreter(sys.executable)}
    if options.torch:
        found[TORCH] = Interpreter(options.torch)
    if options.fluid:
        found[FLUID] = Interpreter(options.fluid)
    needed = any(side.peer == FLOOR for row in options.rows for side in row.sides)
    if needed and not options.no_floor:
        library, why = build_floor(folder)
        if library:
            found[FLOOR] = Interpreter(sys.executable, (("FLUIDLITE_BENCHMARK_FLOOR", str(library)),))
        else:
            notes.append(why)
            say(why)
    return found


def measure(options, folder):
    """A Run of all rows asked for."""
    machine = report.machine()
    settings = settings_of(options, machine["cores"])
    run = Run(settings, machine, report.environment_warnings(settings.threads))
    for line in run.warnings:
        say(f"warning: {line}")
    if options.tiny:
        run.title_note = "**Tiny sizes: these times mean nothing.**"
    elif options.quick:
        run.title_note = "A quick run: few steps, wide margins."
    interpreters = interpreters_of(options, folder, run.notes)
    run.versions, run.peers, notes = versions_of(interpreters, settings)
    run.notes += notes
    for row in options.rows:
        say(f"{row.name}: {row.title}")
        run.figures.append(measure_row(tiny(row) if options.tiny else row, run.peers, settings))
    return run


def write(run, options):
    table = report.markdown(run)
    print(table, end="", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(report.as_json(run), indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        path = Path(options.markdown)
        table = report.markdown(run, bars=False)
        path.write_text(report.between_markers(path.read_text(encoding="utf-8"), table), encoding="utf-8")
    if options.plot:
        by_name = {figures.row.name: figures for figures in run.figures}
        machine = run.machine
        caption = f"row update, {machine['cpu']}, {run.settings.threads} threads, medians, {machine['date']}"
        figure.draw(by_name["height"], by_name["batch"], options.plot, caption)


def main(arguments=None):
    options = parse(arguments)
    if options.list:
        print("\n".join(f"{row.name:20} {row.title}" for row in ROWS.values()))
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = measure(options, folder)
    except PeerError as error:
        say(f"{error}\nfluidlite itself does not run: install it, or build it in place.")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    write(run, options)
    return 0 if all(not lost_ours(figures) for figures in run.figures) else 1


def lost_ours(figures):
    """Whether fluidlite itself failed in a row."""
    wanted = any(side.peer == OURS for side in figures.row.sides)
    return wanted and OURS not in figures.memory and not any(key.split()[0] == OURS for key in figures.times)


if __name__ == "__main__":
    sys.exit(main())
