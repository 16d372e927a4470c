"""The report on the matrix games: every claim with its evidence, its interval, and the command that repeats it.

    python -m experiments.report
    python -m experiments.report --quick

Trains the parts that the claims rest on, each in a folder below OUTPUT that appears when it is finished. The command
goes on where an earlier one was stopped, and computes every verdict anew from the saved runs. report.html is one file
with its figures inside; report.md has them in figures/. The exit status is 0 only if no claim is left "not
reproduced" and no figure is missing, and 3 if a run diverged.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from experiments.claims.collapse import COLLAPSE, COLLAPSE_TABLE, MIXING, THEORY
from experiments.claims.correlation import MISMATCH, REPAIR
from experiments.claims.games import OTHER_GAMES, PAYOFFS_UNSEEN
from experiments.claims.pages import html, markdown
from experiments.claims.parts import Part, all_parts, check_parts, commands_of, draw_studies
from experiments.claims.settings import ReportConfig
from experiments.claims.text import Examined, blocks_of
from experiments.studies.diverged import count_diverged, exit_status
from experiments.studies.jobs import run_jobs
from experiments.studies.plotting import report_missing
from magail_trainer.cli.command_line import this_command
from magail_trainer.folders import new_files
from magail_trainer.sealed import as_written
from magail_trainer.text import display_path

CLAIMS = (COLLAPSE, COLLAPSE_TABLE, MIXING, MISMATCH, REPAIR, THEORY, PAYOFFS_UNSEEN, OTHER_GAMES)
FIGURES = "figures"


def parts_of(config: ReportConfig) -> list[Part]:
    """The parts that a claim needs."""
    return [part for part in all_parts(quick=config.quick) if any(claim.rests_on(part.name) for claim in CLAIMS)]


def write_report(output: Path, parts: Sequence[Part], *, command: str, note: str = "") -> list[Examined]:
    """Examine every claim, and write `report.html`, `report.md` and `figures/`.

    Args:
        output: the report's folder, with the finished parts.
        parts: that the claims need.
        command: what repeats the report.
        note: what a reader must know first.

    Raises:
        InputError: a part is missing or not as it was written.
    """
    examined = []
    for claim in CLAIMS:
        commands = commands_of([part for part in parts if claim.rests_on(part.name)])
        with as_written(output):
            examined.append(Examined(claim, claim.examined(output, [part.name for part in parts]), commands))
    with new_files(output) as folder:
        (folder / FIGURES).mkdir()
        for figure in (figure for claim in CLAIMS for figure in claim.figures):
            if (output / figure.file).is_file():  # a quick report does not draw them all
                shutil.copyfile(output / figure.file, folder / FIGURES / f"{figure.name}.png")
        blocks = blocks_of(examined, folder / FIGURES, command=command, note=note)
        (folder / "report.html").write_text(html(blocks), encoding="utf-8")
        (folder / "report.md").write_text(markdown(blocks, base=folder), encoding="utf-8")
    return examined


def expected_figures(parts: Sequence[Part]) -> list[str]:
    """The files of the figures that come with these parts, from the report's folder on: its own, or its study's."""
    folders = {part.name for part in parts} | {part.place.partition("/")[0] for part in parts}
    files = [Path(figure.file) for claim in CLAIMS for figure in claim.figures]
    return list(dict.fromkeys(str(file) for file in files if {str(file.parent), str(file.parent.parent)} & folders))


def run_report(config: ReportConfig, *, command: str = "python -m experiments.report") -> list[Examined]:
    """Do what is not done yet, then `write_report`."""
    parts, output = parts_of(config), config.folder
    check_parts(parts, output)
    run_jobs(parts, output, processes=config.jobs, unit="part")
    draw_studies(output, quick=config.quick)
    return write_report(output, parts, command=command, note=_QUICK if config.quick else "")


_QUICK = (
    "This is a quick look: fewer seeds, epochs, cells and experts than the full report. Intervals are wide, and a "
    "criterion may fail for that alone. Leave out --quick for the full report."
)


def main(config: ReportConfig) -> int:
    """Make the missing parts and write the report; the exit status."""
    examined = run_report(config, command=this_command("python -m experiments.report"))
    print("\n".join(["", *(f"{item.finding.verdict:15}{item.claim.title}" for item in examined), ""]))
    print(f"Wrote {display_path(config.folder)}, with report.html and report.md.")
    status = report_missing(config.folder, expected_figures(parts_of(config)))
    status = 1 if any(item.finding.verdict == "not reproduced" for item in examined) else status
    return exit_status(count_diverged(config.folder), status)
