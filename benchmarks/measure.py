"""Rounds of turns: ours, PyTorch, Fluid, the floor, ours, ... One process computes at a time."""

import sys
from dataclasses import dataclass

from noise import Turn, wait_for_quiet
from peer import Peer, PeerError
from workloads import LABELS, OURS, Figures, Side, table_bytes


@dataclass(frozen=True)
class Settings:
    """`turn_seconds`: how long a turn should take; each has at least `min_steps` steps."""

    rounds: int = 5
    turn_seconds: float = 0.25
    min_steps: int = 3
    max_steps: int = 400
    warm_seconds: float = 3.0
    quiet_seconds: float = 1.0
    threads: int = 2
    timeout: float = 300.0


QUICK = {"rounds": 3, "turn_seconds": 0.06, "min_steps": 2, "warm_seconds": 1.0, "quiet_seconds": 0.4}


@dataclass(frozen=True)
class Interpreter:
    """Where a peer lives."""

    python: str
    environment: tuple = ()


def say(text):
    print(text, file=sys.stderr, flush=True)


def measure_row(row, interpreters, settings):
    """Figures of one row, from fresh worker processes of the peers that are there.

    A peer that fails leaves a line in `notes`, and the others go on.
    """
    figures = Figures(row)
    sides = _that_fit(figures, [side for side in row.sides if side.peer in interpreters])
    peers = {}
    try:
        for name in dict.fromkeys(side.peer for side in sides):
            _attempt(figures, peers, name, _start, peers, name, interpreters[name], settings)
        if row.kind == "memory":
            _measure_memory(figures, peers, sides, settings)
        else:
            _measure_times(figures, peers, sides, settings)
    finally:
        for peer in peers.values():
            peer.close()
    return figures


def _start(peers, name, interpreter, settings):
    peers[name] = Peer(
        name,
        interpreter.python,
        threads=settings.threads,
        environment=dict(interpreter.environment),
        timeout=settings.timeout,
    )
    peers[name].ask("hello")


def _attempt(figures, peers, name, action, *arguments):
    """What `action` returns; None if the peer failed, which then takes no further part in this row."""
    try:
        return action(*arguments)
    except PeerError as error:
        figures.notes.append(str(error))
        say(f"  {error}")
        if name in peers:
            peers.pop(name).close()
        for key in [key for key in figures.times if key.split()[0] == name]:
            del figures.times[key]
        return None


def _that_fit(figures, sides):
    """The sides whose tables fit into memory; a side that shares a table (`room`) is cut, not the whole row."""
    free = _available_bytes()
    if free is None:
        return sides
    while sides:
        need = sum(table_bytes(sides).values()) * 1.2
        if need <= free:
            return sides
        highest = max(side.workload["V"] for side in sides)
        dropped = [side for side in sides if side.workload["V"] == highest]
        keys = ", ".join(side.key for side in dropped)
        figures.notes.append(f"left out ({need / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free): {keys}")
        say(f"  {figures.notes[-1]}")
        kept = [side for side in sides if side not in dropped]
        room = max((side.workload["V"] for side in kept), default=0)
        sides = [
            Side(s.peer, {**s.workload, "room": room}, s.variant, s.threads) if "room" in s.workload else s
            for s in kept
        ]
    return sides


def _available_bytes():
    try:
        with open("/proc/meminfo") as info:
            return next(int(line.split()[1]) * 1024 for line in info if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None


def _build(figures, peer, side, settings):
    workload = side.workload
    built = peer.ask("build", key=side.key, workload=workload, threads=settings.threads)
    data = tuple(workload.get(size) for size in ("kind", "V", "N", "ids", "batches"))
    if figures.crcs.setdefault(data, built["crc"]) != built["crc"]:
        raise PeerError(f"{LABELS[side.peer]}: its NumPy makes other batches from the same seed; nothing is compared")
    figures.touched[side.key] = built["touched"]


def _measure_times(figures, peers, sides, settings):
    def attempt(action, side, *arguments):
        if side.peer in peers:
            return _attempt(figures, peers, side.peer, action, figures, peers[side.peer], side, *arguments)

    for side in sides:
        attempt(_build, side, settings)
    steps = {side.key: attempt(_warm, side, settings) for side in sides}
    for _ in range(settings.rounds):
        for side in sides:
            attempt(_turn, side, steps[side.key], settings)


def _warm(figures, peer, side, settings):
    """The number of steps of a turn."""
    warm = peer.ask("warm", key=side.key, threads=side.threads or settings.threads, seconds=settings.warm_seconds)
    wanted = int(settings.turn_seconds * 1e3 / max(warm["ms"], 1e-6))
    return min(max(wanted, settings.min_steps), settings.max_steps)


def _turn(figures, peer, side, n, settings):
    """n steps of one side. The first ones fill the caches that the other peers emptied, and are not counted."""
    quiet = wait_for_quiet(settings.quiet_seconds) if settings.quiet_seconds else True
    turn = Turn(quiet)
    threads = side.threads or settings.threads
    answer = peer.ask("steps", key=side.key, threads=threads, n=n, warm=max(2, n // 10))
    record = turn.end(answer["cpu_seconds"])
    record["ms"] = answer["ms"]
    figures.times.setdefault(side.key, []).extend(answer["ms"])
    figures.turns.setdefault(side.key, []).append(record)


def _measure_memory(figures, peers, sides, settings):
    for side in sides:
        if side.peer in peers:
            _attempt(figures, peers, side.peer, _memory_of, figures, peers[side.peer], side, settings)
        if side.peer in peers:
            # One table of this height at a time.
            peers.pop(side.peer).close()


def _memory_of(figures, peer, side, settings):
    workload = side.workload
    before = peer.ask("memory")
    peer.ask("build", key=side.key, workload=workload, threads=settings.threads)
    peer.ask("steps", key=side.key, threads=settings.threads, n=workload["batches"], warm=0)
    after = peer.ask("memory")
    table = 4 * workload["V"] * workload["D"] / 1e6
    figures.memory[side.peer] = {**after, "before": before["now"], "table": table}


def versions_of(interpreters, settings):
    """({name: version}, the peers that answered, lines about those that did not)."""
    versions, alive, notes = {}, {}, []
    for name, interpreter in interpreters.items():
        peer = None
        try:
            peer = Peer(
                name,
                interpreter.python,
                threads=settings.threads,
                environment=dict(interpreter.environment),
                timeout=min(settings.timeout, 60.0),
            )
            versions.update(peer.ask("hello")["versions"])
            alive[name] = interpreter
        except PeerError as error:
            if name == OURS:
                raise
            notes.append(f"{error}; its column is left out")
            say(notes[-1])
        finally:
            if peer:
                peer.close()
    return versions, alive, notes
