"""Play trained policies, and count what they do."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from magail_trainer.data.joint_policies import JointPolicy, ask
from magail_trainer.envs.env_calls import closed_after
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.steps import play_steps
from magail_trainer.envs.vector_env import VectorEnv
from magail_trainer.errors import InputError
from magail_trainer.learn.encoders import Codes, joint_row
from magail_trainer.learn.policies import Policies
from magail_trainer.learn.rollout import Rollout, SampledRollouts, start_seeds
from magail_trainer.learn.runs import Runs
from magail_trainer.play.load_runs import TrainedRuns
from magail_trainer.play.results import ACTING, TEAM, Column, Evaluation
from magail_trainer.seeding import RunNoise, stream

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
    for size, chunks in _chunks(episodes, _most_at_once(entry)):
        with closed_after(entry.make_vector(len(runs) * size, processes=processes)) as vector_env:
            for first in chunks:
                rollouts = SampledRollouts(
                    vector_env,
                    codes,
                    seeds=runs.seed.tolist(),
                    episodes=size,
                    device=device,
                    purpose=_purpose(purpose, seed, first),
                    for_critic=for_critic,
                    greedy=greedy,
                )
                yield rollouts.collect(policies)


def play_alike(
    entry: EnvEntry, player: JointPolicy, seeds: Sequence[int], *, episodes: int, seed: int, processes: int = 1
) -> dict[str, Float[np.ndarray, " U"]]:
    """Play a joint policy in the episodes that runs of these training seeds are evaluated on: they start alike.

    Args:
        entry: the env.
        player: the joint policy.
        seeds: of the trainings, each once.
        episodes: for each of them.
        seed: of the evaluation; see `evaluation_rollouts`.
        processes: step the copies.

    Returns:
        the return of every episode, by agent.

    Raises:
        InputError: a number is out of range.
    """
    returns: dict[str, list[np.ndarray]] = {agent: [] for agent in entry.possible_agents}
    for size, chunks in _chunks(episodes, _most_at_once(entry)):
        with closed_after(entry.make_vector(len(seeds) * size, processes=processes)) as vector_env:
            for first in chunks:
                purpose = _purpose("evaluation", seed, first)
                player.begin(vector_env.num_envs, stream(seed, purpose, "joint policy"))
                starts = start_seeds(RunNoise(seeds, purpose, "env"), size)
                for agent, earned in _play_once(vector_env, player, starts).items():
                    returns[agent].append(earned)
    return {agent: np.concatenate(parts) for agent, parts in returns.items()}


def _play_once(vector_env: VectorEnv, player: JointPolicy, starts: Int[np.ndarray, " E"]) -> dict[str, np.ndarray]:
    """What each agent earns in one episode of each copy, `[E]`."""
    earned = {agent: np.zeros(vector_env.num_envs) for agent in vector_env.possible_agents}
    playing, episode = np.ones(vector_env.num_envs, dtype=bool), np.arange(vector_env.num_envs)

    def act(observations: dict[str, Any], masks: dict[str, np.ndarray], step: np.ndarray) -> dict[str, Any]:
        return ask(player, observations, masks, episode=episode, step=step)

    for step in play_steps(vector_env, act, seed=starts):
        for agent, paid in step.rewards.items():
            earned[agent] += np.where(playing, paid, 0.0)
        playing = playing & ~step.over
        if not playing.any():
            break
    return earned


def _purpose(purpose: str, seed: int, first: int) -> str:
    return f"{purpose}/{seed}/{first}"


def _most_at_once(entry: EnvEntry) -> int:
    return _AT_ONCE if entry.has_native_vector_env else _AT_ONCE_ONE_BY_ONE


def _chunks(episodes: int, most: int) -> list[tuple[int, range]]:
    """(size, the first episode of each chunk of this size): whole chunks, then the rest."""
    at_once = min(episodes, most)
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
    played = [code.decode(np.arange(code.size)) for code in trained.codes.finite_actions.values()]
    # Numbers as they are played; actions of several numbers are counted from 0.
    joint_actions = product(*(values.tolist() if values.ndim == 1 else range(len(values)) for values in played))
    return Evaluation(rows, returns, {action: shares[:, index].tolist() for index, action in enumerate(joint_actions)})
