"""One convention or all of them: simple_spread with an expert who tosses a hidden coin.

    python -m experiments.conventions --help
    python -m experiments.conventions --quick

The coin k shifts the assignment of all agents at once: agent i walks to landmark i + k mod 3. Each assignment is
coherent and occurs in a third of the demonstrations. Agents that act independently can play one of them, or mix agent
by agent and collide; the return does not show which, so the final positions are measured.

Agents that share a signal (the methods in `_signal`) can play all three. Neither the coin nor its number of sides is in
the demonstrations: the signal has four values. Results with 200 demonstrations:

- Linear policies with annealing (`magail_trainer.learn.signal_inference`) classify 0.975 to 0.995 of the episodes
  correctly, in 5 of 5 seeds, with each value of the signal assigned to the coin of most of its episodes. Perceptrons
  that infer the coin during cloning do not (0.41 at most, chance level): they memorise the episodes.
- Cloning then scores 0.70, instead of 0.41 without a signal. MAGAIL, which starts from a tenth of cloning's updates,
  scores slightly less, 0.67 (3 seeds each).
- Inference needs enough demonstrations: linear policies classify 0.60 to 0.68 of 100 correctly, 0.56 to 0.64 of 50 (5
  seeds). A signal of two values separates two of three conventions: 0.63 to 0.67 of 200.
- Without a signal, MAGAIL with its warm start and cloning term stays at the cloned policies, and mixes all conventions.
  From scratch (`_scratch`: neither of them, three times the epochs) a joint discriminator breaks the symmetry: the
  largest shares of three seeds are 0.50, 0.31 and 0.65, the smallest 0.02, 0.05 and 0.01, and two agents meet in 0.27
  of the episodes. Per-agent discriminators break it less (0.24, 0.18, 0.30), and two agents meet in 0.37.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.particles.cells import (
    EVALUATION_SEED,
    BenchmarkCell,
    ReferenceReturns,
    SharedSettings,
    job_of,
    settings_now,
)
from experiments.particles.convention_figure import PARTS, by_cell, conventions_figure, parts
from experiments.particles.convention_measures import convention_columns, final_landmarks, recorded_landmarks
from experiments.particles.experts import SpreadExpert
from experiments.particles.methods import METHODS
from experiments.particles.settings import ConventionsConfig
from experiments.particles.tables import COLUMNS, floor_table, score_table
from experiments.particles.tasks import TASKS
from experiments.studies.criteria import interval_text
from experiments.studies.diverged import count_diverged, exit_status
from experiments.studies.jobs import Job, check_finished, open_cell, run_jobs
from experiments.studies.plotting import save_figures
from experiments.studies.statistics import mean_interval
from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import read_table, write_table
from magail_trainer.errors import InputError
from magail_trainer.folders import new_files
from magail_trainer.play.load_runs import load_runs
from magail_trainer.text import counted, display_path

TASK = "spread_coin"
MEASURES = "conventions.csv"
ONE_CONVENTION = 0.7
"""A seed plays one convention if at least this share of its episodes ends in it."""
_INDENT = 29
"""Width of a method and its number of demonstrations."""


@dataclass(frozen=True)
class MeasuredCell(BenchmarkCell):
    """A cell of the benchmark, with the conventions that its episodes end in."""

    def fill(self, folder: Path) -> str:
        """Write the cell, and a table with a row for each seed that did not diverge beside it."""
        line = super().fill(folder)
        trained, table = load_runs(folder), {"seed": np.array([], dtype=np.int64)}
        if not trained.diverged.all():
            trained = trained.healthy
            landmarks, signal = final_landmarks(trained, episodes=self.shared.eval_episodes, seed=EVALUATION_SEED)
            table = {"seed": trained.runs.seed, **convention_columns(landmarks, signal)}
        write_table(folder / MEASURES, table)
        return line


@dataclass(frozen=True)
class MeasuredReferences(ReferenceReturns):
    """The returns of random policy, expert and floors, with the conventions that the expert plays."""

    def fill(self, folder: Path) -> str:
        """Write the references, and a table with a row for the expert beside it."""
        line, task = super().fill(folder), TASKS[self.task]
        episodes = self.settings()["episodes"]
        expert = task.player("expert")
        assert isinstance(expert, SpreadExpert)
        recorded = record(task.entry, expert, episodes=episodes, seed=EVALUATION_SEED)
        columns = convention_columns(recorded_landmarks(recorded), expert.shifts[np.newaxis])  # the coin is its signal
        write_table(folder / MEASURES, columns)
        return line


def measured_job(settings: Mapping[str, Any], shared: SharedSettings) -> Job:
    """The job that would make a folder with these settings now.

    Raises:
        InputError: there is no such task.
    """
    job = job_of(settings, shared)
    if isinstance(job, ReferenceReturns):
        return MeasuredReferences(job.task, shared)
    return MeasuredCell(job.task, job.method, job.demonstrations, shared)


def jobs_of(config: ConventionsConfig) -> list[Job]:
    """The references, then a cell for each method.

    Raises:
        InputError: a value is out of range, or given twice.
    """
    if not config.methods or len(set(config.methods)) < len(config.methods):
        raise InputError(f"--methods must name each method once, and one at least, not {' '.join(config.methods)!r}.")
    if config.demonstrations < 1:
        raise InputError(f"--demonstrations must be at least 1, not {config.demonstrations}.")
    shared = config.shared
    cells = [MeasuredCell(TASK, method, config.demonstrations, shared) for method in config.methods]
    return [MeasuredReferences(TASK, shared), *cells]


def read_conventions(cells: Path) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """The results of the finished cells.

    Returns:
        a table with a row for each method, number of demonstrations and seed: the columns of the benchmark's table from
        `demonstrations` on, then those of `convention_columns`; and the latter for the expert, in one row.

    Raises:
        InputError: a folder below `cells` is not as it was written, or missing.
    """
    scores = score_table(cells, floor_table(cells))
    table: dict[str, list[Any]] = {name: scores[name] for name in COLUMNS[2:]}
    for method, number, seed in zip(scores["method"], scores["demonstrations"], scores["seed"], strict=True):
        measured = read_table(open_cell(cells / f"{TASK}-{method}-{number}") / MEASURES)
        row = measured["seed"].tolist().index(seed)
        for name, values in measured.items():
            if name != "seed":
                table.setdefault(name, []).append(values[row].item())
    expert = read_table(open_cell(cells / f"{TASK}-references") / MEASURES)
    return table, {name: values.tolist() for name, values in expert.items()}


def summary(table: Mapping[str, list[Any]], expert: Mapping[str, list[Any]]) -> list[str]:
    """The lines for the terminal: for each method and number of demonstrations, the shares of the conventions and the
    number of seeds that play only one."""
    lines = [f"{'expert':{_INDENT}}{_shares(parts(expert))}"]
    for (method, number), of in by_cell(table).items():
        score, largest = mean_interval(np.asarray(of["normalized_stochastic"])), largest_share(of)
        alone = int((largest >= ONE_CONVENTION).sum())
        details = [
            f"one convention (share of {ONE_CONVENTION} or more) in {alone} of {counted(len(largest), 'seed')}; "
            f"largest share by seed {' '.join(f'{share:.2f}' for share in largest)}",
            f"entropy of the convention within a seed {_mean(of['entropy']):.2f} nats (three alike: "
            f"{math.log(3):.2f}); score {interval_text(score, '.2f')}",
        ]
        if METHODS[method].signal:
            bits = " ".join(f"{bits:.2f}" for bits in of["signal_bits"])
            details.append(f"the signal tells {_mean(of['signal_bits']):.2f} bits of the convention; by seed {bits}")
        lines.append(f"{f'{method} {number}':{_INDENT}}{_shares(parts(of))}")
        lines += [f"{'':{_INDENT}}{line}" for line in details]
    return lines


def largest_share(table: Mapping[str, list[Any]]) -> np.ndarray:
    """The share of the convention that a seed plays most, `[rows]`."""
    return np.max([table[f"share_{shift}"] for shift in range(3)], axis=0)


def write_results(output: Path) -> tuple[list[str], Mapping[str, Callable[[], Figure]]]:
    """Write `conventions.csv` and `expert.csv` from the finished cells.

    Returns:
        the lines of `summary`, and what draws each figure.

    Raises:
        InputError: a file of a cell is damaged.
    """
    table, expert = read_conventions(output / "cells")
    with new_files(output) as folder:
        write_table(folder / "conventions.csv", table)
        write_table(folder / "expert.csv", expert)
    return summary(table, expert), {"conventions.png": lambda: conventions_figure(table, expert)}


def _shares(of: Mapping[str, np.ndarray]) -> str:
    """The parts of a bar, pooled over seeds."""
    names = {"apart": "other", "same_landmark": "two at one landmark"}
    return ", ".join(
        f"{names.get(name, name.replace('share_', 'k='))} {of[name].mean():.2f}" for name in PARTS
    )  # fmt: skip


def _mean(values: list[float]) -> float:
    """The mean of the values that are not NaN; NaN if there are none."""
    numbers = [value for value in values if not math.isnan(value)]
    return float(np.mean(numbers)) if numbers else math.nan


def main(config: ConventionsConfig) -> int:
    """Fill the missing cells, then write the tables and the figure; the exit status."""
    config = config.settle()
    jobs, cells, shared = jobs_of(config), config.output / "cells", config.shared
    check_finished(cells, lambda settings: measured_job(settings, shared), read=settings_now)
    run_jobs(jobs, cells, processes=config.jobs, read=settings_now)
    lines, figures = write_results(config.output)
    print("\n".join(["", *lines, ""]))
    print(f"Wrote {display_path(config.output)}, with conventions.csv and expert.csv.")
    return exit_status(count_diverged(cells), save_figures(config.output, figures))
