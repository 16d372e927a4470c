"""What a sweep of the matching game leaves behind: its table, and what the terminal says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.best_product import best_product_js
from experiments.metrics import (
    convention,
    coordination_rate,
    entropy,
    js_distance,
    mutual_information,
    product_joint,
)
from experiments.statistics import variance_interval
from magail_trainer.trajectories import Trajectories

AGENTS = ("agent_0", "agent_1")
JOINT_ACTIONS = ("aa", "ab", "ba", "bb")

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Results:
    """What an experiment leaves behind; the same as in its folder."""

    folder: Path
    runs: Columns
    """`runs.csv`: `[R]` under each name."""
    history: Columns
    """`history.npz`: `epoch [K]`, and `[K, R]` under each name."""
    expert_joint: np.ndarray
    """`[2, 2]`: how often each joint action occurs in the demonstrations."""
    eval_episodes: int
    """Behind each row of the `sampled_` columns."""
    training_cpu_seconds: float


def joint_frequencies(demonstrations: Trajectories) -> np.ndarray:
    """How often each joint action of the 2×2 game occurs in a dataset, `[2, 2]`."""
    counts = np.zeros((2, 2))
    np.add.at(counts, tuple(demonstrations.actions[agent] for agent in AGENTS), 1)
    return counts / counts.sum()


def exact_columns(marginals: Mapping[str, np.ndarray], expert_joint: np.ndarray) -> Columns:
    """What the learned policies do, worked out from their probabilities.

    Args:
        marginals: each agent's action probabilities, `[R, 2]`.
        expert_joint: `[2, 2]`
    """
    both = [marginals[agent] for agent in AGENTS]
    joint = product_joint(both)
    return {
        **{f"prob_a_{agent}": marginals[agent][:, 0] for agent in AGENTS},
        **{f"entropy_{agent}": entropy(marginals[agent]) for agent in AGENTS},
        **_joint_columns(joint, prefix=""),
        "coordination_rate": coordination_rate(joint),
        "js_distance": js_distance(joint, expert_joint),
        "mutual_information": mutual_information(joint),
        "convention": convention(both),
    }


def sampled_columns(joint: np.ndarray, expert_joint: np.ndarray) -> Columns:
    """The same from the joint frequencies of the evaluation episodes, `[R, 2, 2]`."""
    return {
        **_joint_columns(joint, prefix="sampled_"),
        "sampled_coordination_rate": coordination_rate(joint),
        "sampled_js_distance": js_distance(joint, expert_joint),
    }


def summary(results: Results) -> list[str]:
    """What the terminal shows: the lines of each β, and what independent policies could reach at best."""
    limit = best_product_js(results.expert_joint).distance
    expert = ", ".join(f"{name.upper()} {share:.3f}" for name, share in _joint_columns(results.expert_joint).items())
    num_runs = len(results.runs["seed"])
    work = f"{num_runs} {'run' if num_runs == 1 else 'runs'} for {results.history['epoch'][-1]} epochs"
    lines = [
        f"Trained {work} in {results.training_cpu_seconds:.1f} CPU-seconds.",
        f"expert: {expert.replace('JOINT_', '')}",
    ]
    for beta in dict.fromkeys(results.runs["beta"].tolist()):
        runs = {name: column[results.runs["beta"] == beta] for name, column in results.runs.items()}
        lines += _summary_of_beta(beta, runs)
    lines.append(f"Independent policies cannot come closer to this expert than a JS distance of {limit:.3f}.")
    return lines


def _summary_of_beta(beta: float, runs: Columns) -> list[str]:
    seeds, rate = len(runs["seed"]), runs["coordination_rate"]
    names, counts = np.unique(runs["convention"], return_counts=True)
    seen = dict(zip(names.tolist(), counts.tolist(), strict=True))
    lines = [f"β={beta}: mean coordination = {rate.mean():.3f}, std = {_std(rate):.3f}"]
    for agent in AGENTS:
        prob_a = runs[f"prob_a_{agent}"]
        spread = variance_interval(prob_a)
        variance = f"variance across seeds {spread.estimate:.4f} [{spread.low:.4f}, {spread.high:.4f}]"
        variance = variance if seeds > 1 else "one seed, no variance"
        lines.append(
            f"    {agent}: entropy = {runs[f'entropy_{agent}'].mean():.3f} nats, P(A) = {prob_a.mean():.3f}, {variance}"
        )
    js = runs["js_distance"]
    lines.append(f"    JS distance to the expert's joint = {js.mean():.3f}, std = {_std(js):.3f}")
    shares = ", ".join(f"{name} {seen.get(name, 0)}" for name in ("AA", "BB", "neither"))
    lines.append(f"    conventions of {seeds} seeds: {shares}")
    return lines


def _joint_columns(joint: np.ndarray, *, prefix: str = "") -> Columns:
    flat = joint.reshape(*joint.shape[:-2], 4)
    return {f"{prefix}joint_{name}": flat[..., index] for index, name in enumerate(JOINT_ACTIONS)}


def _std(values: np.ndarray) -> float:
    """Sample standard deviation across seeds; 0 for one seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
