"""The work behind the report, as parts that are done once: what each is, where its folder lies, what repeats it.

suggested_runs/A ...     run/ as `experiments.coordination` writes it, criteria.csv
phase_portrait/gail ...  portrait/ as `experiments.phase_portrait` writes it
phase_diagram/parts/...  see `experiments.phase_diagram`
correlation/cells/...    see `experiments.correlation`
games/chicken ...        run/ as `experiments.coordination` writes it
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.matching import correlation
from experiments.matching.coordination import CoordinationConfig, run_experiment
from experiments.matching.suggested_runs import SUGGESTED_RUNS, Name, run_suggested
from experiments.studies.jobs import Job, check_finished, command_of, settings_of
from experiments.theory import phase_diagram
from experiments.theory.phase_portrait import PhasePortraitConfig, draw_phase_portrait
from magail_trainer.cli.command_line import counted
from magail_trainer.data.run_folder import write_table
from magail_trainer.errors import InputError
from magail_trainer.learn.config import RewardStyle

RUN, CRITERIA, PORTRAIT = "run", "criteria.csv", "portrait"


@dataclass(frozen=True)
class Plan:
    """All settings of the experiments behind a report."""

    output: Path
    suggested: Mapping[Name, int | None]
    """How many seeds each of the suggested runs has; None for the seed's own."""
    portraits: Mapping[RewardStyle, PhasePortraitConfig]
    diagram: phase_diagram.PhaseConfig
    correlation: correlation.CorrelationConfig
    games: Mapping[str, CoordinationConfig]

    def jobs(self) -> list[Job]:
        """All parts, the long ones first, so that no process is left alone with one at the end."""
        below = {
            "correlation/cells": correlation.jobs_of(self.correlation.settle()),
            "phase_diagram/parts": phase_diagram.jobs_of(self.diagram.settle()),
            "phase_portrait": self.portrait_parts(),
            "suggested_runs": self.suggested_parts(),
            "games": self.game_parts(),
        }
        return [Below(prefix, job) for prefix, jobs in below.items() for job in jobs]

    def suggested_parts(self) -> list["SuggestedPart"]:
        """The seed's runs."""
        return [SuggestedPart(name, num_seeds) for name, num_seeds in self.suggested.items()]

    def portrait_parts(self) -> list["PortraitPart"]:
        """The phase portraits."""
        return [PortraitPart(name, config) for name, config in self.portraits.items()]

    def game_parts(self) -> list["GamePart"]:
        """The runs of other games, and of the matching game in other ways."""
        return [GamePart(name, config) for name, config in self.games.items()]

    def check(self) -> None:
        """Refuse what was made with other settings.

        Raises:
            InputError: there is such a folder.
        """
        diagram, table = self.diagram.settle(), self.correlation.settle()
        check_finished(self.output / "phase_diagram" / "parts", lambda made: phase_diagram.job_of(made, diagram))
        check_finished(self.output / "correlation" / "cells", lambda made: correlation.job_of(made, table))
        sections: dict[str, Sequence[Job]] = {
            "suggested_runs": self.suggested_parts(),
            "phase_portrait": self.portrait_parts(),
            "games": self.game_parts(),
        }
        for section, parts in sections.items():
            by_name = {part.name: part for part in parts}
            check_finished(self.output / section, lambda made, by_name=by_name: _part_of(made, by_name))


@dataclass(frozen=True)
class Below:
    """A job whose folder lies further down."""

    prefix: str
    job: Job

    @property
    def name(self) -> str:
        """Of the folder, from the output on."""
        return f"{self.prefix}/{self.job.name}"

    def settings(self) -> dict[str, Any]:
        """Those of the job."""
        return self.job.settings()

    def fill(self, folder: Path) -> str:
        """As the job does."""
        return self.job.fill(folder)


@dataclass(frozen=True)
class SuggestedPart:
    """One of the seed's runs, judged."""

    name: Name
    num_seeds: int | None = None

    def settings(self) -> dict[str, Any]:
        """All that the run heeds."""
        config = SUGGESTED_RUNS[self.name].config
        return {"name": self.name, "num_seeds": self.num_seeds, **settings_of(config)}

    def fill(self, folder: Path) -> str:
        """Train, judge, and write both."""
        outcome = run_suggested(self.name, folder / RUN, num_seeds=self.num_seeds)
        rows = [(item.expected, item.observed, int(item.holds)) for item in outcome.criteria]
        write_table(
            folder / CRITERIA, dict(zip(("expected", "observed", "holds"), zip(*rows, strict=True), strict=True))
        )
        return outcome.verdict()

    def command(self) -> str:
        """What repeats it."""
        seeds = "" if self.num_seeds is None else f" --num-seeds {self.num_seeds}"
        return f"python -m experiments.suggested_runs {self.name}{seeds}"


@dataclass(frozen=True)
class PortraitPart:
    """The phase portrait for one reward."""

    name: str
    config: PhasePortraitConfig

    def settings(self) -> dict[str, Any]:
        """All that the drawing heeds."""
        return {"name": self.name, **settings_of(self.config.settle())}

    def fill(self, folder: Path) -> str:
        """Train and draw."""
        config = self.config.settle()
        draw_phase_portrait(replace(config, output=folder / PORTRAIT), command=self.command())
        return counted(config.seeds * len(config.betas) * len(config.discriminator), "run")

    def command(self) -> str:
        """What repeats it."""
        return command_of("phase_portrait", self.config)


@dataclass(frozen=True)
class GamePart:
    """A sweep of `experiments.coordination`."""

    name: str
    config: CoordinationConfig

    def settings(self) -> dict[str, Any]:
        """All that the training heeds."""
        return {"name": self.name, **settings_of(self.config)}

    def fill(self, folder: Path) -> str:
        """Train, measure, and write the run folder."""
        results = run_experiment(replace(self.config, output=folder / RUN, no_plots=True), command=self.command())
        return f"{counted(len(results.runs['seed']), 'run')}, mean JS distance {results.runs['js_distance'].mean():.3f}"

    def command(self) -> str:
        """What repeats it."""
        return command_of("coordination", self.config)


def _part_of(settings: Mapping[str, Any], parts: Mapping[str, Job]) -> Job:
    made = str(settings.get("name"))
    if made not in parts:
        raise InputError(f"There is a part {made!r}, which is not this report's; choose another --output.")
    return parts[made]
