"""The tables, the JSON, and what a reader has to know about the machine."""

import datetime
import os
import platform
import re
import subprocess

from workloads import FLOOR, FLUID, LABELS, OURS, TORCH

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
LOUD_ROW = 0.25

# What slows one side and not the others.
SLOWING = {
    "OPENBLAS_CORETYPE": "NumPy's matrix products, and with them fluidlite's n-gram and DeepFM rows, may be slower",
    "OPENBLAS_NUM_THREADS": "NumPy's matrix products use that many threads",
    "OMP_NUM_THREADS": "BLAS, PyTorch's and Fluid's kernels may use other numbers of threads than fluidlite",
    "MKL_NUM_THREADS": "PyTorch's and Fluid's matrix products use that many threads",
    "OMP_WAIT_POLICY": "it changes how PyTorch's and Fluid's threads wait",
    "GOMP_SPINCOUNT": "it changes how PyTorch's threads wait",
    "KMP_BLOCKTIME": "it changes how Fluid's threads wait",
    "FLUIDLITE_CPU": "fluidlite may use less of the CPU than it could",
    "FLUIDLITE_NO_FUSE": "fluidlite fuses no ops",
    "FLAGS_check_nan_inf": "every output is searched for NaN",
}


def environment_warnings(threads, environment=os.environ):
    """A line for each variable that is set and slows one side, or makes the sides unequal."""
    lines = []
    for name, why in SLOWING.items():
        value = environment.get(name, "")
        same = name.endswith("_NUM_THREADS") and value == str(threads)
        if value and not same and not (name.startswith("FL") and value == "0"):
            lines.append(f"{name}={value} is set: {why}. Ratios are fair with it unset.")
    return lines


def cpu_model():
    try:
        with open("/proc/cpuinfo") as info:
            found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", info.read(), re.MULTILINE)
        if found:
            return found.group(1)
    except OSError:
        pass
    try:
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return platform.machine()


def machine():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": cpu_model(),
        "cores": cores,
        "os": f"{platform.system()} {platform.release()}",
        "arch": platform.machine(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }


def number(value):
    """Three significant digits, and no exponent."""
    if value is None:
        return ""
    digits = max(0, 3 - len(str(int(abs(value))))) if abs(value) >= 1 else 3 if abs(value) >= 0.1 else 4
    return f"{value:,.{digits}f}"


def markdown(run, bars=True):
    """Everything for the reader, as Markdown; without `bars`, and what only a figure shows well, for the README."""
    measured = [f for f in run.figures if bars or f.row.name != "batch"]
    parts = [_header(run)]
    peers = [f for f in measured if f.row.kind == "peers"]
    if peers:
        parts.append(_peer_table(peers, run.peers, bars))
    others = [f for f in measured if f.row.kind != "peers"]
    if others:
        lines = [_line(_marked(f), _own_cell(f), *([_bar_cell(f)] * bars)) for f in others]
        parts.append("\n".join([_line("work", "measured", *["bar"] * bars), "|---|---|" + "---|" * bars, *lines]))
    parts.append("\n".join(f"* {note}" for note in _notes(run)))
    return "\n\n".join(parts) + "\n"


def _header(run):
    machine = run.machine
    names = ", ".join(f"{name} {version}" for name, version in run.versions.items() if name != LABELS[FLOOR])
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['os']} {machine['arch']}; {names}; "
        f"{run.settings.threads} threads; {machine['date']}. Medians in milliseconds, "
        f"{run.settings.rounds} interleaved rounds."
    )


def _line(*cells):
    return f"| {' | '.join(cells)} |"


def _marked(figures):
    return figures.row.title + (" †" if figures.loud_share() > LOUD_ROW else "")


def _peer_table(measured, peers, bars):
    shown = [peer for peer in (TORCH, FLUID) if peer in peers]
    head = ["work", "fluidlite"]
    for peer in shown:
        head += [LABELS[peer], "ratio"]
    head += [LABELS[FLOOR]] * (FLOOR in peers)
    lines = [_line(*head, *["bar"] * bars), "|---" + "|---:" * (len(head) - 1) + "|" + "---|" * bars]
    for figures in measured:
        ours = figures.median(OURS)
        cells = [_marked(figures), number(ours)]
        for peer in shown:
            theirs = figures.median(peer)
            both = ours is not None and theirs is not None
            cells += [number(theirs), f"{number(theirs / ours)}x" if both else ""]
        cells += [number(figures.median(FLOOR))] * (FLOOR in peers)
        lines.append(_line(*cells, *[_bar_cell(figures)] * bars))
    return "\n".join(lines)


def _bar_cell(figures):
    words = {True: "yes", False: "**no**", None: "-"}
    return "; ".join(f"{text}: {words[reached]} ({found})" for text, reached, found in figures.bars())


def _own_cell(figures):
    row = figures.row
    if row.kind == "memory":
        cells = [
            f"{LABELS[peer]} {found['now']:,.0f} MB (peak {found['peak']:,.0f}, before {found['before']:,.0f})"
            for peer, found in figures.memory.items()
        ]
        return "; ".join(cells + [f"table {found['table']:,.0f} MB" for found in list(figures.memory.values())[:1]])
    by_peer = {}
    for side in row.sides:
        median = figures.median(side.peer, side.variant)
        if median is not None:
            cost = figures.cost_per_row(side.peer, side.variant)
            text = f"{cost:,.0f} ns" if row.per_row else f"{number(median)} ms"
            by_peer.setdefault(side.peer, []).append(f"{side.variant} {text}")
    unit = ", for each row touched" if row.per_row else ""
    return "; ".join(f"{LABELS[peer]}{unit}: {', '.join(cells)}" for peer, cells in by_peer.items())


def _notes(run):
    notes = [f"**{line}**" for line in run.warnings]
    if run.title_note:
        notes.append(run.title_note)
    if any(f.row.name.startswith("step") for f in run.figures) and FLUID in run.peers:
        notes.append(
            "Step rows: embedding, sum of squares, SparseAdam. Fluid 1.8.5 has no SparseAdam and runs "
            "`Adam(lazy_mode=True)`, which touches the same rows. n-gram and DeepFM are `Adam(lazy_mode=True)` in "
            "fluidlite and Fluid, SparseAdam for the tables and Adam for the rest in PyTorch."
        )
    elif any(f.row.name.startswith(("step", "ngram", "deepfm")) for f in run.figures):
        notes.append(
            "Step rows: embedding, sum of squares, SparseAdam. n-gram and DeepFM: `Adam(lazy_mode=True)` in fluidlite, "
            "SparseAdam for the tables and Adam for the rest in PyTorch."
        )
    if FLOOR in run.peers:
        notes.append("C floor: rows given sorted and unique, one gradient row for each, in order; no merge, no checks.")
    for figures in run.figures:
        for side in figures.row.sides:
            median = figures.median(side.peer, side.variant)
            if figures.row.kind == "peers" and side.variant and median is not None:
                notes.append(f"{figures.row.title}: {LABELS[side.peer]} with {side.variant}: {number(median)} ms.")
        if figures.memory:
            sources = {found["source"] for found in figures.memory.values()}
            notes.append(f"Resident memory of whole processes, interpreter included, by {', '.join(sorted(sources))}.")
    notes += [f"{f.row.name}: {note}." for f in run.figures for note in f.notes]
    notes += [f"{note}." for note in run.notes]
    loud = [f.row.name for f in run.figures if f.loud_share() > LOUD_ROW]
    if loud:
        notes.append(
            f"† Other processes took part of the cores in more than a quarter of the turns of: {', '.join(loud)}."
        )
    elif any(f.turns for f in run.figures):
        notes.append("Quiet: other processes left the cores alone in three quarters or more of the turns of every row.")
    return notes


def as_json(run):
    """Everything measured, raw: every step of every turn."""
    rows = {}
    for figures in run.figures:
        sides = {}
        for side in figures.row.sides:
            median = figures.median(side.peer, side.variant)
            sides[side.key] = {
                "peer": side.peer,
                "variant": side.variant,
                "threads": side.threads or run.settings.threads,
                "workload": side.workload,
                "median_ms": median,
                "touched_rows": figures.touched.get(side.key),
                "turns": figures.turns.get(side.key, []),
            }
        ours = figures.median(OURS)
        rows[figures.row.name] = {
            "title": figures.row.title,
            "sides": sides,
            "ratios": {
                peer: figures.median(peer) / ours for peer in (TORCH, FLUID, FLOOR) if ours and figures.median(peer)
            },
            "bars": [{"bar": text, "reached": reached, "found": found} for text, reached, found in figures.bars()],
            "memory": figures.memory,
            "loud_share": figures.loud_share(),
            "notes": figures.notes,
        }
    return {
        "machine": run.machine,
        "versions": run.versions,
        "settings": vars(run.settings),
        "environment_warnings": run.warnings,
        "notes": run.notes,
        "rows": rows,
    }


def has_markers(text):
    return 0 <= text.find(BEGIN) < text.find(END)


def between_markers(text, table):
    """`text` with everything between the two markers replaced by the table."""
    return f"{text[: text.index(BEGIN)]}{BEGIN}\n\n{table}\n{text[text.index(END) :]}"
