"""The payoff table of a game, as text and as a picture of that text, with the played joint action marked.

Rows are the joint actions of all agents but the last, columns the actions of the last. Of a big table a window around
the marked cell is shown. Matplotlib is imported only when a picture is asked for.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from coordination_env.games import MatrixGame

MOST_LINES = 12
"""The most rows, and the most columns, that are shown."""

MARK = "#d55e00"
"""Vermilion of the Okabe-Ito palette: stands out from black for colour-blind readers too."""


LETTER_INCHES = 0.085


def as_text(game: MatrixGame, agents: Sequence[str], joint: int | None, heading: str) -> str:
    """The table in plain characters, the marked cell in brackets.

    Args:
        game: what is played.
        agents: its players.
        joint: row-major index of the joint action that was played; None for nothing yet.
        heading: the first line.
    """
    *row_counts, num_columns = game.num_actions
    payoffs = game.payoffs.reshape(game.num_agents, -1, num_columns)
    row, column = divmod(joint or 0, num_columns)
    rows, columns = _window(row, prod(row_counts)), _window(column, num_columns)
    cells = [[f" {_numbers(payoffs[:, r, c])} " for c in columns] for r in rows]
    if joint is not None:
        cells[row - rows[0]][column - columns[0]] = f"[{_numbers(payoffs[:, row, column])}]"
    body = [[f" {game.action_names[-1][c]} " for c in columns], *cells]
    widths = [max(len(line[i]) for line in body) for i in range(len(columns))]
    labels = [", ".join(agents[:-1]), *(_action_names(game, r, row_counts) for r in rows)]
    margin = max(len(label) for label in labels)
    lines = [
        label.ljust(margin) + " " + " ".join(cell.center(width) for cell, width in zip(line, widths, strict=True))
        for label, line in zip(labels, body, strict=True)
    ]
    title = " " * (margin + 2) + agents[-1]
    caption = _caption(game, joint, num_shown=len(rows) * len(columns))
    return "\n".join(line.rstrip() for line in [heading, title, *lines, caption])


def as_picture(game: MatrixGame, agents: Sequence[str], joint: int | None, heading: str) -> NDArray[np.uint8]:
    """The text as pixels, `[H, W, 3]`, the marked cell in colour. All pictures of a game have one size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    text = as_text(game, agents, joint, heading)
    marked = "".join(letter if letter == "\n" else " " for letter in text)
    if joint is not None:
        first, last = text.index("["), text.index("]") + 1
        marked = marked[:first] + text[first:last] + marked[last:]
        text = text[:first] + " " * (last - first) + text[last:]
    figure = Figure(
        figsize=(LETTER_INCHES * _most_letters(game, agents) + 0.4, 0.25 * (text.count("\n") + 1) + 0.3), dpi=100
    )
    canvas = FigureCanvasAgg(figure)
    for letters, colour, weight in ((text, "black", "normal"), (marked, MARK, "bold")):
        words = figure.text(0.2 / figure.get_figwidth(), 0.5, letters, linespacing=1.5, verticalalignment="center")
        words.set(color=colour, fontweight=weight, fontfamily="monospace")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _most_letters(game: MatrixGame, agents: Sequence[str]) -> int:
    """More than any line of the game's text has."""
    names = [max(len(name) for name in names) for names in game.action_names]
    payoffs = (max(len(f"{payoff:g}") for payoff in np.unique(game.payoffs)) + 2) * game.num_agents
    margin = max(sum(names[:-1]) + 2 * len(names), len(", ".join(agents[:-1])))
    columns = min(MOST_LINES, game.num_actions[-1]) * (max(payoffs, names[-1]) + 3)
    caption = (
        25 + sum(names) + payoffs + (30 if max(prod(game.num_actions[:-1]), game.num_actions[-1]) > MOST_LINES else 0)
    )
    return max(margin + columns, caption)


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
