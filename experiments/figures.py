"""The six panels of the coordination experiment, drawn from saved results.

One visual language throughout: colour along viridis is β; shape, fill and line style are the agent; orange, blue and
grey (Okabe and Ito) are the convention that a run ended in. `R` is the number of runs, `K` that of recorded epochs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from experiments.best_product import best_product_js
from experiments.metrics import js_distance
from experiments.statistics import mean_interval

Array = NDArray[Any]
Color = tuple[float, float, float, float]

JOINT_ACTIONS = ("AA", "AB", "BA", "BB")
CONVENTION_COLORS = {"AA": "#E69F00", "neither": "#AAAAAA", "BB": "#56B4E9"}
INTERVAL_COLOR = "#D55E00"  # to be seen on dark and on pale bars
MEAN_LOOKS_LIKE_EXPERT = 0.5
"""The mean over seeds misleads when its JS distance is below this share of the nearest run's and of the limit."""

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that the picture is the same everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.fontsize": 8.5,
    "legend.framealpha": 0.9,
}


class _Agent(NamedTuple):
    name: str
    side: float
    """-1 stands left of the tick of its β, +1 right of it."""
    marker: str
    filled: bool
    linestyle: Literal["solid", "dashed"]

    def face(self, color: Any) -> Any:
        return color if self.filled else "white"


AGENTS = (_Agent("agent_0", -1, "o", True, "solid"), _Agent("agent_1", +1, "s", False, "dashed"))


class _Group(NamedTuple):
    """The runs of one β."""

    beta: float
    position: int
    """Place on a β axis: the categories 0, 1, 2, …, whatever lies between the βs."""
    color: Color
    runs: Mapping[str, Array]
    """Columns `[S]`, one value per seed."""
    columns: NDArray[np.intp]
    """Where these runs stand among all, `[S]`."""

    @property
    def seeds(self) -> int:
        return self.columns.size

    def jitter(self, width: float) -> Array:
        """A seed's own place `[S]` beside the tick: the same for every β, so that a seed can be followed."""
        return np.linspace(-width, width, self.seeds) if self.seeds > 1 else np.zeros(1)

    def faintness(self, ink: float) -> float:
        """Opacity of one seed's mark, less the more of them there are."""
        return float(np.clip(ink / self.seeds, 0.15, 0.8))


def coordination_figure(
    runs: Mapping[str, Array], history: Mapping[str, Array], expert_joint: Array, *, title: str
) -> Figure:
    """Six panels on what the runs of a (β, seed) sweep of the 2×2 matching game learned.

    `runs` holds the columns of `runs.csv`, `[R]` each. `history` holds `epoch [K]` and `prob_a_agent_0`,
    `prob_a_agent_1`, `[K, R]`, in the order of `runs`. `expert_joint` is `[2, 2]`.

    Raises KeyError if a column is missing, ValueError if `history` is not of these runs.
    """
    for agent in AGENTS:
        shape = (history["epoch"].size, runs["beta"].size)
        if history[f"prob_a_{agent.name}"].shape != shape:
            raise ValueError(f"history of {agent.name} is not [epochs, runs] = {shape}")
    groups = _by_beta(runs)
    limit = best_product_js(expert_joint).distance
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(15, 8.8), layout="constrained")
        figure.suptitle(title, fontsize=14, fontweight="bold")
        panels = figure.subplots(2, 3).flat
        _draw_prob_a(next(panels), groups)
        _draw_js_distance(next(panels), groups, limit)
        _draw_seeds(next(panels), groups)
        _draw_conventions(next(panels), groups)
        _draw_joint(next(panels), groups, expert_joint, limit)
        _draw_training(next(panels), groups, history)
        _draw_key(figure, groups)
    return figure


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a PNG at 110 dpi; the same figure gives the same bytes."""
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})  # would hold matplotlib's version


def _by_beta(runs: Mapping[str, Array]) -> list[_Group]:
    """The runs of each β, in ascending β; a colour each, short of viridis's pale end, unreadable on white."""
    betas = np.unique(runs["beta"])
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, betas.size))
    groups = []
    for position, (beta, shade) in enumerate(zip(betas, shades, strict=True)):
        columns = np.flatnonzero(runs["beta"] == beta)
        of_beta = {name: np.asarray(values)[columns] for name, values in runs.items()}
        groups.append(_Group(float(beta), position, tuple(shade), of_beta, columns))
    return groups


def _draw_prob_a(axes: Axes, groups: list[_Group]) -> None:
    for group in groups:
        for agent in AGENTS:
            _draw_mean(axes, group, group.position + 0.2 * agent.side, group.runs[f"prob_a_{agent.name}"], agent)
    _label_betas(axes, groups)
    _label_prob_a(axes, "final P(A)")
    axes.set_title("Final P(A): mean, 95 % interval, and single seeds")


def _draw_js_distance(axes: Axes, groups: list[_Group], limit: float) -> None:
    for group in groups:
        _draw_mean(axes, group, group.position, group.runs["js_distance"], AGENTS[0])
    axes.axhspan(0, limit, color="0.93", zorder=0)
    axes.axhline(
        limit, color="black", linestyle="dashdot", label=f"best that independent policies can reach: {limit:.3f}"
    )
    top = max(0.1, limit, *(group.runs["js_distance"].max() for group in groups))
    axes.set_ylim(-0.02 * top, 1.3 * top)
    axes.legend(loc="upper right")
    _label_betas(axes, groups)
    axes.set_ylabel("JS distance to the expert (base 2)")
    axes.set_title("Joint JS distance: mean, 95 % interval, single seeds")


def _draw_seeds(axes: Axes, groups: list[_Group]) -> None:
    """Both agents of a seed, joined by a thin line, in the colour of the seed's convention."""
    for group in groups:
        colors = [CONVENTION_COLORS[name] for name in group.runs["convention"]]
        size = float(np.clip(220 / group.seeds, 6, 24))
        x = np.stack([group.position + 0.2 * agent.side + group.jitter(0.12) for agent in AGENTS], axis=-1)
        y = np.stack([group.runs[f"prob_a_{agent.name}"] for agent in AGENTS], axis=-1)
        pairs = list(np.stack([x, y], axis=-1))
        axes.add_collection(LineCollection(pairs, colors=colors, linewidths=0.7, alpha=group.faintness(8)))
        for column, agent in enumerate(AGENTS):
            axes.scatter(x[:, column], y[:, column], s=size, color=agent.face(colors), marker=agent.marker, ec=colors)
    _label_betas(axes, groups)
    _label_prob_a(axes, "final P(A)")
    axes.set_title("Final P(A) of each seed, its two agents joined")


def _draw_conventions(axes: Axes, groups: list[_Group]) -> None:
    for group in groups:
        bottom = 0.0
        for name, color in CONVENTION_COLORS.items():
            count = np.count_nonzero(group.runs["convention"] == name)
            share = count / group.seeds
            axes.bar(group.position, share, 0.7, bottom=bottom, color=color, edgecolor="white")
            if count:
                axes.text(group.position, bottom + share / 2, str(count), ha="center", va="center", size=9)
            bottom += share
    _label_betas(axes, groups)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of seeds")
    axes.set_title("Convention reached: share and number of seeds")


def _draw_joint(axes: Axes, groups: list[_Group], expert_joint: Array, limit: float) -> None:
    x = np.arange(len(JOINT_ACTIONS))
    axes.bar(x, expert_joint.ravel(), 0.9, color="0.9", edgecolor="black", label="expert")
    width = 0.8 / len(groups)
    for group in groups:
        offset = (group.position - (len(groups) - 1) / 2) * width
        means, errors = _means_and_errors([group.runs[f"joint_{name.lower()}"] for name in JOINT_ACTIONS])
        axes.bar(x + offset, means, width, color=group.color, yerr=errors, error_kw={"ecolor": INTERVAL_COLOR})
    axes.set_xticks(x, JOINT_ACTIONS)
    axes.set_xlabel("joint action (agent_0, agent_1)")
    axes.set_ylabel("probability")
    axes.set_ylim(0, 1.05)
    axes.legend(loc="upper center")
    axes.set_title("Final joint distribution: mean over seeds, 95 % interval")
    misleading = _misleading_betas(groups, expert_joint, limit)
    if misleading:
        named = ", ".join(misleading[:3]) + (", …" if len(misleading) > 3 else "")
        note = f"β = {named}:\nthe mean over seeds\nis near the expert,\nno single run is"
        axes.text(0.5, 0.89, note, transform=axes.transAxes, ha="center", va="top", size=9)


def _misleading_betas(groups: list[_Group], expert_joint: Array, limit: float) -> list[str]:
    """The βs where the mean over seeds looks like the expert and no single run does.

    Seeds that collapse to AA and seeds that collapse to BB average to a mixture that none of them plays. Where
    independent policies can match the expert, the limit is zero and runs that scatter around it mislead nobody.
    """
    misleading = []
    for group in groups:
        mean_joint = np.array([group.runs[f"joint_{name.lower()}"].mean() for name in JOINT_ACTIONS])
        of_mean = js_distance(mean_joint.reshape(2, 2), expert_joint)
        if of_mean < MEAN_LOOKS_LIKE_EXPERT * min(limit, group.runs["js_distance"].min()):
            misleading.append(f"{group.beta:g}")
    return misleading


def _draw_training(axes: Axes, groups: list[_Group], history: Mapping[str, Array]) -> None:
    for group in groups:
        for agent in AGENTS:
            curves = history[f"prob_a_{agent.name}"][:, group.columns].T
            axes.add_collection(
                LineCollection(
                    [np.column_stack([history["epoch"], curve]) for curve in curves],
                    colors=[group.color],
                    linewidths=0.9,
                    linestyles=agent.linestyle,
                    alpha=group.faintness(8),
                )
            )
    axes.margins(x=0.01)
    axes.autoscale_view()
    _label_prob_a(axes, "P(A)")
    axes.set_xlabel("epoch")
    axes.set_title("P(A) over training, one line per seed")


def _draw_key(figure: Figure, groups: list[_Group]) -> None:
    """What shapes and colours mean in every panel, below them all."""
    agents = [
        Line2D(
            [], [], color="0.3", marker=agent.marker, mfc=agent.face("0.3"), linestyle=agent.linestyle, label=agent.name
        )
        for agent in AGENTS
    ]
    conventions = [Patch(color=color, label=f"seeds in {name}") for name, color in CONVENTION_COLORS.items()]
    betas = [Patch(color=group.color, label=f"β = {group.beta:g}") for group in groups]
    handles = [*agents, *conventions, *betas]
    figure.legend(handles=handles, loc="outside lower center", ncols=11, handlelength=3, frameon=False)


def _draw_mean(axes: Axes, group: _Group, x: float, values: Array, agent: _Agent) -> None:
    """Each seed, faint, and on top of them the mean and its interval."""
    face, faintness = agent.face(group.color), group.faintness(3)
    axes.scatter(
        x + group.jitter(0.12), values, s=14, color=face, marker=agent.marker, ec=[group.color], alpha=faintness
    )
    means, errors = _means_and_errors([values])
    axes.errorbar(
        [x],
        means,
        errors,
        linestyle="none",
        ecolor="black",
        capsize=4,
        capthick=1.5,
        marker=agent.marker,
        markersize=8,
        mfc=face,
        mec="black" if agent.filled else group.color,
        mew=1 if agent.filled else 2,
    )


def _means_and_errors(samples: list[Array]) -> tuple[Array, Array]:
    """Means `[n]` of n samples `[S]` and, `[2, n]`, how far their intervals reach below and above."""
    mean, low, high = np.array([mean_interval(values) for values in samples]).T
    # Of values that differ in the last bit only, rounding may put the mean outside its interval.
    return mean, np.maximum([mean - low, high - mean], 0.0)


def _label_betas(axes: Axes, groups: list[_Group]) -> None:
    """Evenly spaced categories; with one or two βs, room beside them in place of enormous bars."""
    axes.set_xticks([group.position for group in groups], [f"{group.beta:g}" for group in groups])
    centre, half_width = (len(groups) - 1) / 2, max(len(groups), 3) / 2 + 0.1
    axes.set_xlim(centre - half_width, centre + half_width)
    axes.set_xlabel("entropy weight β")


def _label_prob_a(axes: Axes, label: str) -> None:
    axes.axhline(0.5, color="0.6", linestyle="dotted", linewidth=1, zorder=0)
    axes.set_ylim(-0.04, 1.04)
    axes.set_ylabel(label)
