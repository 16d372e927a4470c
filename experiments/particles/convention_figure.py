"""Which convention each seed plays, drawn from saved tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from experiments.particles.methods import METHODS
from experiments.studies.plotting import STYLE
from experiments.studies.statistics import mean_interval

PARTS = {
    "share_0": ("#E69F00", "agent i at landmark i (k = 0)"),
    "share_1": ("#56B4E9", "agent i at landmark i + 1 (k = 1)"),
    "share_2": ("#009E73", "agent i at landmark i + 2 (k = 2)"),
    "apart": ("#AAAAAA", "another assignment, all landmarks taken"),
    "same_landmark": ("#444444", "two agents at one landmark"),
}
"""Colour and name, from the bottom of a bar to its top; the shares sum to 1."""
_LEAST_WIDTH = 3.0
"""Of a panel, in inches: enough for its title with few seeds."""
MOST_COLUMNS = 4
"""Panels in a row."""


def conventions_figure(table: Mapping[str, Any], expert: Mapping[str, Any]) -> Figure:
    """A panel for each method and number of demonstrations: a bar for the expert, one for each seed, and one for all.

    Args:
        table: the columns of `conventions.csv`.
        expert: those of `expert.csv`, of one row.
    """
    cells = by_cell(table)
    seeds = max(len(of["seed"]) for of in cells.values())
    with matplotlib.rc_context(STYLE):
        columns = min(len(cells), MOST_COLUMNS)
        rows = -(-len(cells) // columns)
        width = max(0.5 * (seeds + 3), _LEAST_WIDTH) * columns + 1.5
        figure = Figure(figsize=(max(width, 10), 4 * rows + 1), layout="constrained")
        figure.suptitle("simple_spread, an expert with a hidden coin: which assignment the episodes end in")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for axes in grid[len(cells) :]:
            axes.set_visible(False)
        for axes, ((method, number), of) in zip(grid, cells.items(), strict=False):
            _draw_cell(axes, of, expert)
            axes.set_title(f"{METHODS[method].label},\n{number} demonstrations", fontsize=10)
            axes.set_xlabel(f"seed\n{signal_note(of['signal_bits']) if METHODS[method].signal else 'no signal'}")
        for axes in grid[::columns]:
            axes.set_ylabel("share of episodes")
        handles: list[Patch | Line2D] = [Patch(facecolor=color, label=label) for color, label in PARTS.values()]
        handles.append(Line2D([], [], color="black", linestyle="dotted", label="thirds, as for the coin"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def by_cell(table: Mapping[str, Any]) -> dict[tuple[str, int], dict[str, list[Any]]]:
    """The rows of each method and number of demonstrations, in the order of `METHODS`."""
    keys = list(zip(table["method"], table["demonstrations"], strict=True))
    cells = {}
    for key in sorted(set(keys), key=lambda key: (list(METHODS).index(key[0]), key[1])):
        rows = [row for row, other in enumerate(keys) if other == key]
        cells[key] = {name: [values[row] for row in rows] for name, values in table.items()}
    return cells


def _draw_cell(axes: Axes, table: Mapping[str, Any], expert: Mapping[str, Any]) -> None:
    seeds, of_expert, of_seeds = len(table["seed"]), parts(expert), parts(table)
    places, bottom = np.array([0.0, *np.arange(1.6, 1.6 + seeds), seeds + 2.2]), np.zeros(seeds + 2)
    for name, (color, _) in PARTS.items():
        heights = np.array([of_expert[name][0], *of_seeds[name], of_seeds[name].mean()])
        axes.bar(places, heights, 0.8, bottom=bottom, color=color, edgecolor="white", linewidth=0.5)
        bottom = bottom + heights
    axes.set_xticks(places, ["expert", *(str(seed) for seed in table["seed"]), "all"])
    for level in (1 / 3, 2 / 3):
        axes.axhline(level, color="black", linewidth=0.8, linestyle="dotted")
    axes.set_ylim(0, 1)


def signal_note(bits: Sequence[float]) -> str:
    """The information of the signal about the convention: mean over seeds with its interval."""
    interval = mean_interval(np.asarray(bits, dtype=np.float64))
    return (
        f"the signal tells {interval.estimate:.2f} of {np.log2(3):.2f} bits\n[{interval.low:.2f}, {interval.high:.2f}]"
    )


def parts(table: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The shares of `PARTS`, `[rows]` each, which sum to 1 in every row."""
    apart = np.asarray(table["other"]) - np.asarray(table["same_landmark"])
    return {name: apart if name == "apart" else np.asarray(table[name], dtype=np.float64) for name in PARTS}
