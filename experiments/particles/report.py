"""Makes tables and figures of the particle benchmark from its finished cells.

    python -m experiments.particles.report results/mpe

`python -m experiments.mpe` does the same at its end.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.matching.figures import save_figure
from experiments.particles.figures import curves_figure, scores_figure
from experiments.particles.tables import floor_table, markdown, read_curves, score_table, summarise
from experiments.studies.jobs import finished
from magail_trainer.cli.command_line import display_path, run_command
from magail_trainer.data.run_folder import write_table
from magail_trainer.errors import InputError
from magail_trainer.files import write_arrays


@dataclass(frozen=True)
class ReportConfig:
    """Make tables and figures of the finished cells once more."""

    output: tyro.conf.Positional[Path] = Path("results/mpe")
    """The folder that holds the cells."""


def write_report(output: Path) -> list[str]:
    """Write `table.csv`, `floors.csv`, `curves.npz`, `table.md`, `scores.png` and `learning_curves.png`.

    Args:
        output: holds `cells`; files that are there are replaced, once the new ones are complete.

    Returns:
        the lines of `table.md`.

    Raises:
        InputError: there are no cells, or one is not as it was written.
    """
    cells = output / "cells"
    if not finished(cells):
        raise InputError(f"{str(output)!r} holds no finished cells.")
    floors = floor_table(cells)
    table = score_table(cells, floors)
    if not table["env"]:
        raise InputError(f"{str(output)!r} holds no cell together with the references of its task.")
    curves, summaries = read_curves(cells, floors), summarise(table, floors)
    lines = markdown(summaries)
    with tempfile.TemporaryDirectory(dir=output, prefix=".report-") as temporary:
        folder = Path(temporary)
        write_table(folder / "table.csv", table)
        write_table(folder / "floors.csv", floors)
        write_arrays(folder / "curves.npz", {name: array for curve in curves for name, array in curve.arrays().items()})
        (folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        save_figure(scores_figure(summaries), folder / "scores.png")
        save_figure(curves_figure(curves, summaries), folder / "learning_curves.png")
        for file in folder.iterdir():
            file.replace(output / file.name)
    return lines


def _main(config: ReportConfig) -> None:
    print("\n".join(write_report(config.output)))
    print(f"Wrote tables and figures in {display_path(config.output)}.")


if __name__ == "__main__":
    run_command(ReportConfig, _main, prog="python -m experiments.particles.report")
