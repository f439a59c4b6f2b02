"""The benchmarks: every workload runs, the tables say what was measured, and a peer that fails spoils nothing."""

import ast
import importlib.util
import json
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
OWN = ["run", "workloads", "measure", "noise", "peer", "report", "figure", "c_floor"]
PEERS = ["worker", "batches", "fluid_programs", "fluidlite_side", "floor_side"]


@pytest.fixture
def load(monkeypatch):
    """Imports modules of benchmarks/ and benchmarks/peers/; they are forgotten at the end."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), str(FOLDER / "peers"), *sys.path])
    yield importlib.import_module
    for name in OWN + PEERS:
        sys.modules.pop(name, None)


@pytest.fixture
def run(load, monkeypatch):
    """`run.py` in an environment that slows nobody."""
    for name in load("report").SLOWING:
        monkeypatch.delenv(name, raising=False)
    return load("run")


@pytest.fixture
def script(tmp_path):
    """A function that makes an executable of a shell script: an interpreter that does what the test wants."""

    def make(name, text):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


def _sides(peer):
    sys.path.insert(0, str(FOLDER))
    try:
        rows = importlib.import_module("workloads")
        tiny = [rows.tiny(row) for row in rows.ROWS.values()]
        return [
            pytest.param(side, id=f"{row.name} {side.variant}".strip())
            for row in tiny
            for side in row.sides
            if side.peer == peer
        ]
    finally:
        sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("side", _sides("fluidlite"))
def test_fluidlite_runs_every_workload(load, side):
    step, batches, _ = load("fluidlite_side").build(side.workload)
    steps = load("worker").Steps(step, lambda s: None)
    assert len(steps.run(2)) == 2 and len(steps.run(1)) == 1 and steps.done == 3
    found = load("batches").describe(side.workload, batches)
    assert 1 <= found["touched"] <= 11 * 26 and found["crc"]
    assert found == load("batches").describe(side.workload, load("batches").make_batches(side.workload))


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("gradients", ["merged", "all"])
def test_floor_updates_like_adam(load, tmp_path, monkeypatch, threads, gradients):
    library, why = load("c_floor").build_floor(tmp_path)
    assert library, why
    side = load("floor_side")
    monkeypatch.setattr(side, "LIBRARY", str(library))
    workload = {"kind": "update", "V": 2000, "D": 7, "N": 1500, "gradients": gradients}
    side.set_threads(threads)
    step, batches, _ = side.build(workload)
    step(0)
    table, moment1, moment2 = side._tables.pop((2000, 7))
    rows, grad_rows = np.unique(batches[0]), np.sort(batches[0])
    grad = load("batches").update_grad(workload).astype(float)
    expected = np.zeros((2000, 7))
    if gradients == "all":
        np.add.at(expected, grad_rows, grad)
    else:
        expected[rows] = grad[: len(rows)]
    np.testing.assert_allclose(moment1, 0.1 * expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moment2, 0.001 * expected**2, rtol=1e-4, atol=1e-8)
    step_size = 0.01 * 0.1 * expected / (np.sqrt(0.001) * np.abs(expected) + 1e-8)
    np.testing.assert_allclose(table, -step_size, rtol=1e-3, atol=1e-5)


def test_one_run_writes_table_and_json(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- benchmarks: begin -->\nold\n<!-- benchmarks: end -->\nafter\n")
    raw = tmp_path / "raw.json"
    only = ["--only", "step-overhead", "memory", "threads"]
    assert run.main(["--tiny", "--no-floor", *only, "--json", str(raw), "--markdown", str(readme)]) == 0
    out, err = capsys.readouterr()
    for text in (out, err, readme.read_text()):
        assert "OPENBLAS_CORETYPE=Haswell is set" in text
    assert "| step: V=1,000, D=50, 20 ids (overhead)" in out
    assert "at most 12 us: " in out and "at least 12x PyTorch: - (not measured)" in out
    assert "2 threads at least 1.5x 1 thread: " in out and "at most 1.25x the table: " in out
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("<!-- benchmarks: end -->\nafter\n")
    assert "old" not in text
    assert "bar" in out.split("|---")[0] and "bar |" not in text, "bars are for those who work on it"
    titles = [line.split("|")[1:3] for line in out.splitlines() if line.startswith("| ")]
    assert len(titles) == 5 and all("|".join(cells) in text for cells in titles)
    rows = json.loads(raw.read_text())["rows"]
    side = rows["step-overhead"]["sides"]["fluidlite"]
    times = [ms for turn in side["turns"] for ms in turn["ms"]]
    assert side["median_ms"] == pytest.approx(np.median(times)) and {"loud", "others", "load"} <= set(side["turns"][0])
    assert rows["memory"]["memory"]["fluidlite"]["now"] > 5
    assert set(rows["threads"]["sides"]) == {"fluidlite 2 threads", "fluidlite 1 thread"}


def test_dead_peers_leave_a_line(run, script, capsys):
    # PyTorch dies at once; Fluid says hello, and dies when it has to build.
    torch = script("torch", "echo 'no such module' >&2; exit 3")
    fluid = script("fluid", """read line; echo '{"versions": {"Fluid": "0"}}'; read line; echo 'killed' >&2; exit 9""")
    only = ["--only", "step-overhead", "step-100k"]
    assert run.main(["--tiny", "--torch", torch, "--fluid", fluid, *only]) == 0
    out, err = capsys.readouterr()
    gone = "PyTorch: its process died in 'hello' (exit code 3): no such module; its column is left out"
    assert gone in out and gone in err
    assert "| PyTorch |" not in out
    for row in ("step-overhead", "step-100k"):
        assert f"{row}: Fluid 1.8.5: its process died in 'build' (exit code 9): killed" in out
    assert out.count("| step: ") == 2


def test_peer_that_does_not_answer(load, script):
    peer = load("peer")
    asleep = peer.Peer("torch", script("asleep", "exec sleep 30"), threads=1, timeout=0.2)
    with pytest.raises(peer.PeerError, match=r"PyTorch: no answer to 'hello' in 0\.2 s"):
        asleep.ask("hello")
    asleep.close()
    with pytest.raises(peer.PeerError, match="PyTorch: cannot start /nowhere/python: No such file"):
        peer.Peer("torch", "/nowhere/python", threads=1)


def test_peers_with_other_batches_are_not_compared(load, script):
    hello, other = '{"versions": {}}', '{"crc": 1, "touched": 2, "seconds": 0}'
    torch = script("torch", f"read a; echo '{hello}'; read a; echo '{other}'; read a; exit 1")
    measure, workloads = load("measure"), load("workloads")
    peers = {"fluidlite": measure.Interpreter(sys.executable), "torch": measure.Interpreter(torch)}
    settings = measure.Settings(rounds=1, turn_seconds=0.001, quiet_seconds=0, warm_seconds=0.1)
    figures = measure.measure_row(workloads.tiny(workloads.ROWS["step-overhead"]), peers, settings)
    assert figures.notes == ["PyTorch: its NumPy makes other batches from the same seed; nothing is compared"]
    assert figures.median("torch") is None and figures.median("fluidlite") > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "update-d65"], "no row is called 'update-d65'; there are: update-d16, update-d48"),
        (["--markdown", __file__ + ".md"], "has no lines <!-- benchmarks: begin -->"),
        (["--threads", "0"], "--threads is at least 1, but is 0"),
    ],
)
def test_bad_arguments(run, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run.main(arguments)
    assert message in capsys.readouterr().err


def test_rows_are_chosen_by_pattern(run):
    names = [row.name for row in run.chosen_rows(["update-*", "memory"])]
    assert names == ["update-d16", "update-d48", "update-d64", "update-d128", "update-d64-zipf", "memory"]
    assert len(run.chosen_rows(None)) == 18


def test_bars(load):
    w = load("workloads")
    figures = w.Figures(
        w.ROWS["update-d64"], times={"fluidlite": [2.0, 1.0, 9.0], "torch": [30.0, 29.0], "floor": [1.3]}
    )
    assert figures.median("fluidlite") == 2 and figures.median("torch") == 29.5
    assert figures.bars() == [
        ("at least 15x PyTorch", False, "14.8x"),
        ("at most 1.25x C floor + 0.35 ms", False, "2 of 1.98 ms"),
    ]
    height = w.Figures(w.ROWS["height"])
    for variant, ms, touched in (("V=100k", 1.0, 10), ("V=1M", 2.0, 20), ("V=10M", 3.3, 20)):
        height.times[f"fluidlite {variant}"], height.touched[f"fluidlite {variant}"] = [ms], touched
    assert height.bars() == [("V=100k, V=1M, V=10M: flat within 1.6x", False, "1.65x")]
    memory = w.Figures(w.ROWS["memory"], memory={"fluidlite": {"now": 790.0, "table": 640.0}})
    assert memory.bars() == [("at most 1.25x the table", True, "1.23x")]


def test_table_of_peers(load):
    report, w, run = load("report"), load("workloads"), load("run")
    machine = {"cpu": "a CPU", "cores": 2, "os": "an OS", "arch": "x86", "date": "2000-01-02"}
    done = run.Run(load("measure").Settings(), machine, [], {"fluidlite": "1"}, dict.fromkeys(w.LABELS))
    loud, quiet = {"loud": True}, {"loud": False}
    times = {"fluidlite": [0.012], "torch": [0.18], "fluid": [0.6]}
    done.figures = [w.Figures(w.ROWS["step-overhead"], times=times, turns={"torch": [loud, quiet, quiet, loud]})]
    text = report.markdown(done)
    assert "| work | fluidlite | PyTorch | ratio | Fluid 1.8.5 | ratio | C floor | bar |" in text
    assert "(overhead) † | 0.0120 | 0.180 | 15.0x | 0.600 | 50.0x |  | at least 12x PyTorch: yes (15x); " in text
    assert "Fluid 1.8.5 has no SparseAdam" in text and "quarter of the turns of: step-overhead" in text
    assert text.startswith("a CPU, 2 cores, an OS x86; fluidlite 1; 2 threads; 2000-01-02.")


def test_environment_warnings(load):
    warnings = load("report").environment_warnings
    assert warnings(2, {"OMP_NUM_THREADS": "2", "FLUIDLITE_NO_FUSE": "0", "HOME": "/"}) == []
    found = warnings(2, {"OMP_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Zen", "FLUIDLITE_NO_FUSE": "1"})
    assert [line.split("=")[0] for line in found] == ["OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "FLUIDLITE_NO_FUSE"]


def test_what_does_not_fit_into_memory_is_left_out(load, monkeypatch):
    measure, w = load("measure"), load("workloads")
    monkeypatch.setattr(measure, "_available_bytes", lambda: 3_000_000_000)
    figures = w.Figures(w.ROWS["height"])
    kept = measure._that_fit(figures, list(figures.row.sides))
    assert [side.variant for side in kept] == ["V=100k", "V=300k", "V=1M", "V=3M"]
    assert {side.workload["room"] for side in kept} == {3_000_000}
    assert figures.notes == ["left out (9.2 GB needed, 3.0 GB free): fluidlite V=10M"]


def test_machine_without_a_compiler(load, tmp_path):
    build = load("c_floor").build_floor
    assert build(tmp_path, "/nowhere/cc") == (
        None,
        "C floor: cannot start /nowhere/cc: No such file or directory; its column is left out",
    )
    library, why = build(tmp_path, "false")
    assert library is None and why.startswith("C floor: false cannot build it")


def test_numbers(load):
    number = load("report").number
    values = (None, 0.01234, 0.1234, 1.234, 12.34, 123.4, 1234.5)
    assert [number(v) for v in values] == ["", "0.0123", "0.123", "1.23", "12.3", "123", "1,234"]


def test_workers_speak_python_37():
    for path in (FOLDER / "peers").glob("*.py"):
        if path.name not in ("fluidlite_side.py", "torch_side.py", "floor_side.py"):
            ast.parse(path.read_text(), filename=str(path), feature_version=(3, 7))


def test_plot_without_matplotlib(run, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        run.main(["--plot", "cost.png"])
    assert "--plot needs matplotlib: pip install matplotlib" in capsys.readouterr().err


def test_points_of_the_plot(load):
    w = load("workloads")
    figures = w.Figures(w.ROWS["height"])
    for variant, ms in (("V=100k", 0.004), ("V=10M", 0.006)):
        figures.times[f"fluidlite {variant}"], figures.touched[f"fluidlite {variant}"] = [ms], 100
    found = load("figure").points(figures, "V")
    assert found == {"fluidlite": ([100_000, 10_000_000], [pytest.approx(40), pytest.approx(60)])}


def test_plot(load, tmp_path):
    pytest.importorskip("matplotlib")
    w = load("workloads")
    both = [w.Figures(w.ROWS[name]) for name in ("height", "batch")]
    for figures in both:
        for side in figures.row.sides:
            figures.times[side.key], figures.touched[side.key] = [1e-4 * side.workload["N"]], side.workload["N"]
    path = tmp_path / "cost.png"
    load("figure").draw(*both, path, "a machine")
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
