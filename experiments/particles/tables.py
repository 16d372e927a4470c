"""The results of the finished cells of the particle benchmark: tables, curves, and intervals over seeds.

S is the number of seeds, K that of logged epochs. A score is a normalised return: 0 is what the random joint policy
earns, 1 what the expert earns; where there are opponents, what these two earn on a side against the scripted expert.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.particles.cells import RETURNS
from experiments.particles.methods import METHODS
from experiments.particles.tasks import TASKS
from experiments.studies.criteria import interval_text
from experiments.studies.jobs import finished, open_cell
from experiments.studies.statistics import mean_interval
from magail_trainer.data.run_folder import healthy, read_table
from magail_trainer.files import read_arrays
from magail_trainer.play.scores import Reference
from magail_trainer.play.statistics import Interval
from magail_trainer.sealed import Sealed

COLUMNS = (
    *("env", "expert", "demonstrations", "method", "seed", "env_steps", "cpu_seconds"),
    *("return_stochastic", "return_argmax", "normalized_stochastic", "normalized_argmax"),
)
FLOOR_COLUMNS = ("env", "expert", "policy", "return", "normalized", "episodes")

FEW_SEEDS = 5
_OF_FEW = f"Bootstrap intervals of fewer than {FEW_SEEDS} seeds are too short: take them and † as hints."
_OF_BEHIND = "† does not beat cloning: the interval of the seeds' differences from it is not above 0."
_OF_SYMMETRIC = (
    "…_symmetric has the images of the demonstrations under symmetries of the env as well, and is compared with "
    "cloning_symmetric."
)

Table = dict[str, list[Any]]
Key = tuple[str, str]
"""env and expert: what has a scale of its own."""


def floor_table(root: Path) -> Table:
    """What random, expert and floors earn in each task that has been played.

    Returns:
        a table with the columns `FLOOR_COLUMNS`.

    Raises:
        InputError: a folder below `root` is not as it was written.
    """
    table: Table = {name: [] for name in FLOOR_COLUMNS}
    for cell in _cells(root, "references"):
        played = {name: values.tolist() for name, values in read_table(cell / RETURNS).items()}
        for row, env in enumerate(played["env"]):
            earned = {
                played["policy"][other]: float(played["return"][other])
                for other in range(len(played["env"]))
                if played["env"][other] == env
            }
            scale = Reference({env: earned["random"]}, {env: earned["expert"]})
            values = {name: played[name][row] for name in FLOOR_COLUMNS if name != "normalized"}
            values["normalized"] = scale.score(float(values["return"]), env)
            for name in FLOOR_COLUMNS:
                table[name].append(values[name])
    return table


def scales(floors: Table) -> dict[Key, Reference]:
    """The ends of every scale, from the table of the floors."""
    ends: dict[Key, dict[str, float]] = {}
    for env, expert, policy, value in zip(*(floors[name] for name in FLOOR_COLUMNS[:4]), strict=True):
        ends.setdefault((env, expert), {})[policy] = float(value)
    return {key: Reference({key[0]: end["random"]}, {key[0]: end["expert"]}) for key, end in ends.items()}


def score_table(root: Path, floors: Table) -> Table:
    """Every seed of every finished cell whose task has references.

    Returns:
        a table with the columns `COLUMNS`.

    Raises:
        InputError: a folder below `root` is not as it was written.
    """
    table: Table = {name: [] for name in COLUMNS}
    of = scales(floors)
    for cell in _cells(root, "cell"):
        settings, played = cell.content, read_table(cell / RETURNS)
        expert = TASKS[settings["task"]].expert
        for row, env in enumerate(played["env"].tolist()):
            if (env, expert) not in of:
                continue
            values = {name: column[row].item() for name, column in played.items()}
            values |= {"expert": expert} | {name: settings[name] for name in ("demonstrations", "method")}
            for kind in ("stochastic", "argmax"):
                values[f"normalized_{kind}"] = of[env, expert].score(float(values[f"return_{kind}"]), env)
            for name in COLUMNS:
                table[name].append(values[name])
    return table


@dataclass(frozen=True)
class Curve:
    """How the training return of a cell went, on one side."""

    env: str
    expert: str
    demonstrations: int
    method: str
    epoch: np.ndarray
    """`[K]`"""
    env_steps: np.ndarray
    """`[K]`: of one seed."""
    normalized_return: np.ndarray
    """`[K, S]`, of the seeds that did not diverge: of episodes that the learner plays with itself, drawn actions."""

    @property
    def name(self) -> str:
        """Of its arrays in `curves.npz`, less the last part."""
        return f"{self.env}/{self.expert}/{self.method}/{self.demonstrations}"

    def arrays(self) -> dict[str, np.ndarray]:
        """What `curves.npz` holds of it."""
        names = ("epoch", "env_steps", "normalized_return")
        return {f"{self.name}/{name}": getattr(self, name) for name in names}


def read_curves(root: Path, floors: Table) -> list[Curve]:
    """The learning curves of every finished cell that was trained in the env.

    Raises:
        InputError: a folder below `root` is not as it was written.
    """
    curves, of = [], scales(floors)
    for cell in _cells(root, "cell"):
        settings, history = cell.content, read_arrays(cell / "history.npz")
        task, kept = TASKS[settings["task"]], healthy(read_table(cell / "runs.csv"))
        returns = {
            name.removeprefix("return/"): values[:, kept]
            for name, values in history.items()
            if name.startswith("return/")
        }
        for side in task.sides:
            scale = of.get((side.label, task.expert))
            if scale is None or not returns or not kept.any():
                continue
            earned = np.asarray(side.earned(returns), dtype=np.float64)
            normalized = scale.score(earned, side.label)
            what = (side.label, task.expert, settings["demonstrations"], settings["method"])
            curves.append(Curve(*what, history["epoch"], history["env_steps"], normalized))
    return curves


@dataclass(frozen=True)
class Summary:
    """One line of the printed table: an env with an expert, and a number of demonstrations."""

    env: str
    expert: str
    demonstrations: int
    scores: Mapping[str, Interval]
    """The mean stochastic score over seeds, by method."""
    behind: frozenset[str]
    """Methods that do not beat cloning of the same episodes: the interval of the seeds' differences from it is not
    above 0."""
    floors: Mapping[str, float]
    """Their scores, by name."""
    seeds: int
    """The fewest that a method has."""

    @property
    def is_one_side(self) -> bool:
        """Whether there are opponents, against whom the score was earned."""
        return "/" in self.env


def summarise(table: Table, floors: Table) -> list[Summary]:
    """Means over seeds with their bootstrap 95 % intervals, by env, expert and number of demonstrations."""
    scores: dict[tuple[str, str, int], dict[str, dict[int, float]]] = {}
    rows = zip(*(table[name] for name in (*COLUMNS[:5], "normalized_stochastic")), strict=True)
    for env, expert, demonstrations, method, seed, score in rows:
        scores.setdefault((env, expert, demonstrations), {}).setdefault(method, {})[seed] = score
    return [
        Summary(
            *key,
            {method: _interval(list(by_method[method].values())) for method in sorted(by_method)},
            frozenset(
                method for method in by_method if METHODS[method].baseline != method and _is_behind(by_method, method)
            ),
            floors_of(floors, key[0], key[1]),
            min(map(len, by_method.values())),
        )
        for key, by_method in sorted(scores.items(), key=lambda item: (_order(item[0][0], item[0][1]), item[0][2]))
    ]


def floors_of(floors: Table, env: str, expert: str) -> dict[str, float]:
    """The scores of the floors of an env with an expert, by name."""
    rows = zip(*(floors[name] for name in ("env", "expert", "policy", "normalized")), strict=True)
    return {
        policy: score
        for other, whose, policy, score in rows
        if (other, whose) == (env, expert) and policy not in ("random", "expert")
    }


def markdown(summaries: Sequence[Summary]) -> list[str]:
    """The lines of `table.md`: a Markdown table that reads well as it is, and what the mark means."""
    methods = [method for method in METHODS if any(method in summary.scores for summary in summaries)]
    rows = [["env", "expert", "demonstrations", *methods, "floors"]]
    for summary in summaries:
        cells = [_show(summary.scores.get(method), behind=method in summary.behind) for method in methods]
        floors = ", ".join(f"{name} {score:.2f}" for name, score in summary.floors.items())
        rows.append([summary.env, summary.expert, str(summary.demonstrations), *cells, floors])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return [
        *lines,
        "",
        "Mean score of the drawn actions over seeds, with its bootstrap 95 % interval: 0 is random, 1 is the expert.",
        *([_OF_FEW] if any(summary.seeds < FEW_SEEDS for summary in summaries) else []),
        *([_OF_BEHIND] if any(summary.behind for summary in summaries) else []),
        *([_OF_SYMMETRIC] if any(METHODS[method].symmetric for method in methods) else []),
    ]


def _cells(root: Path, kind: str) -> list[Sealed]:
    """The finished folders of a kind, in the order of the tables."""
    tasks = list(TASKS)

    def place(cell: Sealed) -> tuple[int, int, str]:
        made = cell.content
        return tasks.index(made["task"]), made.get("demonstrations", 0), made.get("method", "")

    return sorted((cell for cell in map(open_cell, finished(root)) if cell.content.get("kind") == kind), key=place)


def _order(env: str, expert: str) -> int:
    """The place of a side among all tasks."""
    places = [(side.label, task.expert) for task in TASKS.values() for side in task.sides]
    return places.index((env, expert))


def _is_behind(by_method: Mapping[str, Mapping[int, float]], method: str) -> bool:
    """Whether a method does not beat cloning in the seeds that both have; False for cloning itself, or without it."""
    baseline = METHODS[method].baseline
    cloned = by_method.get(baseline, {}) if method != baseline else {}
    gains = [score - cloned[seed] for seed, score in by_method[method].items() if seed in cloned]
    return bool(gains) and not _interval(gains).low > 0


def _interval(values: Sequence[float]) -> Interval:
    if not np.isfinite(values).all():
        return Interval(np.nan, np.nan, np.nan)
    return mean_interval(np.asarray(values, dtype=np.float64))


def _show(score: Interval | None, *, behind: bool) -> str:
    if score is None:
        return ""
    return f"{interval_text(score, 'z.2f')}{' †' if behind else ''}"
