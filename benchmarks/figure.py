"""The cost of a touched row against the height of the table and against the batch, as one PNG with two panels."""

from workloads import FLOOR, LABELS, OURS, TORCH

STYLES = {
    OURS: {"color": "#1f6fb2", "marker": "o", "linewidth": 2.2, "zorder": 3},
    TORCH: {"color": "#d9622b", "marker": "s", "linewidth": 1.6},
    FLOOR: {"color": "#777777", "marker": "", "linewidth": 1.4, "linestyle": "--"},
}
INK, GRID = "#333333", "#dddddd"
FLAT = 1.6


def points(figures, size):
    """{peer: ([size of the workload], [ns for each touched row])} of a row with variants."""
    found = {}
    for side in figures.row.sides:
        cost = figures.cost_per_row(side.peer, side.variant)
        if cost is not None:
            sizes, costs = found.setdefault(side.peer, ([], []))
            sizes.append(side.workload[size])
            costs.append(cost)
    return found


def draw(height, batch, path, caption):
    """Write the PNG. `height` and `batch` are the Figures of these two rows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    plot, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.4), dpi=150, layout="constrained")
    heights, batches = points(height, "V"), points(batch, "N")
    _panel(left, heights, "Against the height of the table", _short)
    left.set_xlabel("rows of the table, V  (65,536 uniform ids, D = 64)")
    left.set_ylabel("ns for each touched row")
    _flat_band(left, heights.get(OURS))
    _panel(right, batches, "Against the batch", "{:,}".format)
    right.set_xlabel("ids in a batch, N  (uniform, V = 1M, D = 64)")
    right.set_ylabel("ns for each touched row (logarithmic)")
    _logarithmic(right, [cost for _, costs in batches.values() for cost in costs])
    plot.suptitle("Row update of SparseAdam: what one touched row costs", fontsize=12.5, color=INK)
    plot.supxlabel(caption, fontsize=7.5, color="#666666")
    plot.canvas.draw()
    for axes, found in ((left, heights), (right, batches)):
        _name_lines(axes, found)
    plot.savefig(path, metadata={"Software": None})
    pyplot.close(plot)


def _panel(axes, found, title, name_size):
    for peer, (sizes, costs) in found.items():
        axes.plot(sizes, costs, **STYLES[peer])
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xscale("log")
    ticks = sorted({value for sizes, _ in found.values() for value in sizes})
    axes.set_xticks(ticks, [name_size(value) for value in ticks], fontsize=9)
    axes.minorticks_off()
    if ticks:
        axes.set_xlim(ticks[0] / 1.4, ticks[-1] * (ticks[-1] / ticks[0]) ** 0.2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)


def _flat_band(axes, line):
    if line is None:
        return
    sizes, costs = line
    axes.axhspan(min(costs), FLAT * min(costs), color=STYLES[OURS]["color"], alpha=0.10, linewidth=0, zorder=0)
    top = (sizes[0], FLAT * min(costs))
    axes.annotate(
        f"within {FLAT:g}x of the lowest",
        top,
        xytext=(0, -4),
        textcoords="offset points",
        va="top",
        color=STYLES[OURS]["color"],
        fontsize=8.5,
    )
    axes.set_ylim(0, 1.25 * max(FLAT * min(costs), max(costs)))


def _logarithmic(axes, costs):
    """A logarithmic axis whose ticks are plain numbers: 1, 2 and 5 of each decade, two decades at least."""
    axes.set_yscale("log")
    if not costs:
        return
    ticks = [step * 10**decade for decade in range(7) for step in (1, 2, 5)]
    low = max([tick for tick in ticks if tick <= min(costs) / 1.2], default=ticks[0])
    high = min([tick for tick in ticks if tick >= max(costs) * 1.2], default=ticks[-1])
    axes.set_ylim(low, high)
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(shown, [f"{tick:,}" for tick in shown])
    axes.minorticks_off()


def _name_lines(axes, found):
    """Names at the ends of the lines, moved apart where two lines end together."""
    apart, floor = 12.0, float("-inf")
    points_of = 72 / axes.figure.dpi
    ends = [(axes.transData.transform((sizes[-1], costs[-1]))[1], peer) for peer, (sizes, costs) in found.items()]
    for end, peer in sorted(ends):
        sizes, costs = found[peer]
        at = max(end * points_of, floor + apart)
        floor = at
        axes.annotate(
            LABELS[peer],
            (sizes[-1], costs[-1]),
            xytext=(8, at - end * points_of),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=STYLES[peer]["color"],
        )


def _short(value):
    for unit, name in ((1_000_000, "M"), (1000, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return str(value)
