"""The six panels of the coordination experiment, drawn from saved results.

`figure_parts` explains colours and shapes. `R` is the number of runs, `K` of recorded epochs; agent i of N has `A_i`
actions.
"""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from coordination_env.games import MatrixGame, matching
from experiments.matching.best_product import best_product_js
from experiments.matching.figure_parts import (
    INTERVAL_COLOR,
    Agent,
    Array,
    Group,
    by_beta,
    convention_colors,
    draw_mean,
    label_betas,
    looks_of_agents,
    means_and_errors,
)
from experiments.matching.game_panels import draw_nash_conv, draw_simplex
from experiments.matching.games import conventions, joint_action_names, legend
from experiments.matching.metrics import js_distance
from experiments.studies.plotting import STYLE
from magail_trainer.learn.config import PolicyStyle

MEAN_LOOKS_LIKE_EXPERT = 0.5
"""The mean over seeds misleads when its JS distance is below this share of the nearest run's and of the limit."""

_MATCHING = matching()


def coordination_figure(
    runs: Mapping[str, Array],
    history: Mapping[str, Array],
    expert_joint: Array,
    *,
    title: str,
    game: MatrixGame = _MATCHING,
    policy: PolicyStyle = "independent",
) -> Figure:
    """Six panels on what the runs of a (β, seed) sweep of a game learned.

    Policies over three actions are points in a triangle; a game without strict pure equilibria has a panel on the gain
    from best responses instead of the one on conventions.

    Args:
        runs: the columns of `runs.csv`, `[R]` each.
        history: `epoch [K]`, and `prob_a_<agent> [K, R]` of every agent, in the order of `runs`.
        expert_joint: `[A_1..A_N]`
        title: of the figure; the legend of the action letters is below it.
        game: the game that was played.
        policy: the class of the policies; the region out of reach is shaded for independent ones only.

    Raises KeyError if a column is missing, ValueError if `history` is not of these runs.
    """
    agents = looks_of_agents(game)
    for agent in agents:
        shape = (history["epoch"].size, runs["beta"].size)
        if history[f"prob_a_{agent.name}"].shape != shape:
            raise ValueError(f"history of {agent.name} is not [epochs, runs] = {shape}")
    groups = by_beta(runs)
    limit = best_product_js(expert_joint).distance
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(15, 8.8), layout="constrained")
        figure.suptitle("\n".join(filter(None, [title, legend(game)])), fontsize=14, fontweight="bold")
        panels = figure.subplots(2, 3).flat
        _draw_prob_a(next(panels), groups, agents, game)
        _draw_js_distance(next(panels), groups, agents[0], limit, policy)
        if max(game.num_actions) == 3:
            draw_simplex(next(panels), groups, agents, game)
        else:
            _draw_seeds(next(panels), groups, agents, game)
        if conventions(game):
            _draw_conventions(next(panels), groups, game)
        else:
            draw_nash_conv(next(panels), groups, agents[0])
        _draw_joint(next(panels), groups, expert_joint, limit, game)
        _draw_training(next(panels), groups, history, agents, game)
        _draw_key(figure, groups, agents, game)
    return figure


def _draw_prob_a(axes: Axes, groups: list[Group], agents: list[Agent], game: MatrixGame) -> None:
    for group in groups:
        for agent in agents:
            draw_mean(axes, group, group.position + 0.2 * agent.side, group.runs[f"prob_a_{agent.name}"], agent)
    label_betas(axes, groups)
    _label_prob_a(axes, "final P(A)", game)
    axes.set_title("Final P(A): mean, 95 % interval, and single seeds")


def _draw_js_distance(axes: Axes, groups: list[Group], agent: Agent, limit: float, policy: PolicyStyle) -> None:
    for group in groups:
        draw_mean(axes, group, group.position, group.runs["js_distance"], agent)
    label = f"best that independent policies can reach: {limit:.3f}"
    if policy == "independent":
        axes.axhspan(0, limit, color="0.93", zorder=0)
    else:
        label = f"for comparison: {label}"
    axes.axhline(limit, color="black", linestyle="dashdot", label=label)
    top = max(0.1, limit, *(group.runs["js_distance"].max() for group in groups))
    axes.set_ylim(-0.02 * top, 1.3 * top)
    axes.legend(loc="upper right")
    label_betas(axes, groups)
    axes.set_ylabel("JS distance to the expert (base 2)")
    axes.set_title("Joint JS distance: mean, 95 % interval, single seeds")


def _draw_seeds(axes: Axes, groups: list[Group], agents: list[Agent], game: MatrixGame) -> None:
    """The agents of a seed, joined by a thin line, in the colour of the seed's convention."""
    colors_of = convention_colors(game)
    for group in groups:
        colors = [colors_of[name] for name in group.runs["convention"]]
        size = float(np.clip(220 / group.seeds, 6, 24))
        jitter = group.jitter(0.24 / len(agents))
        x = np.stack([group.position + 0.2 * agent.side + jitter for agent in agents], axis=-1)
        y = np.stack([group.runs[f"prob_a_{agent.name}"] for agent in agents], axis=-1)
        paths = list(np.stack([x, y], axis=-1))
        axes.add_collection(LineCollection(paths, colors=colors, linewidths=0.7, alpha=group.faintness(8)))
        for column, agent in enumerate(agents):
            axes.scatter(x[:, column], y[:, column], s=size, color=agent.face(colors), marker=agent.marker, ec=colors)
    label_betas(axes, groups)
    _label_prob_a(axes, "final P(A)", game)
    number = "two" if len(agents) == 2 else str(len(agents))
    axes.set_title(f"Final P(A) of each seed, its {number} agents joined")


def _draw_conventions(axes: Axes, groups: list[Group], game: MatrixGame) -> None:
    for group in groups:
        bottom = 0.0
        for name, color in convention_colors(game).items():
            count = int((group.runs["convention"] == name).sum())
            share = count / group.seeds
            axes.bar(group.position, share, 0.7, bottom=bottom, color=color, edgecolor="white")
            if count:
                axes.text(group.position, bottom + share / 2, str(count), ha="center", va="center", size=9)
            bottom += share
    label_betas(axes, groups)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of seeds")
    axes.set_title("Convention reached: share and number of seeds")


def _draw_joint(axes: Axes, groups: list[Group], expert_joint: Array, limit: float, game: MatrixGame) -> None:
    """Bars for the joint pooled over seeds, dots for that of each seed: the pooled one may be like none of them."""
    names = joint_action_names(game)
    x = np.arange(len(names))
    axes.bar(x, expert_joint.ravel(), 0.9, color="0.9", edgecolor="black", label="expert")
    width, highest = 0.8 / len(groups), expert_joint.max()
    for group in groups:
        offset = (group.position - (len(groups) - 1) / 2) * width
        probs = [group.runs[f"joint_{name.lower()}"] for name in names]
        highest = max(highest, np.max(probs))
        means, errors = means_and_errors(probs)
        axes.bar(x + offset, means, width, color=group.color, yerr=errors, error_kw={"ecolor": INTERVAL_COLOR})
        places = (x + offset)[:, np.newaxis] + group.jitter(0.3 * width)
        label = "single seeds" if group is groups[0] else None
        axes.scatter(
            places, np.stack(probs), s=9, color="white", ec="black", lw=0.6, alpha=group.faintness(5), label=label
        )
    crowded = len(names) > 9
    axes.set_xticks(x, names, rotation=90 if crowded else 0, size=8 if crowded else 10)
    axes.set_xlabel(f"joint action ({'agent_0, agent_1' if game.num_agents == 2 else 'agent_0, agent_1, …'})")
    axes.set_ylabel("probability")
    top = 1.0 if highest > 0.5 else 0.5
    axes.set_ylim(0, 1.42 * top)  # room for the words
    axes.set_yticks(np.linspace(0, top, 6))
    axes.legend(loc="upper left", ncols=2)
    axes.set_title("Final joint: pooled seeds, 95 % interval, single seeds")
    misleading = _misleading_betas(groups, expert_joint, limit, game)
    if misleading:
        named = ", ".join(misleading[:3]) + (", …" if len(misleading) > 3 else "")
        note = f"β = {named}: pooled over seeds, the joint is near\nthe expert's, and that of no single run is"
        axes.text(0.02, 0.87, note, transform=axes.transAxes, ha="left", va="top", size=9)


def _misleading_betas(groups: list[Group], expert_joint: Array, limit: float, game: MatrixGame) -> list[str]:
    """The βs where the mean over seeds looks like the expert and no single run does.

    Seeds that collapse to AA and seeds that collapse to BB average to a mixture that none of them plays. There is
    nothing to warn of where independent policies can match the expert (the limit is zero), nor where single runs of
    another class come near it.
    """
    misleading = []
    for group in groups:
        pooled = np.array([group.runs[f"joint_{name.lower()}"].mean() for name in joint_action_names(game)])
        of_pooled = js_distance(pooled.reshape(expert_joint.shape), expert_joint)
        nearest = group.runs["js_distance"].min()
        far = nearest > MEAN_LOOKS_LIKE_EXPERT * limit  # of independent policies every run is
        if far and of_pooled < MEAN_LOOKS_LIKE_EXPERT * min(limit, nearest):
            misleading.append(f"{group.beta:g}")
    return misleading


def _draw_training(
    axes: Axes, groups: list[Group], history: Mapping[str, Array], agents: list[Agent], game: MatrixGame
) -> None:
    for group in groups:
        for agent in agents:
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
    _label_prob_a(axes, "P(A)", game)
    axes.set_xlabel("epoch")
    axes.set_title("P(A) over training, one line per seed")


def _draw_key(figure: Figure, groups: list[Group], agents: list[Agent], game: MatrixGame) -> None:
    """The legend of shapes and colours for all panels, below them."""
    marks = [
        Line2D(
            [], [], color="0.3", marker=agent.marker, mfc=agent.face("0.3"), linestyle=agent.linestyle, label=agent.name
        )
        for agent in agents
    ]
    named = convention_colors(game).items() if conventions(game) else ()
    reached = [Patch(color=color, label=f"seeds in {name}") for name, color in named]
    betas = [Patch(color=group.color, label=f"β = {group.beta:g}") for group in groups]
    handles = [*marks, *reached, *betas]
    figure.legend(handles=handles, loc="outside lower center", ncols=11, handlelength=3, frameon=False)


def _label_prob_a(axes: Axes, label: str, game: MatrixGame) -> None:
    axes.axhline(1 / max(game.num_actions), color="0.6", linestyle="dotted", linewidth=1, zorder=0)
    axes.set_ylim(-0.04, 1.04)
    axes.set_ylabel(label)
