"""DeepFM on 1, 2 and 4 ranks of one machine: examples per second, and bytes and time of a step.

    python benchmarks/distributed.py [--rounds 5] [--json FILE]
    python benchmarks/distributed.py --table [--rounds 5] [--steps 60]

Two ranks with one thread each are measured in turn with one process with two threads. What a rank sends is compared
with what it has to send: the ids of rows that others own, those rows, their gradients, and the dense parameters.

``--table`` measures 1, 2 and 4 ranks with one thread each for some widths and batches, and says by a model what more
ranks, one on a machine, would send and take; see `modelled`.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))

CYCLE = 8
WIDTHS, BATCHES, RANKS, MODELLED = (16, 64), (256, 1024), (1, 2, 4), (8, 16, 64)
# Of the model: bytes per second of a link in each direction, and seconds that a message costs beside its bytes.
LINKS, LATENCY = {"10 Gbit/s": 1.25e9, "25 Gbit/s": 3.125e9}, 10e-6
# In a step: the two rounds, ids, rows, gradients, and the two halves of a sum over all ranks.
COLLECTIVES = 7


def measure_rank(workload):
    """One rank's part of a job: trains for some seconds, and prints what rank 0 knows."""
    import fluid_programs
    import numpy as np
    from batches import make_batches

    import fluidlite as fluid
    from fluidlite import distributed

    job = distributed.start()
    fluid.set_num_threads(workload["threads"])
    main, startup = fluid.Program(), fluid.Program()
    with fluid.program_guard(main, startup):
        loss = fluid_programs.build_deepfm(fluid, workload)
        fluid.optimizer.Adam(0.001, lazy_mode=True).minimize(loss)
    job.distribute(main)
    exe = fluid.Executor()
    exe.run(startup)
    share = workload["N"] // job.size
    part = slice(job.rank * share, (job.rank + 1) * share)
    batches = make_batches(workload)
    feeds = [fluid_programs.feed_of(workload, tuple(np.ascontiguousarray(a[part]) for a in batch)) for batch in batches]
    for step in range(2 * CYCLE):
        exe.run(main, feed=feeds[step % CYCLE], fetch_list=[loss])
    before, begun, times = job.stats(), time.perf_counter(), []
    n_steps = workload["steps"]
    for step in range(n_steps):
        start = time.perf_counter()
        exe.run(main, feed=feeds[step % CYCLE], fetch_list=[loss])
        times.append(time.perf_counter() - start)
    took, after = time.perf_counter() - begun, job.stats()
    sent = (after["bytes_sent"] - before["bytes_sent"]) / n_steps
    received = (after["bytes_received"] - before["bytes_received"]) / n_steps
    n_dense = sum(int(np.prod(p.shape)) for p in main.all_parameters() if not p.is_distributed)
    remote = statistics.mean(_remote_ids(feed["ids"], job) for feed in feeds)
    unique = statistics.mean(len(np.unique(feed["ids"])) for feed in feeds)
    sums = job.all_gather((sent, received, remote, unique))
    job.finish()
    if job.rank == 0:
        sent, received, remote, unique = (statistics.mean(column) for column in zip(*sums, strict=True))
        least = bytes_of_step(remote, workload["D"], n_dense) if job.size > 1 else 0
        result = {
            "ranks": job.size,
            "examples": n_steps * share * job.size / took,
            "median": statistics.median(times) * 1e3,
            "sent": sent,
            "received": received,
            "remote": remote,
            "unique": unique,
            "least": least,
            "n_dense": n_dense,
        }
        sys.stdout.write(json.dumps(result) + "\n")


def bytes_of_step(remote, width, n_dense):
    """What a rank sends in a step, and what it gets.

    Out: the ids of both tables, the rows that others ask for, gradients, dense gradients and their sums; in: the same.
    """
    return remote * (2 * 8 + 2 * 4 * (width + 1)) + 2 * 4 * n_dense


def _remote_ids(ids, job):
    import numpy as np

    from fluidlite.distributed import owner_of

    return int((owner_of(np.unique(ids), job.size) != job.rank).sum())


def run_job(ranks, threads, workload, any_ids=True):
    """The result of one job."""
    from fluidlite.distributed import launch

    workload = {**workload, "threads": threads, "is_distributed": any_ids}
    env = {**os.environ, **launch.as_root(), "OPENBLAS_NUM_THREADS": str(threads)}
    env.pop("OPENBLAS_CORETYPE", None)
    command = [sys.executable, __file__, "--rank", json.dumps(workload)]
    if ranks > 1:
        command = [launch.find_mpiexec(), "-n", str(ranks), "--oversubscribe", *command]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def expected_bytes(result, width, n_ranks):
    """What a rank sends in a step of `n_ranks`, by the unique ids of its batch.

    A fraction (n-1)/n of them belongs to others; of the dense gradients, and of their sums, as much crosses the link.
    """
    others = (n_ranks - 1) / n_ranks
    return bytes_of_step(result["unique"] * others, width, result["n_dense"] * others)


def modelled(one, two, width, n_ranks):
    """{link: seconds of a step} with a rank on each of `n_ranks` machines.

    A step takes what it takes one rank alone; for each byte, what two ranks on one machine take more than one; what
    the link needs for them, while nothing is computed; and the latency of n-1 messages in each collective call.

    Args:
        one, two: results of a job of one rank, and of two, with the same batch for each rank.
    """
    alone, n_bytes = one["median"] / 1e3, expected_bytes(one, width, n_ranks)
    handling = max(two["median"] / 1e3 - alone, 0) / expected_bytes(two, width, 2)
    messages = COLLECTIVES * (n_ranks - 1) * LATENCY
    return {link: alone + n_bytes * (handling + 1 / speed) + messages for link, speed in LINKS.items()}


def measure_grid(steps, rounds):
    """{(width, batch, ranks): result} of `WIDTHS`, `BATCHES`, `RANKS`, with the median of the times of all rounds."""
    found = {}
    for _ in range(rounds):
        for width, batch, n in itertools.product(WIDTHS, BATCHES, RANKS):
            workload = {"kind": "deepfm", "V": 1_000_000, "D": width, "N": batch * n, "steps": steps}
            found.setdefault((width, batch, n), []).append(run_job(n, 1, workload))
    return {key: {**some[0], "median": statistics.median(one["median"] for one in some)} for key, some in found.items()}


def tables(grid):
    """What was measured, and what the model says beyond, as Markdown."""
    first = "width | batch of a rank | unique ids of a rank | ranks"
    measured = [f"| {first} | kB sent by a rank | by the formula | ms per step |", "|" + "---:|" * 7]
    for (width, batch, n), one in grid.items():
        sent, formula = (one["sent"] + one["received"]) / 2, expected_bytes(one, width, n)
        measured.append(
            f"| {width} | {batch:,} | {one['unique']:,.0f} | {n} | {sent / 1e3:,.0f} | {formula / 1e3:,.0f} "
            f"| {one['median']:.1f} |"
        )
    links = " | ".join(f"ms per step at {link}" for link in LINKS)
    beyond = [f"| {first} | kB sent by a rank | {links} |", "|" + "---:|" * (5 + len(LINKS))]
    for width, batch, n in itertools.product(WIDTHS, BATCHES, MODELLED):
        one, two = grid[width, batch, 1], grid[width, batch, 2]
        times = " | ".join(f"{1e3 * seconds:.1f}" for seconds in modelled(one, two, width, n).values())
        sent = expected_bytes(one, width, n)
        beyond.append(f"| {width} | {batch:,} | {one['unique']:,.0f} | {n} | {sent / 1e3:,.0f} | {times} |")
    return "\n".join([*measured, "", *beyond])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rank", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--json", help="where to write the figures")
    parser.add_argument("--table", action="store_true", help="bytes and time against ranks, width and unique ids")
    args = parser.parse_args()
    if args.rank:
        measure_rank(json.loads(args.rank))
        return
    if args.table:
        sys.stdout.write(tables(measure_grid(args.steps, args.rounds)) + "\n")
        return
    workload = {"kind": "deepfm", "V": 1_000_000, "D": args.width, "N": args.batch, "steps": args.steps}
    kinds = {
        "1 process, 2 threads, ordinary tables": (1, 2, False),
        "1 process, 2 threads": (1, 2, True),
        "2 ranks, 1 thread each": (2, 1, True),
        "4 ranks, 1 thread each": (4, 1, True),
    }
    results = {name: [] for name in kinds}
    for _ in range(args.rounds):
        for name, (ranks, threads, any_ids) in kinds.items():
            results[name].append(run_job(ranks, threads, workload, any_ids))
    base = results["1 process, 2 threads"]
    lines = [
        f"DeepFM, 26 ids of 1M rows, E={args.width}, batch {args.batch} in all; medians of {args.rounds} rounds",
        "",
        "| | examples/s | of one process | ms per step | kB sent per rank and step | of what is needed |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        ratio = statistics.median(f["examples"] / b["examples"] for f, b in zip(found, base, strict=True))
        wire = statistics.median((f["sent"] + f["received"]) / 2 for f in found)
        share = f"{(found[0]['sent'] + found[0]['received']) / 2 / found[0]['least']:.3f}" if wire else "-"
        examples, ms = (statistics.median(f[key] for f in found) for key in ("examples", "median"))
        lines.append(f"| {name} | {examples:,.0f} | {ratio:.2f} | {ms:.2f} | {wire / 1e3:,.0f} | {share} |")
    sys.stdout.write("\n".join(lines) + "\n")
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
