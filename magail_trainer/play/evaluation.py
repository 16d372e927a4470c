"""Play trained policies, and count what they do."""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from magail_trainer.envs.env_calls import closed_after
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.errors import InputError
from magail_trainer.learn.encoders import Codes, joint_row
from magail_trainer.learn.policies import Policies
from magail_trainer.learn.rollout import Rollout, SampledRollouts
from magail_trainer.learn.runs import Runs
from magail_trainer.play.load_runs import TrainedRuns
from magail_trainer.play.results import ACTING, TEAM, Column, Evaluation

_AT_ONCE = 200
_AT_ONCE_ONE_BY_ONE = 32  # of an env that is stepped copy by copy: many copies are large, and no faster
_MAX_JOINT_ACTIONS = 16


def evaluation_rollouts(
    entry: EnvEntry,
    codes: Codes,
    policies: Policies,
    runs: Runs,
    *,
    episodes: int,
    seed: int = 0,
    greedy: bool = False,
    for_critic: bool = False,
    purpose: str = "evaluation",
    processes: int = 1,
) -> Iterator[Rollout]:
    """Play `episodes` episodes of every run, a few hundred at a time.

    The noise is keyed by the seed of the run and `seed`; it is not that of training. The episodes start alike with
    `greedy` and without.

    Args:
        entry: the env.
        codes: of its spaces.
        policies: play.
        runs: their seeds.
        episodes: of each run.
        seed: decides all chance, with the runs' seeds.
        greedy: play the likeliest action of each agent in place of a drawn one.
        for_critic: keep what each agent observed last, and how episodes end; see `SampledRollouts`.
        purpose: names the stream of noise.
        processes: how many step the copies of an env that has no vectorised form of its own.

    Raises:
        InputError: a number out of range.
    """
    if episodes < 1:
        raise InputError(f"The number of evaluation episodes must be at least 1, not {episodes}.")
    if seed < 0:
        raise InputError(f"A seed must be at least 0, not {seed}.")
    device = next(policies.parameters()).device
    at_once = min(episodes, _AT_ONCE if entry.has_native_vector_env else _AT_ONCE_ONE_BY_ONE)
    for size, chunks in _chunks(episodes, at_once):
        with closed_after(entry.make_vector(len(runs) * size, processes=processes)) as vector_env:
            for first in chunks:
                rollouts = SampledRollouts(
                    vector_env,
                    codes,
                    seeds=runs.seed.tolist(),
                    episodes=size,
                    device=device,
                    purpose=f"{purpose}/{seed}/{first}",
                    for_critic=for_critic,
                    greedy=greedy,
                )
                yield rollouts.collect(policies)


def _chunks(episodes: int, at_once: int) -> list[tuple[int, range]]:
    """(size, the first episode of each chunk of this size): whole chunks, then the rest."""
    whole = episodes // at_once * at_once
    chunks = [(at_once, range(0, whole, at_once)), (episodes - whole, range(whole, episodes, at_once))]
    return [(size, firsts) for size, firsts in chunks if size]


def joint_action_counts(rollout: Rollout, codes: Codes) -> Float[np.ndarray, "R J"]:
    """How often each run played each of the J joint actions, in row-major order of the agents' actions.

    Steps at which somebody has left are not counted: who has left does nothing.
    """
    sizes = [code.size for code in codes.actions.values()]
    joint = joint_row([rollout.batch.actions[agent] for agent in codes.actions], sizes).cpu().numpy()
    complete = rollout.batch.weight > 0
    for there in rollout.batch.active.values():
        complete = complete & there
    num_joint = int(np.prod(sizes))
    counts = [
        np.bincount(row[kept], minlength=num_joint) for row, kept in zip(joint, complete.cpu().numpy(), strict=True)
    ]
    return np.asarray(counts, dtype=np.float64)


def evaluate(trained: TrainedRuns, *, episodes: int, seed: int, processes: int = 1) -> Evaluation:
    """Play trained policies, with drawn actions and with the likeliest ones.

    Args:
        trained: the runs.
        episodes: of each run, twice.
        seed: decides all chance.
        processes: how many step the copies of an env that has no vectorised form of its own.

    Returns:
        the mean return of each agent and of the team, and the share of each joint action drawn, where there are at
        most 16.

    Raises:
        InputError: a number is out of range.
    """
    returns: dict[Column, list[float]] = {}
    counts: Float[np.ndarray, "R J"] | None = None
    sizes = [code.size for code in trained.codes.finite_actions.values()]
    few = bool(sizes) and math.prod(sizes) <= _MAX_JOINT_ACTIONS
    for acting in ACTING:
        means = {agent: np.zeros(len(trained.runs)) for agent in trained.policies.agents}
        for rollout in evaluation_rollouts(
            trained.entry,
            trained.codes,
            trained.policies,
            trained.runs,
            episodes=episodes,
            seed=seed,
            greedy=acting == "greedy",
            processes=processes,
        ):
            for agent, value in rollout.mean_return.items():
                means[agent] += value.cpu().numpy() * rollout.batch.num_episodes / episodes
            if few and acting == "sampled":
                played = joint_action_counts(rollout, trained.codes)
                counts = played if counts is None else counts + played
        returns |= {(acting, agent): values.tolist() for agent, values in means.items()}
        returns[acting, TEAM] = np.sum(list(means.values()), axis=0).tolist()
    rows = {name: column.tolist() for name, column in trained.runs.columns.items()}
    if counts is None:
        return Evaluation(rows, returns)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return Evaluation(
        rows, returns, {action: shares[:, index].tolist() for index, action in enumerate(np.ndindex(*sizes))}
    )
