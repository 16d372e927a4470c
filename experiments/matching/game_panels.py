"""Panels for what the 2×2 matching game does not need: policies over three actions, and games without conventions."""

import numpy as np
from matplotlib.axes import Axes

from coordination_env.games import MatrixGame
from experiments.matching.figure_parts import Agent, Array, Group, draw_mean, label_betas
from experiments.matching.games import letters

_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
"""The points of the policies that always play A, B or C."""


def draw_nash_conv(axes: Axes, groups: list[Group], agent: Agent) -> None:
    """How much the agents together would gain from best responses, by β: for games without conventions."""
    for group in groups:
        draw_mean(axes, group, group.position, group.runs["nash_conv"], agent)
    top = max(0.1, *(group.runs["nash_conv"].max() for group in groups))
    axes.set_ylim(-0.02 * top, 1.1 * top)
    label_betas(axes, groups)
    axes.set_ylabel("NashConv (payoff)")
    axes.set_title("Gain from best responses: mean, 95 % interval, seeds")


def draw_simplex(axes: Axes, groups: list[Group], agents: list[Agent], game: MatrixGame) -> None:
    """Each agent's final policy over three actions as a point in a triangle whose corners are the actions."""
    axes.fill(_CORNERS[:, 0], _CORNERS[:, 1], facecolor="0.97", edgecolor="0.4", zorder=0)
    axes.scatter(*np.split(_CORNERS.mean(axis=0), 2), marker="+", color="0.4", s=140, zorder=1)
    for group in groups:
        for agent in agents:
            points = simplex_points(group, agent)
            axes.scatter(*points.T, s=36, marker=agent.marker, color=agent.face(group.color), ec=[group.color])
    offsets = np.array([[0, -0.07], [0, -0.07], [0, 0.03]])
    names = [f"{letter} = {name}" for letter, name in zip(letters(game), game.action_names[0], strict=True)]
    for name, place, align in zip(names, _CORNERS + offsets, ("left", "right", "center"), strict=True):
        axes.text(float(place[0]), float(place[1]), name, ha=align, va="bottom" if align == "center" else "center")
    axes.set_aspect("equal")
    axes.set_ylim(-0.12, 0.98)
    axes.set_axis_off()
    axes.set_title("Final policy of each agent and seed (+: uniform)")


def simplex_points(group: Group, agent: Agent) -> Array:
    """The points of an agent's policies, `[S, 2]`: means of the corners, weighted by their probabilities."""
    return np.stack([group.runs[f"prob_{letter}_{agent.name}"] for letter in "abc"], axis=-1) @ _CORNERS
