"""Record the episodes of a joint policy in an environment."""

from importlib.metadata import version
from typing import Any

import numpy as np
from tqdm import tqdm

from magail_trainer.data.joint_policies import JointPolicy, ask
from magail_trainer.data.provenance import Origin
from magail_trainer.data.trajectories import FIELDS, Trajectories
from magail_trainer.envs.env_calls import closed_after
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.envs.spaces import check_values
from magail_trainer.envs.steps import Act, play_steps
from magail_trainer.envs.vector_env import VectorEnv
from magail_trainer.errors import InputError
from magail_trainer.seeding import stream

_NATIVE_COPIES = 1024
_PACKAGES = ("gymnasium", "numpy", "pettingzoo")


def record(
    env: EnvEntry | str,
    joint_policy: JointPolicy,
    *,
    episodes: int,
    seed: int,
    num_envs: int | None = None,
    processes: int = 1,
) -> Trajectories:
    """Play whole episodes and return them in order.

    Args:
        env: the environment, or its name as in `registry.resolve`.
        joint_policy: chooses the actions of all agents. If it has `takes_action_masks = True`, `act` is called with
            `action_masks=...`, int8 `[E, n]` by agent, whenever the env has any.
        episodes: number of episodes.
        seed: the random seed of env and policy.
        num_envs: parallel copies of the env; by default 1024 of a native vector env and one of any other. They play so
            many episodes side by side, each to its end, and then the next ones.
        processes: processes that step the copies of an env without a native vector env; results do not depend on it.

    Every episode starts from a reset with a seed of its own: the same seed gives the same episodes even of an env that
    makes its random state anew at each reset.

    Agents that leave before the others stay in the arrays; see `Trajectories.active`.

    Raises:
        InputError: a number out of range, or a space that cannot be recorded.
        EnvError: the env raises an error, or does not keep to PettingZoo's API.
    """
    entry = resolve(env) if isinstance(env, str) else env
    if not isinstance(episodes, int | np.integer):
        raise InputError(f"The number of episodes must be a whole number, not {episodes!r}.")
    if episodes < 1:
        raise InputError(f"The number of episodes must be at least 1, not {episodes}.")
    if seed < 0:
        raise InputError(f"A seed must be at least 0, not {seed}.")
    if seed >= 2**63:
        raise InputError(f"A seed must fit in 64 bits, and {seed} does not.")
    origin = Origin(
        env_id=entry.id,
        env_kwargs=entry.kwargs,
        spaces=entry.describe_spaces(),
        policy={"name": joint_policy.name, "parameters": joint_policy.parameters},
        seed=seed,
        max_episode_steps=entry.max_episode_steps,
        versions={package: version(package) for package in _PACKAGES},
    )
    default_copies = _NATIVE_COPIES if entry.has_native_vector_env else 1
    with closed_after(entry.make_vector(min(episodes, num_envs or default_copies), processes=processes)) as vector_env:
        joint_policy.begin(episodes, stream(seed, "joint policy"))
        return _assemble(origin, *_play(vector_env, joint_policy, episodes, seed))


def _play(vector_env: VectorEnv, policy: JointPolicy, episodes: int, seed: int) -> tuple[list, list]:
    """Rows of all copies, step by step, and the last observations of the episodes.

    A row is (episode of each copy, the arrays of `FIELDS`); rows of copies that have played their episode are left out.
    """
    copies, rows, last_observations = vector_env.num_envs, [], []
    firsts = range(0, episodes, copies)
    env_seeds = stream(seed, "env").integers(2**31, size=(len(firsts), copies))
    with tqdm(total=episodes, desc="recording", unit="episode", delay=2, disable=None) as progress:
        for first, seeds in zip(firsts, env_seeds.tolist(), strict=True):
            episode = np.arange(first, first + copies)
            playing = episode < episodes
            for step in play_steps(vector_env, _acting(policy, vector_env, episode.clip(max=episodes - 1)), seed=seeds):
                kept, ended = np.flatnonzero(playing), np.flatnonzero(playing & step.over)
                rows.append((episode[kept], [_take(getattr(step, name), kept) for name in FIELDS]))
                last_observations.append((episode[ended], _take(step.final_observations, ended)))
                playing = playing & ~step.over
                progress.update(len(ended))
                if not playing.any():
                    break
    return rows, last_observations


def _acting(policy: JointPolicy, vector_env: VectorEnv, episode: np.ndarray) -> Act:
    """The policy, in the given episode of each copy. Copies whose episode is over keep stepping, which nobody keeps."""

    def act(observations: dict[str, Any], masks: dict[str, np.ndarray], step: np.ndarray) -> dict[str, Any]:
        actions = ask(policy, observations, masks, episode=episode, step=step)
        _check_actions(actions, vector_env, policy.name)
        return actions

    return act


def _check_actions(actions: dict[str, Any], vector_env: VectorEnv, policy: str) -> None:
    if set(actions) != set(vector_env.possible_agents):
        agents = vector_env.possible_agents
        raise InputError(f"The policy {policy!r} acts for {sorted(actions)}; expected the agents {agents}.")
    for agent in vector_env.possible_agents:
        check_values(actions[agent], vector_env.action_space(agent), vector_env.num_envs, f"actions of {agent}")


def _take(values: dict[str, np.ndarray], copies: np.ndarray) -> dict[str, np.ndarray]:
    return {agent: np.asarray(array)[copies] for agent, array in values.items()}


def _assemble(origin: Origin, rows: list, last_observations: list) -> Trajectories:
    """Sort the rows by episode. The sort is stable: within an episode they stay in the order of the steps."""
    row_episode = np.concatenate([episode for episode, _ in rows])
    order = np.argsort(row_episode, kind="stable")
    columns: dict[str, Any] = {}
    for index, name in enumerate(FIELDS):
        columns[name] = {agent: np.concatenate([row[1][index][agent] for row in rows]) for agent in origin.spaces}
    last_episode = np.concatenate([episode for episode, _ in last_observations])
    observation_order = np.argsort(np.concatenate([row_episode, last_episode]), kind="stable")
    for agent, array in columns["observations"].items():
        last = np.concatenate([observations[agent] for _, observations in last_observations])
        columns["observations"][agent] = np.concatenate([array, last])[observation_order]
    for name in FIELDS[1:]:
        columns[name] = {agent: array[order] for agent, array in columns[name].items()}
    starts = np.flatnonzero(np.diff(row_episode[order], prepend=-1))
    return Trajectories(origin, **columns, episode_starts=starts)
