"""The results of a sweep of a game: its table, and its summary on the terminal.

`R` is the number of runs; agent i of N has `A_i` actions.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from coordination_env.correlated_equilibria import ce_conv
from coordination_env.equilibria import nash_conv
from coordination_env.games import MatrixGame, matching
from experiments.matching.best_product import best_product_js
from experiments.matching.games import NEITHER, agent_names, conventions, joint_action_names, legend, letters, title
from experiments.matching.metrics import (
    entropy,
    followed_convention,
    js_distance,
    kl_split,
    marginals_of,
    mass_on,
    mutual_information,
    total_variation,
)
from experiments.studies.criteria import interval_text
from experiments.studies.statistics import variance_interval
from magail_trainer.data.run_folder import healthy
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.learn.config import PolicyStyle
from magail_trainer.text import counted

AGENTS = ("agent_0", "agent_1")
"""Of the 2×2 matching game."""

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Results:
    """The results of an experiment, the same as in its folder."""

    folder: Path
    runs: Columns
    """`runs.csv`: `[R]` under each name."""
    history: Columns
    """`history.npz`: `epoch [K]`, and `[K, R]` under each name."""
    expert_joint: np.ndarray
    """`[A_1..A_N]`: how often each joint action occurs in the demonstrations."""
    eval_episodes: int
    """Behind each row of the `sampled_` columns."""
    training_cpu_seconds: float
    game: MatrixGame = field(default_factory=matching)
    policy: PolicyStyle = "independent"

    @property
    def healthy(self) -> "Results":
        """Those of the runs that did not diverge."""
        return self.select(healthy(self.runs))

    def select(self, rows: np.ndarray) -> "Results":
        """Some of the runs, `[R]` bool."""
        history = {name: values if name == "epoch" else values[:, rows] for name, values in self.history.items()}
        return replace(self, runs={name: values[rows] for name, values in self.runs.items()}, history=history)


def joint_frequencies(demonstrations: Trajectories, game: MatrixGame) -> np.ndarray:
    """How often each joint action occurs in a dataset, `[A_1..A_N]`."""
    counts = np.zeros(game.num_actions)
    np.add.at(counts, tuple(demonstrations.actions[agent] for agent in agent_names(game)), 1)
    return counts / counts.sum()


def exact_columns(joint: np.ndarray, expert_joint: np.ndarray, game: MatrixGame) -> Columns:
    """What the learned policies do, computed from the probabilities of their joint actions.

    Beside measures of `experiments.matching.metrics`: `coordination_rate`, the total probability of the game's strict
    pure equilibria, zero where it has none; `convention`, the one that all agents follow; `nash_conv`, of the agents'
    marginal policies; and `ce_conv`, of the joint distribution, the same number for independent policies. The `kl_`
    columns are the parts of KL(expert ‖ learner); see `kl_split`.

    Args:
        joint: `[R, A_1..A_N]`
        expert_joint: `[A_1..A_N]`
        game: of N agents.
    """
    policies = dict(zip(agent_names(game), marginals_of(joint, num_agents=game.num_agents), strict=True))
    equilibria, kl = conventions(game), kl_split(joint, expert_joint)
    return {
        **prob_columns(joint, game),
        **{f"entropy_{agent}": entropy(policy) for agent, policy in policies.items()},
        **_joint_columns(joint, game, prefix=""),
        "coordination_rate": mass_on(joint, equilibria.values(), num_agents=game.num_agents),
        "js_distance": js_distance(joint, expert_joint),
        "total_variation": total_variation(joint, expert_joint),
        "mutual_information": mutual_information(joint, num_agents=game.num_agents),
        **{f"kl_{name}": getattr(kl, name) for name in ("irreducible", "marginals", "recovered")},
        "convention": followed_convention(list(policies.values()), equilibria, otherwise=NEITHER),
        "nash_conv": nash_conv(game.payoffs, list(policies.values())),
        "ce_conv": ce_conv(game.payoffs, joint),
    }


def prob_columns(joint: np.ndarray, game: MatrixGame) -> Columns:
    """The agents' own probabilities, `[R]` each: `prob_a_<agent>`, and those of B, C, … with more than two actions.

    Args:
        joint: `[R, A_1..A_N]`
        game: of N agents.
    """
    policies = dict(zip(agent_names(game), marginals_of(joint, num_agents=game.num_agents), strict=True))
    shown = letters(game).lower() if max(game.num_actions) > 2 else "a"
    return {
        f"prob_{letter}_{agent}": policy[:, action]
        for action, letter in enumerate(shown)
        for agent, policy in policies.items()
    }


def sampled_columns(joint: np.ndarray, expert_joint: np.ndarray, game: MatrixGame) -> Columns:
    """Some of `exact_columns` from the joint frequencies of the evaluation episodes, `[R, A_1..A_N]`."""
    return {
        **_joint_columns(joint, game, prefix="sampled_"),
        "sampled_coordination_rate": mass_on(joint, conventions(game).values(), num_agents=game.num_agents),
        "sampled_js_distance": js_distance(joint, expert_joint),
    }


def summary(results: Results) -> list[str]:
    """The lines for the terminal: those of each β, and the best that independent policies could reach."""
    game, limit = results.game, best_product_js(results.expert_joint).distance
    shares = _joint_columns(results.expert_joint, game).items()
    shown = [(name, share) for name, share in shares if share > 0 or len(shares) <= 9]  # of 32, those that matter
    expert = ", ".join(f"{name.removeprefix('joint_').upper()} {share:.3f}" for name, share in shown)
    epochs = int(results.history["epoch"][-1])
    work = f"{counted(len(results.runs['seed']), 'run')} for {counted(epochs, 'epoch')}"
    lines = [
        f"Trained {work} in {results.training_cpu_seconds:.1f} CPU-seconds.",
        *([f"{title(game)}: {legend(game)}"] if legend(game) else []),
        f"expert: {expert}",
    ]
    for beta in dict.fromkeys(results.runs["beta"].tolist()):
        runs = {name: column[results.runs["beta"] == beta] for name, column in results.runs.items()}
        lines += _summary_of_beta(beta, runs, game)
    start = "Independent policies" if results.policy == "independent" else "For comparison: independent policies"
    lines.append(f"{start} cannot come closer to this expert than a JS distance of {limit:.3f}.")
    return lines


def _summary_of_beta(beta: float, runs: Columns, game: MatrixGame) -> list[str]:
    seeds, named = len(runs["seed"]), list(conventions(game))
    first = "coordination_rate" if named else "nash_conv"
    label = "coordination" if named else "NashConv"
    lines = [f"β={beta}: mean {label} = {runs[first].mean():.3f}, std = {_std(runs[first]):.3f}"]
    for agent in agent_names(game):
        prob_a = runs[f"prob_a_{agent}"]
        spread = variance_interval(prob_a)
        variance = f"variance across seeds {interval_text(spread, '.4f')}"
        variance = variance if seeds > 1 else "one seed, no variance"
        lines.append(
            f"    {agent}: entropy = {runs[f'entropy_{agent}'].mean():.3f} nats, P(A) = {prob_a.mean():.3f}, {variance}"
        )
    js = runs["js_distance"]
    lines.append(f"    JS distance to the expert's joint = {js.mean():.3f}, std = {_std(js):.3f}")
    if named:
        seen = {name: int((runs["convention"] == name).sum()) for name in (*named, NEITHER)}
        each = ", ".join(f"{name} {number}" for name, number in seen.items())
        lines.append(f"    conventions of {counted(seeds, 'seed')}: {each}")
    return lines


def _joint_columns(joint: np.ndarray, game: MatrixGame, *, prefix: str = "") -> Columns:
    names = joint_action_names(game)
    flat = joint.reshape(*joint.shape[: joint.ndim - game.num_agents], len(names))
    return {f"{prefix}joint_{name.lower()}": flat[..., index] for index, name in enumerate(names)}


def _std(values: np.ndarray) -> float:
    """Sample standard deviation across seeds; 0 for one seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
