"""Returns as scores: 0 is what the random joint policy earns, 1 is what the expert earns."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from magail_trainer.data.joint_policies import JointPolicy, RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories, read_manifest
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.errors import InputError
from magail_trainer.learn.trainer import check_same_env
from magail_trainer.play.load_runs import TrainedRuns
from magail_trainer.play.results import ACTING, LEARNER, TEAM, Column, Earner, Evaluation
from magail_trainer.play.statistics import Interval, bootstrap_interval, interquartile_mean

Numbers = TypeVar("Numbers", float, NDArray[np.float64])
_SAME = 1e-9
_ERRORS_APART = 3
_ONE_BY_ONE = 32  # copies of an env that has no vectorised form of its own


@dataclass(frozen=True)
class Reference:
    """The ends of the scale: mean returns by earner, or in cross-play by side."""

    random: Mapping[Any, float]
    expert: Mapping[Any, float]
    span_error: Mapping[Any, float] = field(default_factory=dict)
    """The standard error of the difference between the two, where it is known."""

    def has_span(self, name: Earner) -> bool:
        """Whether random and expert are so far apart, by three standard errors, that there can be scores."""
        span = abs(self.expert[name] - self.random[name])
        return span >= max(_SAME, _ERRORS_APART * self.span_error.get(name, 0.0))

    def score(self, value: Numbers, name: Earner) -> Numbers:
        """A return, or an array of them, as a score; NaN where random and expert earn about the same."""
        if not self.has_span(name):
            return value * math.nan
        return (value - self.random[name]) / (self.expert[name] - self.random[name])


def play(entry: EnvEntry, policy: JointPolicy, *, episodes: int, seed: int, processes: int = 1) -> Trajectories:
    """Record a joint policy for its returns, in as many copies of the env as are fast.

    Raises:
        InputError: a number out of range.
    """
    copies = None if entry.has_native_vector_env else _ONE_BY_ONE
    return record(entry, policy, episodes=episodes, seed=seed, num_envs=copies, processes=processes)


def mean_returns(trajectories: Trajectories) -> dict[Earner, float]:
    """The mean return of each agent, and of the team."""
    means: dict[Earner, float] = {agent: float(values.mean()) for agent, values in trajectories.returns.items()}
    return {**means, TEAM: sum(means.values())}


def standard_errors(trajectories: Trajectories) -> dict[Earner, float]:
    """Of `mean_returns`, from the spread over episodes."""
    returns: dict[Earner, NDArray[Any]] = {
        **trajectories.returns,
        TEAM: np.sum(list(trajectories.returns.values()), axis=0),
    }
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
    random = RandomJointPolicy(trained.entry)
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
                expert = Trajectories.load(folder)
                if names := trained.entry.difference(expert.origin.env):
                    return None, f"the dataset {str(folder)!r} was recorded in {names[0]}, not in {names[1]}"
                return expert, str(folder)
            except InputError as error:
                return None, str(error).rstrip(".")
    return None, f"the dataset {described['path']!r} is no longer there"


def add_scores(evaluation: Evaluation, reference: Reference) -> Evaluation:
    """The evaluation with scores: NaN where an earner or a side has none; without any where nobody has one."""
    if not any(reference.has_span(name) for name in reference.random):
        return evaluation
    scores: dict[Column, list[float]] = {}
    for acting, earner in product(ACTING, evaluation.earners):
        values = evaluation.returns[acting, earner]
        names = evaluation.rows["side"] if earner is LEARNER else [earner] * len(values)
        scores[acting, earner] = [reference.score(value, name) for value, name in zip(values, names, strict=True)]
    return replace(evaluation, scores=scores)


def summarise(evaluation: Evaluation) -> dict[str, list[Any]]:
    """Over seeds: the interquartile mean of what each β earned, with its bootstrap 95 % interval.

    Returns:
        a table, a row for each β (and side), way of acting and earner: beta, actions, agent, return, and its interval;
        and the same of the score, where there is one.
    """
    keys = [name for name in ("side", "beta") if name in evaluation.rows]
    groups = list(zip(*(evaluation.rows[key] for key in keys), strict=True))
    table: dict[str, list[Any]] = {name: [] for name in (*keys, "actions", "agent")}
    for group, acting, earner in product(dict.fromkeys(groups), ACTING, evaluation.earners):
        row = dict(zip(keys, group, strict=True)) | {"actions": acting, "agent": evaluation.label(earner)}
        for measure, columns in (("return", evaluation.returns), ("score", evaluation.scores)):
            if columns:
                members = zip(columns[acting, earner], groups, strict=True)
                interval = _interval([value for value, other in members if other == group])
                row |= {measure: interval.estimate, f"{measure}_low": interval.low, f"{measure}_high": interval.high}
        for name, value in row.items():
            table.setdefault(name, []).append(value)
    return table


def _interval(values: Sequence[float]) -> Interval:
    if not np.isfinite(values).all():
        return Interval(np.nan, np.nan, np.nan)
    return bootstrap_interval(np.asarray(values), interquartile_mean)
