"""Returns as scores: 0 is what the random joint policy earns, 1 is what the expert earns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magail_trainer.data.joint_policies import JointPolicy, make_joint_policy
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories, read_manifest
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.errors import InputError
from magail_trainer.learn.trainer import check_same_env
from magail_trainer.play.evaluation import TEAM
from magail_trainer.play.load_runs import TrainedRuns
from magail_trainer.play.statistics import Interval, bootstrap_interval, interquartile_mean

_SAME = 1e-9
_ERRORS_APART = 3
_ONE_BY_ONE = 32  # copies of an env that has no vectorised form of its own
POLICIES = {"sampled": "", "greedy": "greedy_"}
"""Ways of acting, and what the columns of a table begin with that are of them."""

LEARNER = "learner"
"""In tables of cross-play, the mean over the agents that the learner plays."""


@dataclass(frozen=True)
class Reference:
    """The ends of the scale: mean returns by agent, and of the team."""

    random: Mapping[str, float]
    expert: Mapping[str, float]
    span_error: Mapping[str, float] = field(default_factory=dict)
    """The standard error of the difference between the two, where it is known."""

    def has_span(self, name: str) -> bool:
        """Whether random and expert are so far apart, by three standard errors, that there can be scores."""
        span = abs(self.expert[name] - self.random[name])
        return span >= max(_SAME, _ERRORS_APART * self.span_error.get(name, 0.0))

    def scores(self, values: Sequence[float], name: str) -> NDArray[np.float64]:
        """Returns `[R]` of an agent, or the team, as scores; NaN where random and expert earn about the same."""
        if not self.has_span(name):
            return np.full(len(values), np.nan)
        span = self.expert[name] - self.random[name]
        return (np.asarray(values, dtype=np.float64) - self.random[name]) / span


def play(entry: EnvEntry, policy: JointPolicy, *, episodes: int, seed: int, processes: int = 1) -> Trajectories:
    """Record a joint policy for its returns, in as many copies of the env as are fast.

    Raises:
        InputError: a number out of range.
    """
    copies = None if entry.has_native_vector_env else _ONE_BY_ONE
    return record(entry, policy, episodes=episodes, seed=seed, num_envs=copies, processes=processes)


def played_returns(
    entry: EnvEntry, policy: JointPolicy, *, episodes: int, seed: int, processes: int = 1
) -> dict[str, float]:
    """The mean return of each agent, and of the team, when a joint policy plays.

    Raises:
        InputError: a number out of range.
    """
    return mean_returns(play(entry, policy, episodes=episodes, seed=seed, processes=processes))


def mean_returns(trajectories: Trajectories) -> dict[str, float]:
    """The mean return of each agent, and of the team."""
    means = {agent: float(values.mean()) for agent, values in trajectories.returns.items()}
    return {**means, TEAM: sum(means.values())}


def standard_errors(trajectories: Trajectories) -> dict[str, float]:
    """Of `mean_returns`, from the spread over episodes."""
    returns = {**trajectories.returns, TEAM: np.sum(list(trajectories.returns.values()), axis=0)}
    return {name: standard_error(values) for name, values in returns.items()}


def standard_error(values: NDArray[Any]) -> float:
    """Of the mean of values `[S]`, from their spread; 0 of a single one, which has none."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def make_reference(
    trained: TrainedRuns, expert: Trajectories, *, episodes: int, seed: int, processes: int = 1
) -> Reference:
    """Play the random joint policy in the env of the runs, and look up what the expert earned.

    Raises:
        InputError: the expert's episodes are from another env, or a number is out of range.
    """
    check_same_env(trained.entry, expert)
    random = make_joint_policy("random", trained.entry, {})
    played = play(trained.entry, random, episodes=episodes, seed=seed, processes=processes)
    errors = standard_errors(played), standard_errors(expert)
    span_error = {name: float(np.hypot(error, errors[1][name])) for name, error in errors[0].items()}
    return Reference(mean_returns(played), mean_returns(expert), span_error)


def find_expert(trained: TrainedRuns) -> tuple[Trajectories | None, str]:
    """The dataset that the runs were trained on and its folder, if it is still there; else nothing, and why."""
    described: Mapping[str, Any] = trained.config.get("dataset") or {}
    if "path" not in described:
        return None, "the run was not trained on a dataset"
    for folder in (trained.path / described["path"], Path(described["path"])):
        if folder.is_dir():
            try:
                if read_manifest(folder)["sha256"] != described.get("sha256"):
                    return None, f"the dataset {str(folder)!r} is not the one that the run was trained on"
                return Trajectories.load(folder), str(folder)
            except InputError as error:
                return None, str(error).rstrip(".")
    return None, f"the dataset {described['path']!r} is no longer there"


def add_scores(columns: Mapping[str, list], reference: Reference) -> dict[str, list]:
    """`columns` of `evaluate` with `score_<agent>` after the returns, and `greedy_score_<agent>`.

    NaN where an agent has no score; the columns as they are where nobody has any.
    """
    if not any(reference.has_span(name) for name in reference.random):
        return dict(columns)
    scored: dict[str, list] = {}
    for prefix in POLICIES.values():
        for name in reference.random:
            values = columns[f"{prefix}return_{name}"]
            scored[f"{prefix}score_{name}"] = reference.scores(values, name).tolist()
    shares = {name: values for name, values in columns.items() if name.startswith("P(")}
    return {**{name: values for name, values in columns.items() if name not in shares}, **scored, **shares}


def summarise(columns: Mapping[str, list]) -> dict[str, list]:
    """Over seeds: the interquartile mean of what each β earned, with its bootstrap 95 % interval.

    Args:
        columns: of `evaluate` or `cross_play`, with scores or without.

    Returns:
        a table, a row for each β (and side), way of acting and agent (of cross-play, the learner): beta, actions,
        agent, return, and its interval; and the same of the score, where there is one.
    """
    keys = [name for name in ("side", "beta") if name in columns]
    everybody = [name.removeprefix("return_") for name in columns if name.startswith("return_")]
    names = [LEARNER] if LEARNER in everybody else everybody
    groups = list(zip(*(columns[key] for key in keys), strict=True))
    table: dict[str, list] = {name: [] for name in (*keys, "actions", "agent")}
    for group in dict.fromkeys(groups):
        members = [index for index, other in enumerate(groups) if other == group]
        for actions, prefix in POLICIES.items():
            for name in names:
                row = dict(zip(keys, group, strict=True)) | {"actions": actions, "agent": name}
                for measure in ("return", "score"):
                    values = columns.get(f"{prefix}{measure}_{name}")
                    if values is not None:
                        low, estimate, high = f"{measure}_low", measure, f"{measure}_high"
                        interval = _interval([values[index] for index in members])
                        row |= {estimate: interval.estimate, low: interval.low, high: interval.high}
                for key, value in row.items():
                    table.setdefault(key, []).append(value)
    return table


def _interval(values: Sequence[float]) -> Interval:
    if not np.isfinite(values).all():
        return Interval(np.nan, np.nan, np.nan)
    return bootstrap_interval(np.asarray(values), interquartile_mean)
