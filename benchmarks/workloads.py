"""The rows of the table: what is run, by whom, and which bar it has to reach."""

from dataclasses import dataclass, field

OURS, TORCH, FLUID, FLOOR = "fluidlite", "torch", "fluid", "floor"
LABELS = {OURS: "fluidlite", TORCH: "PyTorch", FLUID: "Fluid 1.8.5", FLOOR: "C floor"}


@dataclass(frozen=True)
class Side:
    """One thing that is timed: a peer and a workload. `variant` tells the sides of one peer in one row apart."""

    peer: str
    workload: dict
    variant: str = ""
    threads: int | None = None

    @property
    def key(self):
        return f"{self.peer} {self.variant}".strip()


@dataclass(frozen=True)
class Row:
    """A row of the table. `kind`: "peers" compares peers, "own" fluidlite with itself, "memory" processes."""

    name: str
    title: str
    sides: tuple
    bars: tuple = ()
    kind: str = "peers"
    per_row: bool = False


@dataclass(frozen=True)
class AtLeast:
    """`times` as fast as a peer."""

    peer: str
    times: float

    @property
    def text(self):
        return f"at least {self.times:g}x {LABELS[self.peer]}"

    def check(self, figures):
        ours, theirs = figures.median(OURS), figures.median(self.peer)
        return None if ours is None or theirs is None else (theirs / ours >= self.times, f"{theirs / ours:.3g}x")


@dataclass(frozen=True)
class NearFloor:
    """At most `times` the C floor, plus `extra` ms for the merge."""

    times: float = 1.25
    extra: float = 0.35

    @property
    def text(self):
        return f"at most {self.times:g}x C floor + {self.extra:g} ms"

    def check(self, figures):
        ours, floor = figures.median(OURS), figures.median(FLOOR)
        if ours is None or floor is None:
            return None
        limit = self.times * floor + self.extra
        return ours <= limit, f"{ours:.3g} of {limit:.3g} ms"


@dataclass(frozen=True)
class AtMost:
    """At most `limit` milliseconds."""

    limit: float

    @property
    def text(self):
        return f"at most {self.limit * 1e3:g} us"

    def check(self, figures):
        ours = figures.median(OURS)
        return None if ours is None else (ours <= self.limit, f"{ours * 1e3:.3g} us")


@dataclass(frozen=True)
class Flat:
    """The cost per touched row of the `variants` stays within a factor."""

    variants: tuple
    times: float

    @property
    def text(self):
        return f"{', '.join(self.variants)}: flat within {self.times:g}x"

    def check(self, figures):
        costs = [figures.cost_per_row(OURS, variant) for variant in self.variants]
        if None in costs:
            return None
        return max(costs) / min(costs) <= self.times, f"{max(costs) / min(costs):.3g}x"


@dataclass(frozen=True)
class Faster:
    """One variant at least `times` as fast as another."""

    fast: str
    slow: str
    times: float

    @property
    def text(self):
        return f"{self.fast} at least {self.times:g}x {self.slow}"

    def check(self, figures):
        fast, slow = figures.median(OURS, self.fast), figures.median(OURS, self.slow)
        return None if fast is None or slow is None else (slow / fast >= self.times, f"{slow / fast:.3g}x")


@dataclass(frozen=True)
class ResidentAtMost:
    """The whole process holds at most `times` the table."""

    times: float

    @property
    def text(self):
        return f"at most {self.times:g}x the table"

    def check(self, figures):
        memory = figures.memory.get(OURS)
        if memory is None:
            return None
        return memory["now"] <= self.times * memory["table"], f"{memory['now'] / memory['table']:.3g}x"


@dataclass
class Figures:
    """What was measured for a row: milliseconds by side key, and what was said when the batches were made."""

    row: Row
    times: dict = field(default_factory=dict)
    touched: dict = field(default_factory=dict)
    turns: dict = field(default_factory=dict)
    memory: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    crcs: dict = field(default_factory=dict)

    def median(self, peer, variant=""):
        times = sorted(self.times.get(f"{peer} {variant}".strip(), ()))
        if not times:
            return None
        middle = len(times) // 2
        return times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2

    def cost_per_row(self, peer, variant=""):
        """Nanoseconds for each distinct row of a batch."""
        median = self.median(peer, variant)
        return None if median is None else median * 1e6 / self.touched[f"{peer} {variant}".strip()]

    def loud_share(self):
        turns = [turn for turns in self.turns.values() for turn in turns]
        return sum(turn["loud"] for turn in turns) / len(turns) if turns else 0.0

    def bars(self):
        """[(text, reached or None if not measured, the figure)]."""
        checked = [(bar.text, bar.check(self)) for bar in self.row.bars]
        return [(text, *(found or (None, "not measured"))) for text, found in checked]


def _update(name, title, bars, **sizes):
    workload = {"kind": "update", "V": 1_000_000, "N": 65_536, **sizes}
    sides = [Side(peer, workload) for peer in (OURS, TORCH, FLOOR)]
    if sizes.get("ids") == "zipf":
        sides.append(Side(FLOOR, {**workload, "gradients": "all"}, "every gradient read"))
    return Row(name, title, tuple(sides), bars)


def _program(name, title, bars, **workload):
    return Row(name, title, tuple(Side(peer, workload) for peer in (OURS, TORCH, FLUID)), bars)


def _heights():
    heights = {"V=100k": 100_000, "V=300k": 300_000, "V=1M": 1_000_000, "V=3M": 3_000_000, "V=10M": 10_000_000}
    room = max(heights.values())
    return tuple(
        Side(OURS, {"kind": "update", "V": height, "D": 64, "N": 65_536, "room": room}, variant)
        for variant, height in heights.items()
    )


def _batch_sizes():
    sizes = [256, 1024, 4096, 16_384, 65_536, 262_144]
    return tuple(
        Side(peer, {"kind": "update", "V": 1_000_000, "D": 64, "N": size}, f"N={size:,}")
        for size in sizes
        for peer in (OURS, TORCH, FLOOR)
    )


def _rows():
    update = (AtLeast(TORCH, 15), NearFloor())
    big = {"kind": "update", "V": 1_000_000, "D": 64, "N": 65_536}
    flat = {"kind": "step", "V": 1_000_000, "D": 16, "N": 4096, "optimizer": "lazy_adam"}
    table = {"kind": "memory", "V": 10_000_000, "D": 16, "N": 4096, "batches": 100}
    return (
        _update("update-d16", "row update alone, D=16, uniform", update, D=16),
        _update("update-d48", "row update alone, D=48, uniform", update, D=48),
        _update("update-d64", "row update alone, D=64, uniform", update, D=64),
        _update("update-d128", "row update alone, D=128, uniform", update, D=128),
        _update("update-d64-zipf", "row update alone, D=64, zipf(1.2)", update, D=64, ids="zipf"),
        _program(
            "step-1m-d64",
            "step: V=1M, D=64, N=65,536 uniform",
            (AtLeast(TORCH, 10), AtLeast(FLUID, 25)),
            **{**big, "kind": "step"},
        ),
        _program(
            "step-1m-d128-zipf",
            "step: V=1M, D=128, N=262,144 zipf(1.2)",
            (AtLeast(TORCH, 12), AtLeast(FLUID, 10)),
            **{"kind": "step", "V": 1_000_000, "D": 128, "N": 262_144, "ids": "zipf"},
        ),
        _program(
            "step-100k",
            "step: V=100k, D=64, N=4,096 uniform",
            (AtLeast(TORCH, 10), AtLeast(FLUID, 20)),
            **{"kind": "step", "V": 100_000, "D": 64, "N": 4096},
        ),
        _program(
            "step-overhead",
            "step: V=1,000, D=50, 20 ids (overhead)",
            (AtLeast(TORCH, 12), AtLeast(FLUID, 35), AtMost(0.012)),
            **{"kind": "step", "V": 1000, "D": 50, "N": 20},
        ),
        _program(
            "ngram-2k",
            "n-gram model: V=2,073, E=32, H=256, batch 100",
            (AtLeast(TORCH, 2.5), AtLeast(FLUID, 4)),
            **{"kind": "ngram", "V": 2073, "D": 32, "H": 256, "N": 100},
        ),
        _program(
            "ngram-50k",
            "n-gram model: V=50,000, E=128, H=256, batch 256",
            (AtLeast(TORCH, 2.5), AtLeast(FLUID, 4)),
            **{"kind": "ngram", "V": 50_000, "D": 128, "H": 256, "N": 256},
        ),
        _program(
            "deepfm-e16",
            "DeepFM: 26 ids of 1M rows, E=16, batch 1,024",
            (AtLeast(TORCH, 2), AtLeast(FLUID, 4)),
            **{"kind": "deepfm", "V": 1_000_000, "D": 16, "N": 1024},
        ),
        _program(
            "deepfm-e64",
            "DeepFM: 26 ids of 1M rows, E=64, batch 4,096",
            (AtLeast(TORCH, 2), AtLeast(FLUID, 4)),
            **{"kind": "deepfm", "V": 1_000_000, "D": 64, "N": 4096},
        ),
        Row(
            "height",
            "row update against height, D=64, N=65,536",
            _heights(),
            (Flat(("V=100k", "V=1M", "V=10M"), 1.6),),
            kind="own",
            per_row=True,
        ),
        Row("batch", "row update against batch, V=1M, D=64", _batch_sizes(), kind="own", per_row=True),
        Row(
            "threads",
            "row update, V=1M, D=64, N=65,536",
            tuple(Side(OURS, big, f"{n} thread{'s' * (n > 1)}", n) for n in (2, 1)),
            (Faster("2 threads", "1 thread", 1.5),),
            kind="own",
        ),
        Row(
            "sparse-dense",
            "step with Adam(lazy_mode=True): V=1M, D=16, N=4,096",
            (
                Side(OURS, {**flat, "is_sparse": True}, "is_sparse=True"),
                Side(OURS, {**flat, "is_sparse": False}, "is_sparse=False"),
            ),
            kind="own",
        ),
        Row(
            "memory",
            "resident: V=10M, D=16, 100 batches of 4,096",
            tuple(Side(peer, table) for peer in (OURS, TORCH, FLUID)),
            (ResidentAtMost(1.25),),
            kind="memory",
        ),
    )


ROWS = {row.name: row for row in _rows()}


def tiny(row):
    """The same row with tables of some rows: whether it runs, not how fast."""

    def shrink(side):
        small = {**side.workload, "D": 6}
        for size, most in (("V", 50), ("N", 11), ("H", 8), ("room", 50), ("batches", 5)):
            if size in small:
                small[size] = min(small[size], most)
        return Side(side.peer, small, side.variant, side.threads)

    return Row(row.name, row.title, tuple(map(shrink, row.sides)), row.bars, row.kind, row.per_row)


def table_bytes(sides):
    """{peer: bytes of float32 tables with two moments}; sides of one peer share theirs."""
    need = {}
    for side in sides:
        height = side.workload.get("room", side.workload["V"])
        need[side.peer] = max(need.get(side.peer, 0), 3 * 4 * height * side.workload["D"])
    return need
