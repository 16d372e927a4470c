"""Which landmark each agent of simple_spread ends at, and which convention that is.

R is the number of runs, E of episodes, A of agents and of landmarks. The assignments of the expert `coin` are called
coherent: agent i at landmark (i + k) mod A, for k = 0, …, A - 1.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.matching.metrics import entropy
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.learn.rollout import SampledRollouts
from magail_trainer.play.load_runs import TrainedRuns

IntArray = NDArray[np.int64]

NO_CONVENTION = -1
AT_ONCE = 200


def nearest_landmarks(observations: Mapping[str, np.ndarray]) -> IntArray:
    """The landmark that each agent is nearest to, `[..., A]`; the first of several that are equally near.

    Args:
        observations: `[..., 6A]` by agent, as in simple_spread: velocity, position, then the landmarks from the agent.
    """
    num_agents = len(observations)
    nearest = []
    for seen in observations.values():
        offsets = np.asarray(seen, dtype=np.float64)[..., 4 : 4 + 2 * num_agents]
        squares = np.square(offsets.reshape(*offsets.shape[:-1], num_agents, 2)).sum(axis=-1)
        nearest.append(squares.argmin(axis=-1))
    return np.stack(nearest, axis=-1)


def conventions(landmarks: IntArray) -> IntArray:
    """The k of each coherent assignment, `[...]`, and `NO_CONVENTION` for any other, from landmarks `[..., A]`."""
    num_agents = landmarks.shape[-1]
    shifts = (landmarks - np.arange(num_agents)) % num_agents
    return np.where((shifts == shifts[..., :1]).all(axis=-1), shifts[..., 0], NO_CONVENTION)


def share_landmark(landmarks: IntArray) -> NDArray[np.bool_]:
    """Whether two agents are at the same landmark, `[...]`, from landmarks `[..., A]`."""
    ordered = np.sort(landmarks, axis=-1)
    return (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)


def convention_columns(landmarks: IntArray, signal: IntArray | None = None) -> dict[str, np.ndarray]:
    """What the episodes of each run end in.

    Args:
        landmarks: `[R, E, A]`, as of `nearest_landmarks`.
        signal: what the agents shared in each episode, `[R, E]`; None where they shared nothing.

    Returns:
        columns `[R]`: `same_landmark`, the share of episodes in which two agents are at one landmark; `share_k`, that
        of each coherent assignment; `other`, that of all others, those with two agents at one landmark among them;
        `entropy`, in nats, of the convention among coherent episodes: 0 for a single one, NaN where there is none; and
        `signal_bits`, see `signal_information`, 0 where there is no signal.
    """
    num_agents, found = landmarks.shape[-1], conventions(landmarks)
    shares = np.stack([(found == shift).mean(axis=1) for shift in range(num_agents)], axis=-1)  # [R, A]
    coherent = shares.sum(axis=-1)
    of_coherent = shares / np.where(coherent > 0, coherent, 1)[:, np.newaxis]
    return {
        "same_landmark": share_landmark(landmarks).mean(axis=1),
        **{f"share_{shift}": shares[:, shift] for shift in range(num_agents)},
        "other": (found == NO_CONVENTION).mean(axis=1),
        "entropy": np.where(coherent > 0, entropy(of_coherent), np.nan),
        "signal_bits": np.zeros(len(found)) if signal is None else signal_information(found, signal),
    }


def signal_information(found: IntArray, signal: IntArray) -> NDArray[np.float64]:
    """What the signal tells of the convention, `[R]`: their mutual information, in bits.

    0 where the signal is ignored, log2 3 = 1.58 where it decides between three conventions, each as often. No
    convention counts as one more. Counts overstate it, by about 0.006 bits for 4 signals and 1000 episodes (Miller
    1955: cells of freedom over 2 E log 2).

    Args:
        found: the convention of each episode, `[R, E]`, as of `conventions`.
        signal: of each episode, `[R, E]`.
    """
    played = found - NO_CONVENTION
    counts = np.zeros((len(found), played.max() + 1, signal.max() + 1))
    np.add.at(counts, (np.arange(len(found))[:, np.newaxis], played, signal), 1)
    joint = counts / counts.sum(axis=(1, 2), keepdims=True)
    nats = entropy(joint.sum(axis=2)) + entropy(joint.sum(axis=1)) - entropy(joint.reshape(len(joint), -1))
    return np.maximum(nats, 0) / np.log(2)


def final_landmarks(trained: TrainedRuns, *, episodes: int, seed: int) -> tuple[IntArray, IntArray | None]:
    """Play trained runs with drawn actions; where their agents end, `[R, E, A]`, and what they shared, `[R, E]`.

    Args:
        trained: runs in simple_spread.
        episodes: of each run.
        seed: decides all chance, with the runs' seeds.
    """
    landmarks, signals = [], []
    for first in range(0, episodes, AT_ONCE):
        size = min(AT_ONCE, episodes - first)
        vector_env = trained.entry.make_vector(len(trained.runs) * size)
        rollouts = SampledRollouts(
            vector_env,
            trained.codes,
            seeds=trained.runs.seed.tolist(),
            episodes=size,
            device=next(trained.policies.parameters()).device,
            purpose=f"conventions/{seed}/{first}",
            for_critic=True,
        )
        rollout = rollouts.collect(trained.policies)
        vector_env.close()
        final, batch = rollout.final_observations, rollout.batch
        if batch.signal is not None:
            signals.append(batch.of_episode(batch.signal).cpu().numpy())
        landmarks.append(nearest_landmarks({agent: seen.cpu().numpy() for agent, seen in final.items()}))
    return np.concatenate(landmarks, axis=1), np.concatenate(signals, axis=1) if signals else None


def recorded_landmarks(trajectories: Trajectories) -> IntArray:
    """Where the agents of recorded episodes end, `[1, E, A]`."""
    last = np.cumsum(trajectories.lengths + 1) - 1
    return nearest_landmarks({agent: seen[last] for agent, seen in trajectories.observations.items()})[np.newaxis]
