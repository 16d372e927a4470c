"""Returns as scores: 0 is what the random joint policy earns, 1 is what the expert earns."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
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
from magail_trainer.files import plain_json
from magail_trainer.learn.trainer import check_same_env
from magail_trainer.play.evaluation import play_alike
from magail_trainer.play.load_runs import TrainedRuns
from magail_trainer.play.players import make_joint_policy
from magail_trainer.play.results import ACTING, LEARNER, TEAM, Column, Earner, Evaluation
from magail_trainer.play.statistics import Interval, Mean, bootstrap_interval, interquartile_mean, score_interval

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
    means: Mapping[Any, tuple[Mean, Mean]] = field(default_factory=dict)
    """Both with their own standard errors, where these are known."""

    @classmethod
    def of(cls, random: Mapping[Any, Mean], expert: Mapping[Any, Mean]) -> "Reference":
        """The ends of the scale from means over episodes."""
        means = {name: (random[name], expert[name]) for name in random}
        low, high = ({name: ends[end].value for name, ends in means.items()} for end in (0, 1))
        return cls(low, high, {name: math.hypot(*(end.error for end in ends)) for name, ends in means.items()}, means)

    def ends(self, name: Earner) -> tuple[Mean, Mean]:
        """Random and expert, with errors of 0 where they are not known."""
        return self.means.get(name, (Mean(self.random[name], 0.0, 0), Mean(self.expert[name], 0.0, 0)))

    def has_span(self, name: Earner) -> bool:
        """Whether random and expert are so far apart, by three standard errors, that there can be scores."""
        span = abs(self.expert[name] - self.random[name])
        error = self.span_error.get(name, 0.0)  # NaN of a single episode
        return span >= max(_SAME, 0.0 if math.isnan(error) else _ERRORS_APART * error)

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


def _means(returns: Mapping[str, NDArray[Any]]) -> dict[Earner, Mean]:
    """The mean return of each agent, and of the team, from those of all episodes."""
    team = np.sum(list(returns.values()), axis=0)
    return {**{agent: Mean.of(values) for agent, values in returns.items()}, TEAM: Mean.of(team)}


def make_reference(
    trained: TrainedRuns,
    expert: Trajectories | JointPolicy,
    *,
    episodes: int,
    seed: int,
    processes: int = 1,
) -> Reference:
    """Play the random joint policy in the env of the runs, and the expert, or look up what it earned.

    Args:
        trained: the runs.
        expert: its demonstrations; or the expert itself, which plays all episodes that the runs are evaluated on.
        episodes: of the random joint policy, and of the expert for each training seed.
        seed: of the evaluation.
        processes: step the copies.

    Raises:
        InputError: the expert's episodes are from another env, or a number is out of range.
    """
    how = {"episodes": episodes, "seed": seed, "processes": processes}
    random = play(trained.entry, RandomJointPolicy(trained.entry), **how).returns
    if isinstance(expert, Trajectories):
        check_same_env(trained.entry, expert)
        earned: Mapping[str, NDArray[Any]] = expert.returns
    else:
        earned = play_alike(trained.entry, expert, sorted(set(trained.runs.seed.tolist())), **how)
    return Reference.of(_means(random), _means(earned))


def find_player(entry: EnvEntry, policy: Any) -> tuple[JointPolicy | None, str]:
    """The expert that played some demonstrations, if it is one of the env's own; else nothing, and why.

    Args:
        entry: the env.
        policy: its `name` and `parameters`, as a dataset has them. No code is imported on its word.
    """
    if not isinstance(policy, Mapping) or not isinstance(policy.get("parameters"), Mapping):
        return None, "it is not known who the expert is"
    name, parameters = policy.get("name"), dict(policy["parameters"])
    if not isinstance(name, str) or name not in entry.experts:
        return None, f"{entry.id} does not offer the expert {name!r}"
    factory = entry.experts[name]
    accepted = set(signature(factory).parameters) - set(getattr(factory, "keywords", {}))
    try:
        player = make_joint_policy(name, entry, {key: parameters[key] for key in accepted & parameters.keys()})
    except InputError as error:
        return None, str(error).rstrip(".")
    if plain_json(player.parameters) != parameters:
        return None, f"{entry.id} offers another expert {name!r} now"
    return player, ""


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
    return replace(evaluation, scores=scores, reference=reference)


def summarise(evaluation: Evaluation) -> dict[str, list[Any]]:
    """Over seeds: the interquartile mean of what each β earned, with its 95 % interval; a single seed has none.

    Those of returns are bootstrapped over seeds; those of scores include the error of both ends of the scale, see
    `score_interval`.

    Returns:
        a table, a row for each β (and side), way of acting and earner: beta, actions, agent, return, and its interval;
        and the same of the score, where there is one.
    """
    keys = [name for name in ("side", "beta") if name in evaluation.rows]
    groups = list(zip(*(evaluation.rows[key] for key in keys), strict=True))
    table: dict[str, list[Any]] = {name: [] for name in (*keys, "actions", "agent")}
    for group, acting, earner in product(dict.fromkeys(groups), ACTING, evaluation.earners):
        row = dict(zip(keys, group, strict=True)) | {"actions": acting, "agent": evaluation.label(earner)}
        values = [
            value for value, other in zip(evaluation.returns[acting, earner], groups, strict=True) if other == group
        ]
        intervals = {"return": _interval(values)}
        if evaluation.scores and evaluation.reference is not None:
            name = row["side"] if earner is LEARNER else earner
            intervals["score"] = _score_interval(values, evaluation.reference, name)
        for measure, interval in intervals.items():
            row |= {measure: interval.estimate, f"{measure}_low": interval.low, f"{measure}_high": interval.high}
        for name, value in row.items():
            table.setdefault(name, []).append(value)
    return table


def _interval(values: Sequence[float]) -> Interval:
    if not np.isfinite(values).all():
        return Interval(np.nan, np.nan, np.nan)
    if len(values) == 1:
        return Interval(values[0], np.nan, np.nan)
    return bootstrap_interval(np.asarray(values), interquartile_mean)


def _score_interval(values: Sequence[float], reference: Reference, name: Earner) -> Interval:
    if not (np.isfinite(values).all() and reference.has_span(name)):
        return Interval(np.nan, np.nan, np.nan)
    return score_interval(np.asarray(values), *reference.ends(name), interquartile_mean)
