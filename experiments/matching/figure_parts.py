"""Shared parts of the coordination figure's panels: the look of agents and conventions, the runs of a β, and means.

In all panels colour along viridis is β; marker, fill and line style are the agent; orange, blue and further colours of
Okabe and Ito are the convention that a run ended in, grey is none. `S` is the number of seeds.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from coordination_env.games import MatrixGame
from experiments.matching.games import NEITHER, agent_names, conventions
from experiments.studies.statistics import mean_interval

Array = NDArray[Any]
Color = tuple[float, float, float, float]

INTERVAL_COLOR = "#D55E00"  # visible on dark and on pale bars
_CONVENTION_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7")
_NEITHER_COLOR = "#AAAAAA"
_MARKERS = ("o", "s", "^", "D", "v")
_LINE_STYLES: tuple[Any, ...] = ("solid", "dashed", "dotted", "dashdot", (0, (6, 1, 1, 1, 1, 1)))


class Agent(NamedTuple):
    """The look of an agent."""

    name: str
    side: float
    """-1 is left of the tick of its β, +1 right."""
    marker: str
    filled: bool
    linestyle: Any

    def face(self, color: Any) -> Any:
        """The fill colour of its marks."""
        return color if self.filled else "white"


def looks_of_agents(game: MatrixGame) -> list[Agent]:
    """One for each agent; the first is filled, the others are not."""
    names, sides = agent_names(game), np.linspace(-1, 1, game.num_agents).tolist()
    looks = zip(names, sides, _MARKERS, _LINE_STYLES, strict=False)
    return [Agent(name, side, marker, side == -1, style) for name, side, marker, style in looks]


def convention_colors(game: MatrixGame) -> dict[str, str]:
    """By name, in the order of drawing: `NEITHER` comes second, so between the two conventions of a 2×2 game."""
    colors = list(zip(conventions(game), _CONVENTION_COLORS, strict=False))
    return dict([*colors[:1], (NEITHER, _NEITHER_COLOR), *colors[1:]])


class Group(NamedTuple):
    """The runs of one β."""

    beta: float
    position: int
    """Place on a β axis of evenly spaced categories 0, 1, 2, …"""
    color: Color
    runs: Mapping[str, Array]
    """Columns `[S]`, one value per seed."""
    columns: NDArray[np.intp]
    """The indices of these runs among all, `[S]`."""

    @property
    def seeds(self) -> int:
        return self.columns.size

    def jitter(self, width: float) -> Array:
        """A seed's offset from the tick, `[S]`: the same for every β, so that a seed can be followed."""
        return np.linspace(-width, width, self.seeds) if self.seeds > 1 else np.zeros(1)

    def faintness(self, ink: float) -> float:
        """Opacity of one seed's mark, lower with more seeds."""
        return float(np.clip(ink / self.seeds, 0.15, 0.8))


def by_beta(runs: Mapping[str, Array]) -> list[Group]:
    """The runs of each β, ascending; colours leave out viridis's pale end, unreadable on white."""
    betas = np.unique(runs["beta"])
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, betas.size))
    groups = []
    for position, (beta, shade) in enumerate(zip(betas, shades, strict=True)):
        columns = np.flatnonzero(runs["beta"] == beta)
        of_beta = {name: np.asarray(values)[columns] for name, values in runs.items()}
        groups.append(Group(float(beta), position, tuple(shade), of_beta, columns))
    return groups


def draw_mean(axes: Axes, group: Group, x: float, values: Array, agent: Agent) -> None:
    """Each seed, faint, and on top the mean with its interval."""
    face, faintness = agent.face(group.color), group.faintness(3)
    axes.scatter(
        x + group.jitter(0.12), values, s=14, color=face, marker=agent.marker, ec=[group.color], alpha=faintness
    )
    means, errors = means_and_errors([values])
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


def means_and_errors(samples: list[Array]) -> tuple[Array, Array]:
    """Means `[n]` of n samples `[S]`, and the extent of their intervals below and above, `[2, n]`."""
    mean, low, high = np.array([mean_interval(values) for values in samples]).T
    # If values differ only in the last bit, rounding may put the mean outside its interval.
    return mean, np.maximum([mean - low, high - mean], 0.0)


def label_betas(axes: Axes, groups: list[Group]) -> None:
    """Evenly spaced categories; with one or two βs, room beside them instead of enormous bars."""
    axes.set_xticks([group.position for group in groups], [f"{group.beta:g}" for group in groups])
    centre, half_width = (len(groups) - 1) / 2, max(len(groups), 3) / 2 + 0.1
    axes.set_xlim(centre - half_width, centre + half_width)
    axes.set_xlabel("entropy weight β")
