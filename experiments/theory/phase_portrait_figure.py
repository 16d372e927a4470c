"""The square of both agents' P(A), one panel for each β: what the flow says, and where the runs went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from coordination_env.games import matching
from experiments.matching.figure_parts import convention_colors
from experiments.matching.metrics import Array
from experiments.studies.plotting import STYLE
from experiments.theory.fixed_points import FixedPoint, Stability
from experiments.theory.gradient_flow import GradientFlow, theta_of
from magail_trainer.text import counted

CONVENTION_COLORS = convention_colors(matching())

_MARKERS: Mapping[Stability, tuple[str, str, float]] = {
    "stable": ("o", "black", 10),
    "saddle": ("D", "white", 7),
    "unstable": ("o", "white", 7),
    "neutral": ("s", "0.6", 7),
}
"""Shape, filling and size of a fixed point's mark."""

_ENDS = LinearSegmentedColormap.from_list(
    "ends", [CONVENTION_COLORS["BB"], "#C4C4C4", CONVENTION_COLORS["AA"]]
)  # BB, mixed, AA

_HALO = withStroke(linewidth=2.5, foreground="white")

_STEP, _STEPS = 0.05, 400  # of `basins`, in logits: far enough to leave the square from anywhere in it


@dataclass(frozen=True)
class Panel:
    """One β under one discriminator."""

    flow: GradientFlow
    points: Sequence[FixedPoint]
    trajectories: Array
    """P(A) of both agents in S runs at K epochs, `[K, S, 2]`."""
    convention: Array
    """The name of what each run ended in, `[S]`."""


@dataclass(frozen=True)
class Row:
    """All βs under one discriminator."""

    label: str
    panels: Sequence[Panel]


def phase_portrait_figure(rows: Sequence[Row], *, title: str, note: str) -> Figure:
    """A row for each discriminator, a column for each β."""
    columns = max(len(row.panels) for row in rows)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(3.3 * columns + 1.2, 14), 3.55 * len(rows) + 1.9), layout="constrained")
        room = "\n" * (note.count("\n") + 1)  # the layout knows of the title, not of the note
        figure.suptitle(f"{title}\n{room}", fontsize=14, fontweight="bold")
        figure.text(0.5, 1 - 0.42 / figure.get_figheight(), note, ha="center", va="top", size=10)
        grid = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
        for axes_of_row, row in zip(grid, rows, strict=True):
            for axes, panel in zip(axes_of_row, row.panels, strict=True):
                _draw_panel(axes, panel)
            axes_of_row[0].set_ylabel(f"{row.label}\n\nP(A) of agent_1")
        for axes in grid[-1]:
            axes.set_xlabel("P(A) of agent_0")
        _draw_key(figure)
    return figure


def basins(flow: GradientFlow, prob_a: Array) -> Array:
    """Where the flow leads from P(A) inside the square, `[..., 2]` -> `[..., 2]`.

    The way is followed at a constant speed, not in time, which near a corner would stand still; so it ends within a
    step's length of the fixed point. From a line between two basins it goes to either side.
    """
    theta = theta_of(prob_a)
    for _ in range(_STEPS):
        prob_a = 1 / (1 + np.exp(-theta))
        direction = prob_a * (1 - prob_a) * flow.advantages(theta)  # dθ/dt up to a factor that both agents share
        length = np.linalg.norm(direction, axis=-1, keepdims=True)
        theta = theta + _STEP * np.divide(direction, length, out=np.zeros_like(theta), where=length > 1e-15)
    return 1 / (1 + np.exp(-theta))


def visited_both(trajectories: Array) -> int:
    """How many runs had both agents at P(A) ≥ 0.8 at one time and both at P(A) ≤ 0.2 at another: `[K, S, 2]`."""
    near_aa, near_bb = (trajectories.min(axis=-1) >= 0.8).any(axis=0), (trajectories.max(axis=-1) <= 0.2).any(axis=0)
    return int(np.count_nonzero(near_aa & near_bb))


def _draw_panel(axes: Axes, panel: Panel) -> None:
    _draw_flow(axes, panel.flow)
    lines = list(np.moveaxis(panel.trajectories, 1, 0))
    axes.add_collection(LineCollection(lines, colors="black", linewidths=0.8, alpha=0.55, zorder=3))
    repelling_corners = [point for point in panel.points if np.isinf(point.eigenvalues[0])]
    for point in panel.points:
        if point not in repelling_corners:  # they are no places where a policy gradient could rest
            marker, face, size = _MARKERS[point.stability]
            axes.plot(
                *point.prob_a, marker=marker, mfc=face, mec="black", markersize=size, mew=1.3, zorder=4, clip_on=False
            )
    counts = []
    for name, color in CONVENTION_COLORS.items():
        ends = panel.trajectories[-1, panel.convention == name]
        axes.scatter(*ends.T, s=26, color=color, edgecolors="black", linewidths=0.6, zorder=5, clip_on=False)
        counts.append(f"{len(ends)} {name}")
    both = visited_both(panel.trajectories)
    circling = f" ({counted(both, 'run')} visited AA and BB)" if both else ""
    axes.set_title(f"β = {panel.flow.beta:g}{circling}\nruns end: {', '.join(counts)}", fontsize=10)
    for name, place in (("AA", (0.94, 0.9)), ("BB", (0.06, 0.1)), ("AB", (0.94, 0.06)), ("BA", (0.06, 0.94))):
        axes.text(*place, name, ha="center", va="center", size=9, path_effects=[_HALO], zorder=6)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])


def _draw_flow(axes: Axes, flow: GradientFlow) -> None:
    cells = (np.arange(60) + 0.5) / 60  # an even number: none on the lines between basins
    square = np.stack(np.meshgrid(cells, cells), axis=-1)
    leads_to = basins(flow, square).mean(axis=-1)
    axes.imshow(leads_to, cmap=_ENDS, vmin=0, vmax=1, alpha=0.4, extent=(0, 1, 0, 1), origin="lower", zorder=0)
    nodes = np.linspace(0.01, 0.99, 50)
    velocity = flow.velocity(np.stack(np.meshgrid(nodes, nodes), axis=-1))
    axes.streamplot(
        nodes, nodes, velocity[..., 0], velocity[..., 1], density=0.8, color="0.45", linewidth=0.6, arrowsize=0.8,
        zorder=1,
    )  # fmt: skip


def _draw_key(figure: Figure) -> None:
    names = {"stable": "stable", "saddle": "saddle: attracts and repels", "unstable": "unstable", "neutral": "neutral"}
    handles: list[Line2D | Patch] = []
    for kind, (marker, face, size) in _MARKERS.items():
        if kind != "neutral":
            handles.append(
                Line2D([], [], linestyle="none", marker=marker, mfc=face, mec="black", ms=size * 0.8, label=names[kind])
            )
    handles.append(Line2D([], [], color="0.45", linewidth=0.8, marker=">", ms=4, label="gradient flow"))
    handles.append(Line2D([], [], color="black", alpha=0.6, linewidth=1, label="sampled run"))
    for name, color in CONVENTION_COLORS.items():
        label = f"run ends in {name}"
        handles.append(Line2D([], [], linestyle="none", marker="o", mfc=color, mec="black", mew=0.6, ms=6, label=label))
    handles.append(Patch(color=CONVENTION_COLORS["AA"], alpha=0.4, label="flow leads to AA"))
    handles.append(Patch(color="#C4C4C4", alpha=0.4, label="… to mixing"))
    handles.append(Patch(color=CONVENTION_COLORS["BB"], alpha=0.4, label="… to BB"))
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
