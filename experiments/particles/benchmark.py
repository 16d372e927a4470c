"""The particle benchmark: cloning and MAGAIL on few and many demonstrations of scripted experts.

    python -m experiments.mpe --help
    python -m experiments.mpe --quick

Each cell, one method on one task with one number of demonstrations, is a folder below OUTPUT/cells that appears when it
is finished; the command continues where an earlier one stopped. Tables and figures show all finished cells.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from experiments.particles.cells import BenchmarkCell, ReferenceReturns, job_of, settings_now
from experiments.particles.figures import curves_figure, scores_figure
from experiments.particles.settings import MpeConfig
from experiments.particles.tables import floor_table, markdown, read_curves, score_table, summarise
from experiments.studies.diverged import count_diverged, exit_status
from experiments.studies.jobs import Job, check_finished, finished, run_jobs
from experiments.studies.plotting import save_figures
from magail_trainer.data.run_folder import write_table
from magail_trainer.errors import InputError
from magail_trainer.files import write_arrays
from magail_trainer.folders import new_files
from magail_trainer.text import display_path


def jobs_of(config: MpeConfig) -> list[Job]:
    """The references of every task, then its cells.

    Raises:
        InputError: a value is out of range, or given twice.
    """
    for name in ("tasks", "methods", "demonstrations"):
        values = getattr(config, name)
        if not values or len(set(values)) < len(values):
            raise InputError(
                f"--{name} must name each value once, and one at least, not {' '.join(map(str, values))!r}."
            )
    if min(config.demonstrations) < 1:
        raise InputError(f"--demonstrations must be at least 1, not {min(config.demonstrations)}.")
    shared = config.shared
    references: list[Job] = [ReferenceReturns(task, shared) for task in config.tasks]
    return references + [
        BenchmarkCell(task, method, number, shared)
        for task in config.tasks
        for number in config.demonstrations
        for method in config.methods
    ]


def write_results(output: Path) -> tuple[list[str], Mapping[str, Callable[[], Figure]]]:
    """Write `table.csv`, `floors.csv`, `curves.npz` and `table.md` from the finished cells.

    Args:
        output: holds `cells`; older tables are replaced once the new ones are complete.

    Returns:
        the lines of `table.md`, and what draws each figure.

    Raises:
        InputError: there are no cells, or a file of one is damaged.
    """
    cells = output / "cells"
    if not finished(cells):
        raise InputError(f"{str(output)!r} holds no finished cells.")
    floors = floor_table(cells)
    table = score_table(cells, floors)
    if not table["env"]:
        raise InputError(f"{str(output)!r} holds no cell together with the references of its task.")
    curves, summaries = read_curves(cells, floors), summarise(table, floors)
    diverged = count_diverged(cells)
    lines = [*markdown(summaries), *([f"{diverged} and left out."] if diverged else [])]
    with new_files(output) as folder:
        write_table(folder / "table.csv", table)
        write_table(folder / "floors.csv", floors)
        write_arrays(folder / "curves.npz", {name: array for curve in curves for name, array in curve.arrays().items()})
        (folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines, {
        "scores.png": lambda: scores_figure(summaries),
        "learning_curves.png": lambda: curves_figure(curves, summaries),
    }


def main(config: MpeConfig) -> int:
    """Fill the missing cells, then write tables and figures; the exit status."""
    config = config.settle()
    jobs, cells, shared = jobs_of(config), config.output / "cells", config.shared
    check_finished(cells, lambda settings: job_of(settings, shared), read=settings_now)
    run_jobs(jobs, cells, processes=config.jobs, read=settings_now)
    lines, figures = write_results(config.output)
    print("\n".join(["", *lines, ""]))
    print(f"Wrote {display_path(config.output)}, with table.csv, floors.csv, curves.npz and table.md.")
    return exit_status(count_diverged(cells), save_figures(config.output, figures))
