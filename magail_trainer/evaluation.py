"""Play trained policies, and count what they do."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from magail_trainer.encoding import Codes, joint_row
from magail_trainer.env_ids import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.policies import IndependentPolicies
from magail_trainer.rollout import Rollout, SampledRollouts
from magail_trainer.runs import Runs
from magail_trainer.store import read_checkpoint, read_config, read_table
from magail_trainer.trainer import make_policies

_AT_ONCE = 200
_MAX_JOINT_ACTIONS = 16


def evaluation_rollouts(
    entry: EnvEntry, codes: Codes, policies: IndependentPolicies, runs: Runs, *, episodes: int, seed: int = 0
) -> Iterator[Rollout]:
    """Play `episodes` episodes of every run, a few hundred at a time.

    The noise is keyed by the seed of the run and `seed`; it is not that of training.

    Raises:
        InputError: a number out of range.
    """
    if episodes < 1:
        raise InputError(f"The number of evaluation episodes must be at least 1, not {episodes}.")
    if seed < 0:
        raise InputError(f"A seed must be at least 0, not {seed}.")
    device = next(policies.parameters()).device
    for first in range(0, episodes, _AT_ONCE):
        size = min(_AT_ONCE, episodes - first)
        vector_env = entry.make_vector(len(runs) * size)
        purpose = f"evaluation/{seed}/{first}"
        rollouts = SampledRollouts(
            vector_env, codes, seeds=runs.seed.tolist(), episodes=size, device=device, purpose=purpose
        )
        try:
            yield rollouts.collect(policies)
        finally:
            vector_env.close()


def joint_action_counts(rollout: Rollout, codes: Codes) -> Float[np.ndarray, "R J"]:
    """How often each run played each of the J joint actions, in row-major order of the agents' actions."""
    sizes = [code.size for code in codes.actions.values()]
    joint = joint_row([rollout.batch.actions[agent] for agent in codes.actions], sizes).cpu().numpy()
    present = (rollout.batch.weight > 0).cpu().numpy()
    num_joint = int(np.prod(sizes))
    counts = [np.bincount(row[kept], minlength=num_joint) for row, kept in zip(joint, present, strict=True)]
    return np.asarray(counts, dtype=np.float64)


def evaluate_run(path: str | Path, *, episodes: int, seed: int) -> dict[str, list]:
    """Play the policies of a run folder.

    Returns:
        a table, a row per run: beta, seed, the mean return of each agent, and the share of each joint action
        where there are at most 16.

    Raises:
        InputError: there is no such folder, it does not fit its env, or a number is out of range.
    """
    config, table = read_config(path), read_table(Path(path) / "runs.csv")
    try:
        env_id, env_kwargs = config["env"]["id"], config["env"]["kwargs"]
        runs = Runs(seed=table["seed"], beta=table["beta"].astype(np.float64))
    except KeyError as missing:
        raise InputError(f"{str(path)!r} is not as it was written: it does not say {missing}.") from missing
    entry = resolve(env_id, env_kwargs)
    codes = Codes.of(entry)
    policies = make_policies(codes, runs, uniform=True)
    read_checkpoint(path, "policies", policies)
    returns = {agent: np.zeros(len(runs)) for agent in policies.agents}
    counts = 0.0
    for rollout in evaluation_rollouts(entry, codes, policies, runs, episodes=episodes, seed=seed):
        played = rollout.batch.num_episodes
        for agent, value in rollout.mean_return.items():
            returns[agent] += value.numpy() * played / episodes
        counts = counts + joint_action_counts(rollout, codes)
    columns: dict[str, list] = {"beta": runs.beta.tolist(), "seed": runs.seed.tolist()}
    columns |= {f"return_{agent}": value.tolist() for agent, value in returns.items()}
    shares = np.asarray(counts / np.sum(counts, axis=1, keepdims=True))
    if shares.shape[1] <= _MAX_JOINT_ACTIONS:
        joint_actions = np.ndindex(*(code.size for code in codes.actions.values()))
        columns |= {f"P{action}": shares[:, index].tolist() for index, action in enumerate(joint_actions)}
    return columns
