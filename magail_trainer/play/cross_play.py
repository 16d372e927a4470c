"""Trained policies against others: what each agent earns when a joint policy of another origin plays the rest.

A side is a list of agents, which the learner plays; the opponents play all others.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from magail_trainer.data.joint_policies import JointPolicy, RandomJointPolicy, Sides
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.errors import InputError
from magail_trainer.play.load_runs import TrainedRuns
from magail_trainer.play.results import ACTING, LEARNER, Column, Earner, Evaluation
from magail_trainer.play.scores import Reference, mean_returns, play
from magail_trainer.play.statistics import Mean
from magail_trainer.play.trained_policy import TrainedJointPolicy


def choose_sides(agents: Sequence[str], side: Sequence[str]) -> list[tuple[str, ...]]:
    """The sides that the learner takes one after another: the one that was asked for, or each agent by itself.

    Raises:
        InputError: `side` names an agent that there is not, one twice, or all of them.
    """
    for agent in side:
        if agent not in agents or list(side).count(agent) > 1:
            raise InputError(f"--side names {agent!r}; expected some of {', '.join(agents)}, each at most once.")
    if len(side) == len(agents):
        raise InputError("--side names every agent, which leaves none for the opponents to play.")
    return [tuple(side)] if side else [(agent,) for agent in agents]


def side_mean(returns: Mapping[Any, Any], side: Sequence[str]) -> Any:
    """What a side earns: the mean over its agents of numbers, or arrays of one shape, by agent."""
    return sum(returns[agent] for agent in side) / len(side)


def cross_play(
    trained: TrainedRuns,
    opponents: JointPolicy,
    *,
    sides: Sequence[Sequence[str]],
    episodes: int,
    seed: int,
    processes: int = 1,
) -> Evaluation:
    """Each run plays each side against the opponents, with drawn actions and with the likeliest ones.

    Args:
        trained: the runs.
        opponents: play all agents that are not on the side.
        sides: lists of agents.
        episodes: of each run on each side, twice.
        seed: decides all chance; every pairing starts in the same episodes.
        processes: how many step the copies of an env that has no vectorised form of its own.

    Returns:
        a row for each side and run: the mean return of each agent and of the learner's side.

    Raises:
        InputError: a number is out of range.
    """
    rows: dict[str, list[Any]] = {"side": [], "beta": [], "seed": []}
    earners: list[Earner] = [*trained.policies.agents, LEARNER]
    returns: dict[Column, list[float]] = {(acting, earner): [] for acting in ACTING for earner in earners}
    players = [
        [TrainedJointPolicy(trained.entry, trained, run=run, greedy=acting == "greedy") for acting in ACTING]
        for run in range(len(trained.runs))
    ]
    for side, (run, pair) in product(sides, enumerate(players)):
        row = (_label(side), float(trained.runs.beta[run]), int(trained.runs.seed[run]))
        for column, value in zip(rows.values(), row, strict=True):
            column.append(value)
        for acting, player in zip(ACTING, pair, strict=True):
            together = Sides(player, opponents, side)
            played = play(trained.entry, together, episodes=episodes, seed=seed, processes=processes)
            earned = mean_returns(played)
            earned[LEARNER] = side_mean(earned, side)
            for earner in earners:
                returns[acting, earner].append(earned[earner])
    return Evaluation(rows, returns)


def make_side_reference(
    entry: EnvEntry,
    expert: JointPolicy,
    opponents: JointPolicy,
    *,
    sides: Sequence[Sequence[str]],
    episodes: int,
    seed: int,
    processes: int = 1,
) -> Reference:
    """Play the random joint policy and the expert on each side against the opponents.

    Args:
        entry: the env.
        expert: scores 1.
        opponents: as for `cross_play`. If they are the expert too, make them anew: each of the two then has a random
            stream of its own, and they cannot coordinate by chance.
        sides: as for `cross_play`, and so are the others.
        episodes: of each pairing.
        seed: decides all chance.
        processes: step the copies.

    Returns:
        by side, as in the column `side` of `cross_play`, the mean over its agents.

    Raises:
        InputError: a number is out of range.
    """
    ends: list[dict[str, Mean]] = [{}, {}]
    for side in sides:
        for end, player in enumerate((RandomJointPolicy(entry), expert)):
            together = Sides(player, opponents, side)
            played = play(entry, together, episodes=episodes, seed=seed, processes=processes)
            ends[end][_label(side)] = Mean.of(side_mean(played.returns, side))
    return Reference.of(*ends)


def _label(side: Sequence[str]) -> str:
    return "+".join(side)
