"""The figure of the phase diagram: coordination over β and the discriminator's speed, one panel for each reward."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from experiments.studies.plotting import REWARD_NAMES, STYLE, reward_name
from magail_trainer.learn.config import RewardStyle

Array = NDArray[Any]
Boundary = Callable[[RewardStyle, float], float]
"""(reward, lr_disc / lr_policy) -> the β above which the mixed point is stable; infinity for none, NaN for no line."""

BOUNDARY_COLOR = "#D55E00"  # Okabe and Ito's vermillion, distinct from blue and yellow to every eye
HALF_WAY, WIDE = 0.75, 0.1


def phase_figure(cells: Mapping[str, Sequence[Any]], *, title: str, boundary: Boundary, boundary_label: str) -> Figure:
    """A row of panels for each lr_policy, a column for each reward.

    Args:
        cells: the columns of `cells.csv`.
        title: of the figure.
        boundary: the theory's, drawn over the map.
        boundary_label: its name in the legend.
    """
    table = {name: np.asarray(values) for name, values in cells.items()}
    seen = dict.fromkeys([*REWARD_NAMES, *table["reward"].tolist()])
    rewards: list[Any] = [name for name in seen if name in table["reward"]]
    rates = np.unique(table["lr_policy"])
    with matplotlib.rc_context(STYLE):
        size = (1.5 + 3.6 * len(rewards), 1.4 + 3.9 * len(rates))
        figure = Figure(figsize=(max(size[0], 14), size[1]), layout="constrained")
        figure.suptitle(title, fontsize=13, fontweight="bold")
        panels = figure.subplots(len(rates), len(rewards), squeeze=False)
        mesh = None
        for rate, row in zip(rates, panels, strict=True):
            for reward, axes in zip(rewards, row, strict=True):
                chosen = (table["reward"] == reward) & (table["lr_policy"] == rate)
                axes.set_title(f"reward {reward_name(reward)}")
                axes.set_xlabel(f"lr_disc / lr_policy, lr_policy = {rate:g}")
                if chosen.any():
                    mesh = _draw_panel(axes, {name: column[chosen] for name, column in table.items()})
                    _draw_boundary(axes, table["beta"][chosen], lambda ratio, of=reward: boundary(of, ratio))
            row[0].set_ylabel("entropy weight β (steps, not to scale)")
        assert mesh is not None
        bar = figure.colorbar(mesh, ax=panels, label="coordination P(AA) + P(BB), mean over seeds")
        bar.ax.axhline(HALF_WAY, color="white", linewidth=2)
        keys = [
            Line2D([], [], color=BOUNDARY_COLOR, linestyle="dashed", linewidth=2.5, label=boundary_label),
            Line2D([], [], color="white", linewidth=1.5, label=f"coordination {HALF_WAY:g}, half-way"),
            Line2D([], [], color="white", marker="o", markersize=4, mec="black", linestyle="none",
                   label=f"95 % interval over seeds wider than {WIDE:g}"),
        ]  # fmt: skip
        figure.legend(handles=keys, loc="outside lower center", ncols=3, facecolor="0.75", framealpha=1)
    return figure


def _draw_panel(axes: Axes, of: Mapping[str, Array]) -> QuadMesh:
    """The map, its half-way contour, and a dot on each cell with a wide interval."""
    ratio = np.round(np.log10(of["lr_disc"] / of["lr_policy"]), 6)
    x, y = np.unique(ratio), np.unique(of["beta"])
    column, row = np.searchsorted(x, ratio), np.searchsorted(y, of["beta"])
    mean, width = np.full((len(y), len(x)), np.nan), np.zeros((len(y), len(x)))
    mean[row, column], width[row, column] = of["coordination_mean"], of["coordination_high"] - of["coordination_low"]
    places = np.arange(len(y))
    mesh = axes.pcolormesh(10 ** _edges(x), _edges(places), mean, cmap="cividis", vmin=0.5, vmax=1)
    if min(mean.shape) > 1 and np.nanmin(mean) < HALF_WAY < np.nanmax(mean):
        axes.contour(10**x, places, mean, levels=[HALF_WAY], colors="white", linewidths=1.5)
    unsure = width > WIDE
    x_grid, y_grid = np.meshgrid(10**x, places)
    axes.plot(x_grid[unsure], y_grid[unsure], "o", color="white", markersize=3.5, mec="black", mew=0.6)
    axes.set_xscale("log")
    axes.set_yticks(places, [f"{beta:g}" for beta in y])
    return mesh


def _draw_boundary(axes: Axes, betas: Array, boundary: Callable[[float], float]) -> None:
    """The boundary across the panel, interpolated between the βs of the map."""
    y = np.unique(betas)
    ratios = np.geomspace(*axes.get_xlim(), 200)
    critical = np.array([boundary(ratio) for ratio in ratios])
    places = np.interp(critical, y, np.arange(len(y)), right=np.nan)  # none beyond the last β
    axes.plot(ratios, places, color=BOUNDARY_COLOR, linestyle="dashed", linewidth=2.5)
    if np.isposinf(critical).all():
        note = {"facecolor": "white", "edgecolor": BOUNDARY_COLOR, "alpha": 0.9}
        style: dict[str, Any] = {"ha": "right", "va": "bottom", "size": 8.5, "bbox": note}
        axes.text(0.96, 0.03, "frozen D: no critical β", transform=axes.transAxes, **style)


def _edges(centres: Array) -> Array:
    """Half-way between neighbours, and equally far beyond the ends."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    between = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - between[0]], between, [2 * centres[-1] - between[-1]]])
