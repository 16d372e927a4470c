"""The figures of the particle benchmark, drawn from saved results.

Colour (Okabe and Ito) and marker are the method; grey lines are the floors; the black line at 1 is the expert.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from experiments.particles.methods import METHODS
from experiments.particles.tables import Curve, Summary
from experiments.studies.plotting import STYLE
from experiments.studies.statistics import mean_band
from magail_trainer.text import counted

FLOOR_STYLES: Mapping[str, tuple[Literal["dotted", "dashed", "dashdot"], str]] = {
    "noop": ("dotted", "floor: do nothing"),
    "centroid": ("dashed", "floor: listener walks to the landmarks' middle"),
    "nearest": ("dashdot", "floor: each agent walks to its nearest landmark"),
}
MARKS = 6
"""On a learning curve."""
LOWEST, HIGHEST = -0.25, 2.0
"""What is further below random, or so far above the expert, is cut off."""


def scores_figure(summaries: Sequence[Summary]) -> Figure:
    """The score against the number of demonstrations, a panel for each env and expert.

    Args:
        summaries: as of `mpe_tables.summarise`.
    """
    panels = list(dict.fromkeys((summary.env, summary.expert) for summary in summaries))
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(3.9 * columns, 8), 3.5 * rows + 1.3), layout="constrained")
        figure.suptitle("Score by the number of demonstrations (mean over seeds, bootstrap 95 % interval)")
        grid = np.asarray(figure.subplots(rows, columns, squeeze=False, sharey=True)).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            shown = [summary for summary in summaries if (summary.env, summary.expert) == panel]
            _draw_scores(axes, shown)
            _limit(axes, summaries)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for axes in grid[::columns]:
            axes.set_ylabel("score (0 = random, 1 = expert)")
        _draw_key(figure, summaries, levels=False)
    return figure


def curves_figure(curves: Sequence[Curve], summaries: Sequence[Summary]) -> Figure:
    """The score in training against env steps: a row for each env and expert, a column for each number of them.

    A line is the mean over seeds, with its interval; the dashed line is where cloning ends. Where there are opponents,
    cloning and floors have no lines: they were scored against the expert, the learner in training against itself.

    Args:
        curves: as of `mpe_tables.read_curves`.
        summaries: as of `mpe_tables.summarise`.
    """
    rows = list(dict.fromkeys((summary.env, summary.expert) for summary in summaries))
    numbers = sorted({summary.demonstrations for summary in summaries})
    played = "; opponents play against each other" if any(summary.is_one_side for summary in summaries) else ""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(3.6 * len(numbers), 8), 2.7 * len(rows) + 1.4), layout="constrained")
        figure.suptitle(f"Score in training (mean over seeds, bootstrap 95 % interval{played})")
        grid = np.asarray(figure.subplots(len(rows), len(numbers), squeeze=False, sharex=True, sharey="row"))
        for (env, expert), of_row in zip(rows, grid, strict=True):
            of_env = [curve for curve in curves if _what(curve)[:2] == (env, expert)]
            beside = [summary for summary in summaries if _what(summary)[:2] == (env, expert)]
            for number, axes in zip(numbers, of_row, strict=True):
                shown = [summary for summary in beside if summary.demonstrations == number]
                axes.set_visible(bool(shown))
                _draw_curves(axes, [curve for curve in of_env if curve.demonstrations == number])
                _draw_levels(axes, shown)
                _limit(axes, beside, of_env)
                axes.set_title(f"{_title(env, expert)}\n{counted(number, 'demonstration')}", fontsize=10)
            first = next(axes for axes in of_row if axes.get_visible())
            first.set_ylabel("score (0 = random, 1 = expert)")
            first.tick_params(labelleft=True)
        for of_column in grid.T:
            last = next(axes for axes in of_column[::-1] if axes.get_visible())
            last.set_xlabel("env steps of a seed (millions)")
            last.tick_params(labelbottom=True)
        _draw_key(figure, summaries, levels=True)
    return figure


def _draw_scores(axes: Axes, summaries: Sequence[Summary]) -> None:
    """One panel: a line with intervals for each method, side by side."""
    numbers = [summary.demonstrations for summary in summaries]
    methods = [method for method in METHODS if any(method in summary.scores for summary in summaries)]
    for index, method in enumerate(methods):
        color, marker = METHODS[method].color, METHODS[method].marker
        has = [summary for summary in summaries if method in summary.scores]
        x = np.array([summary.demonstrations for summary in has]) * 1.06 ** (index - (len(methods) - 1) / 2)
        mean, low, high = np.array([summary.scores[method] for summary in has]).T
        errors = np.maximum([mean - low, high - mean], 0.0)
        axes.errorbar(x, mean, errors, color=color, marker=marker, markersize=6, capsize=3, linewidth=1.6)
    axes.axhline(1, color="black", linewidth=1, zorder=1)
    _draw_floors(axes, summaries[0])
    axes.set_xscale("log")
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(numbers) / 1.5, max(numbers) * 1.5)
    axes.set_xlabel("demonstrations (episodes)")
    axes.set_title(_title(summaries[0].env, summaries[0].expert))


def _draw_curves(axes: Axes, curves: Sequence[Curve]) -> None:
    """Means with their intervals; marks in turn, so that curves on top of each other are seen as two."""
    if not curves:
        axes.text(0.5, 0.5, "no MAGAIL cell", transform=axes.transAxes, ha="center", va="center", color="0.45")
    for index, curve in enumerate(curves):
        color, marker = METHODS[curve.method].color, METHODS[curve.method].marker
        steps, apart = curve.env_steps / 1e6, max(len(curve.env_steps) // MARKS, 1)
        marks: dict[str, Any] = {"marker": marker, "markersize": 5, "markevery": (index * apart // len(curves), apart)}
        axes.fill_between(steps, *mean_band(curve.normalized_return), color=color, alpha=0.25, linewidth=0)
        axes.plot(steps, curve.normalized_return.mean(axis=1), color=color, linewidth=1.8, **marks)


def _draw_levels(axes: Axes, summaries: Sequence[Summary]) -> None:
    """Lines from side to side beside learning curves: the expert, the floors, and where cloning ends."""
    axes.axhline(1, color="black", linewidth=1, zorder=1)
    for summary in summaries:
        if summary.is_one_side:
            continue
        _draw_floors(axes, summary)
        for name, method in METHODS.items():
            if method.algorithm == "cloning" and name in summary.scores:
                level = summary.scores[name].estimate
                axes.axhline(level, color=method.color, linewidth=1.8, linestyle=(0, (5, 2)), zorder=2)


def _draw_floors(axes: Axes, summary: Summary) -> None:
    for name, score in summary.floors.items():
        axes.axhline(score, color="0.45", linewidth=1.2, linestyle=FLOOR_STYLES[name][0], zorder=1)


def _limit(axes: Axes, summaries: Sequence[Summary], curves: Sequence[Curve] = ()) -> None:
    """From random to the expert, and as far beyond as there is something to see, within limits."""
    seen = [end for summary in summaries for score in summary.scores.values() for end in (score.low, score.high)]
    seen += [score for summary in summaries for score in summary.floors.values()]
    for curve in curves:
        seen += [float(curve.normalized_return.mean(axis=1).min()), float(curve.normalized_return.mean(axis=1).max())]
    finite = [value for value in seen if np.isfinite(value)] or [0.0]
    axes.set_ylim(max(min(-0.03, *finite) - 0.05, LOWEST), min(max(1.08, max(finite) + 0.08), HIGHEST))


def _draw_key(figure: Figure, summaries: Sequence[Summary], *, levels: bool) -> None:
    """What colours and lines mean, below all panels; `levels` where cloning is a line from side to side."""
    shown = {method for summary in summaries for method in summary.scores}
    floors = {name for summary in summaries for name in summary.floors}
    handles = []
    for name, method in METHODS.items():
        if name in shown:
            style: dict[str, Any] = {"marker": method.marker, "label": method.label}
            if levels and method.algorithm == "cloning":
                style = {"linestyle": (0, (5, 2)), "label": f"{method.label}, at its end"}
            handles.append(Line2D([], [], color=method.color, linewidth=1.8, **style))
    handles.append(Line2D([], [], color="black", linewidth=1, label="expert"))
    for name, (linestyle, label) in FLOOR_STYLES.items():
        if name in floors:
            handles.append(Line2D([], [], color="0.45", linewidth=1.2, linestyle=linestyle, label=label))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3 if figure.get_figwidth() > 11 else 2,
        handlelength=3.5,
        frameon=False,
    )


def _what(of: Curve | Summary) -> tuple[str, str, int]:
    return of.env, of.expert, of.demonstrations


def _title(env: str, expert: str) -> str:
    return f"{env}, {expert} expert"
