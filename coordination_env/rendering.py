"""The payoff table of a game, as text and as a picture, with the joint action that was played marked.

Rows are the joint actions of all agents but the last, columns the actions of the last. Of a big table a window around
the marked cell is shown. Matplotlib is imported only when a picture is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coordination_env.games import MatrixGame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 12
"""The most rows, and the most columns, that are shown."""

MARK = "#d55e00"
"""Vermilion of the Okabe-Ito palette: stands out from the blues for colour-blind readers too."""

LETTER_INCHES = 0.085
DPI = 100


@dataclass(frozen=True)
class PayoffTable:
    """What is shown of a game: labels, payoffs as text, and shades from 0 (worst for all together) to 1 (best).

    The three `*_letters` are the room for the longest text that the game can need, shown now or not: every frame of an
    episode then has the same size, as a video needs.
    """

    row_axis: str
    column_axis: str
    rows: list[str]
    columns: list[str]
    cells: list[list[str]]
    shades: NDArray[np.float64]
    marked: tuple[int, int] | None
    caption: str
    row_letters: int
    cell_letters: int
    caption_letters: int


def payoff_table(game: MatrixGame, agents: Sequence[str], joint: int | None) -> PayoffTable:
    """Lay out a game in which the joint action of row-major index `joint` was played (None: nothing yet)."""
    *row_counts, num_columns = game.num_actions
    payoffs = game.payoffs.reshape(game.num_agents, -1, num_columns)
    row, column = divmod(joint or 0, num_columns)
    rows, columns = _window(row, prod(row_counts)), _window(column, num_columns)
    welfare = payoffs.mean(axis=0)
    name_letters = [max(len(name) for name in names) for names in game.action_names]
    payoff_letters = (max(len(f"{payoff:g}") for payoff in np.unique(payoffs)) + 2) * game.num_agents
    return PayoffTable(
        row_axis=", ".join(agents[:-1]),
        column_axis=agents[-1],
        rows=[_action_names(game, index, row_counts) for index in rows],
        columns=[game.action_names[-1][index] for index in columns],
        cells=[[_numbers(payoffs[:, r, c]) for c in columns] for r in rows],
        shades=((welfare - welfare.min()) / (np.ptp(welfare) or 1.0))[np.ix_(rows, columns)],
        marked=None if joint is None else (row - rows[0], column - columns[0]),
        caption=_caption(game, joint, num_shown=len(rows) * len(columns)),
        row_letters=sum(name_letters[:-1]) + 2 * len(row_counts),
        cell_letters=max(payoff_letters, name_letters[-1]),
        caption_letters=40 + sum(name_letters) + 2 * game.num_agents + payoff_letters,
    )


def as_text(table: PayoffTable, heading: str) -> str:
    """The table in plain characters; the marked cell is in brackets."""
    cells = [[f" {cell} " for cell in row] for row in table.cells]
    if table.marked is not None:
        row, column = table.marked
        cells[row][column] = f"[{table.cells[row][column]}]"
    body = [[f" {name} " for name in table.columns], *cells]
    widths = [max(len(line[i]) for line in body) for i in range(len(table.columns))]
    labels = [table.row_axis, *table.rows]
    margin = max(len(label) for label in labels)
    lines = [
        label.ljust(margin) + " " + " ".join(cell.center(width) for cell, width in zip(line, widths, strict=True))
        for label, line in zip(labels, body, strict=True)
    ]
    title = " " * (margin + 2) + table.column_axis
    return "\n".join(line.rstrip() for line in [heading, title, *lines, table.caption])


def as_picture(table: PayoffTable, heading: str) -> NDArray[np.uint8]:
    """The table as pixels, `[H, W, 3]`: a bluer cell is better for the agents together, the marked one is framed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cell_width, cell_height = max(1.3, LETTER_INCHES * table.cell_letters), 0.8
    table_width, table_height = cell_width * len(table.columns), cell_height * len(table.rows)
    margin = 0.65 + LETTER_INCHES * table.row_letters
    width = max(margin + table_width + 0.2, LETTER_INCHES * table.caption_letters, LETTER_INCHES * 1.5 * len(heading))
    height = 0.85 + table_height + 0.5
    left = margin + (width - 0.2 - margin - table_width) / 2
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((left / width, 0.5 / height, table_width / width, table_height / height))
    _draw_cells(axes, table)
    figure.text(0.5, 1 - 0.12 / height, heading, ha="center", va="top", fontsize=12, fontweight="bold")
    figure.text(0.5, 0.15 / height, table.caption, ha="center", va="bottom", fontsize=10, color="0.25")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_cells(axes: Axes, table: PayoffTable) -> None:
    from matplotlib.patches import Rectangle

    num_rows, num_columns = table.shades.shape
    # The upper half of the colour map would be too dark for black text.
    axes.imshow(table.shades, cmap="Blues", vmin=-0.15, vmax=2.0, aspect="auto")
    axes.set_xticks(range(num_columns), table.columns)
    axes.set_yticks(range(num_rows), table.rows)
    axes.set_xlabel(table.column_axis, fontsize=10, color="0.25", labelpad=8)
    axes.set_ylabel(table.row_axis, fontsize=10, color="0.25")
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, labelsize=10, top=True, bottom=False, labeltop=True, labelbottom=False)
    for edge in np.arange(num_rows - 1) + 0.5:
        axes.axhline(edge, color="white", linewidth=3)
    for edge in np.arange(num_columns - 1) + 0.5:
        axes.axvline(edge, color="white", linewidth=3)
    axes.spines[:].set_visible(False)
    for row, column in np.ndindex(num_rows, num_columns):
        axes.text(column, row, table.cells[row][column], ha="center", va="center", fontsize=11)
    if table.marked is not None:
        row, column = table.marked
        axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=MARK, linewidth=4, clip_on=False, zorder=3)
        )


def _window(index: int, size: int) -> range:
    """At most MOST_LINES neighbours of `index`, itself included."""
    start = min(max(0, index - MOST_LINES // 2), max(0, size - MOST_LINES))
    return range(start, min(size, start + MOST_LINES))


def _action_names(game: MatrixGame, index: int, counts: Sequence[int]) -> str:
    """The names of the first `len(counts)` agents' actions, from the row-major index over `counts`."""
    actions = np.unravel_index(index, counts) if counts else ()
    return ", ".join(names[action] for names, action in zip(game.action_names, actions, strict=False))


def _numbers(payoffs: NDArray[np.float64]) -> str:
    return ", ".join(f"{payoff:g}" for payoff in payoffs)


def _caption(game: MatrixGame, joint: int | None, *, num_shown: int) -> str:
    if joint is None:
        caption = "nothing played yet"
    else:
        earned = _numbers(game.payoffs.reshape(game.num_agents, -1)[:, joint])
        caption = f"played {_action_names(game, joint, game.num_actions)}: payoffs {earned}"
    total = prod(game.num_actions)
    return caption if num_shown == total else f"{caption} ({num_shown} of {total} cells shown)"
