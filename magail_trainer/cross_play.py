"""Trained policies against others: what each agent earns when a joint policy of another origin plays the rest."""

from collections.abc import Sequence

from magail_trainer.errors import InputError
from magail_trainer.evaluation import TEAM
from magail_trainer.joint_policies import JointPolicy, Sides
from magail_trainer.scores import played_returns
from magail_trainer.trained_policy import TrainedJointPolicy
from magail_trainer.trained_runs import TrainedRuns


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


def cross_play(
    trained: TrainedRuns, opponents: JointPolicy, *, sides: Sequence[Sequence[str]], episodes: int, seed: int
) -> dict[str, list]:
    """Each run plays each side against the opponents, with drawn actions and with the likeliest ones.

    Args:
        trained: the runs.
        opponents: play all agents that are not on the side.
        sides: lists of agents.
        episodes: of each run on each side, twice.
        seed: decides all chance; every pairing starts in the same episodes.

    Returns:
        a table, a row for each side and run: side (its agents, with a plus between them), beta, seed, and the mean
        return of each agent (`return_...`, `greedy_return_...`).

    Raises:
        InputError: a number is out of range.
    """
    table: dict[str, list] = {}
    players = [
        [TrainedJointPolicy(trained.entry, trained, run=run, greedy=greedy) for greedy in (False, True)]
        for run in range(len(trained.runs))
    ]
    for side in sides:
        for run, pair in enumerate(players):
            row = {"side": "+".join(side), "beta": float(trained.runs.beta[run]), "seed": int(trained.runs.seed[run])}
            for prefix, player in zip(("return_", "greedy_return_"), pair, strict=True):
                together = Sides(player, opponents, side)
                earned = played_returns(trained.entry, together, episodes=episodes, seed=seed)
                row |= {f"{prefix}{name}": value for name, value in earned.items() if name != TEAM}
            for name, value in row.items():
                table.setdefault(name, []).append(value)
    return table
