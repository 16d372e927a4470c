"""The parts that claims rest on: what each is, its folder below the report's, and the command that repeats it.

correlation/cells/...    see `experiments.correlation`
phase_diagram/parts/...  see `experiments.phase_diagram`
phase_portrait/gail ...  portrait/ as `experiments.phase_portrait` writes it
suggested_runs/A ...     run/ as `experiments.coordination` writes it
games/chicken ...        run/ as `experiments.coordination` writes it
"""

import contextlib
import io
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from experiments.claims.claim import RUN
from experiments.matching import correlation
from experiments.matching.coordination import CoordinationConfig, run_experiment
from experiments.matching.suggested_runs import SUGGESTED_RUNS, Name, command_of_run, run_suggested
from experiments.studies.commands import command_of, settings_of
from experiments.studies.criteria import verdict
from experiments.studies.jobs import check_folder, finished
from experiments.studies.statistics import mean_of
from experiments.theory import phase_diagram
from experiments.theory.phase_portrait import PhasePortraitConfig, draw_phase_portrait
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig, RewardStyle
from magail_trainer.text import counted

SEEDS_OF_A, QUICK_SEEDS_OF_A = 100, 30


@dataclass(frozen=True)
class Part:
    """A job with the command that repeats it."""

    name: str
    """Of its folder, from the report's on."""
    command: str
    """It may repeat other parts as well."""
    about: Mapping[str, Any]
    """What decides the content of the folder."""
    train: Callable[[Path], str]
    """Fills the folder and returns a line about it; goes to another process as it is."""

    @property
    def place(self) -> str:
        """The folder that holds such parts."""
        return self.name.rpartition("/")[0]

    def settings(self) -> dict[str, Any]:
        """See `Job`."""
        return dict(self.about)

    def fill(self, folder: Path) -> str:
        """See `Job`."""
        return self.train(folder)


def all_parts(*, quick: bool) -> list[Part]:
    """All parts, the long ones first, so that no process is left alone with one at the end."""
    table, diagram = correlation_config(quick=quick), phase_diagram.PhaseConfig(quick=quick)
    studies = {
        ("correlation/cells", command_of("correlation", table)): correlation.jobs_of(table.settle()),
        ("phase_diagram/parts", command_of("phase_diagram", diagram)): phase_diagram.jobs_of(diagram.settle()),
    }
    rewards: tuple[RewardStyle, ...] = ("gail",) if quick else ("gail", "non_saturating")
    seeds = {"A": QUICK_SEEDS_OF_A if quick else SEEDS_OF_A}
    return [
        *(
            Part(f"{place}/{job.name}", command, job.settings(), job.fill)
            for (place, command), jobs in studies.items()
            for job in jobs
        ),
        *(portrait_part(PhasePortraitConfig(reward_style=reward, quick=quick)) for reward in rewards),
        *(suggested_part(name, seeds.get(name)) for name in SUGGESTED_RUNS),
        *(game_part(name, config) for name, config in game_configs(quick=quick).items()),
    ]


def suggested_part(name: Name, num_seeds: int | None) -> Part:
    """One of the reference runs."""
    about = {"name": name, "num_seeds": num_seeds, **settings_of(SUGGESTED_RUNS[name].config)}
    command, train = command_of_run(name, num_seeds=num_seeds), partial(_train_suggested, name, num_seeds)
    return Part(f"suggested_runs/{name}", command, about, train)


def _train_suggested(name: Name, num_seeds: int | None, folder: Path) -> str:
    return verdict(run_suggested(name, folder / RUN, num_seeds=num_seeds))


def portrait_part(config: PhasePortraitConfig) -> Part:
    """The phase portrait of one reward."""
    command, settled = command_of("phase_portrait", config), config.settle()
    about = {"name": config.reward_style, **settings_of(settled)}
    return Part(f"phase_portrait/{config.reward_style}", command, about, partial(_draw_portrait, settled, command))


def _draw_portrait(config: PhasePortraitConfig, command: str, folder: Path) -> str:
    draw_phase_portrait(replace(config, output=folder / "portrait"), command=command)
    return counted(config.seeds * len(config.betas) * len(config.discriminator), "run")


def game_part(name: str, config: CoordinationConfig) -> Part:
    """A sweep of `experiments.coordination`."""
    command, about = command_of("coordination", config), {"name": name, **settings_of(config)}
    return Part(f"games/{name}", command, about, partial(_train_game, config, command))


def _train_game(config: CoordinationConfig, command: str, folder: Path) -> str:
    results = run_experiment(replace(config, output=folder / RUN, no_plots=True), command=command)
    distance = results.healthy.runs["js_distance"]
    return f"{counted(len(results.runs['seed']), 'run')}, mean JS distance {mean_of(distance):.3f}"


def correlation_config(*, quick: bool) -> correlation.CorrelationConfig:
    """The settings of the correlation table."""
    table = correlation.CorrelationConfig(quick=quick)
    return replace(table, expert_types=("bimodal", "asymmetric")) if quick else table


def game_configs(*, quick: bool) -> dict[str, CoordinationConfig]:
    """Other games, and the matching game with a shared signal and a bonus.

    Independent policies train as in the suggested runs, correlated ones as in the correlation table.
    """
    epochs = 500 if quick else 2000
    gail = MagailConfig(network="tabular", epochs=2000, reward_style="gail", lr_disc=0.005)
    correlated = replace(
        gail, epochs=epochs, batch_size=200, baseline="batch", lr_policy=40 / epochs, lr_disc=200 / epochs,
        lr_schedule="linear",
    )  # fmt: skip
    plain = CoordinationConfig(betas=(0.0,), seeds=tuple(range(10 if quick else 20)), training=gail)
    recipe = replace(plain, training=correlated)
    shared = replace(plain, training=replace(correlated, policy="shared_signal", signals=8))
    both = replace(plain, betas=(0.0, 1.0), expert_type="pure_equilibria", training=replace(gail, epochs=1000))
    chicken, equilibrium = "chicken", "correlated_equilibrium"
    return {
        "stag_hunt": replace(both, game="stag_hunt"),
        "battle_of_the_sexes": replace(both, game="battle_of_the_sexes"),
        "chicken": replace(recipe, game=chicken, expert_type=equilibrium),
        "chicken_shared_signal": replace(shared, game=chicken, expert_type=equilibrium),
        "matching_3": replace(plain, num_agents=3),
        "rock_paper_scissors": replace(recipe, game="rock_paper_scissors", expert_type="mixed"),
        "matching_shared_signal": replace(shared, betas=(0.0, 0.5)),
    }


def check_parts(parts: Iterable[Part], output: Path) -> None:
    """Refuse finished folders that were made with other settings than these parts have.

    Raises:
        InputError: there is such a folder below `output`.
    """
    known = {part.name: part for part in parts}
    for place in dict.fromkeys(part.place for part in known.values()):
        for folder in finished(output / place):
            name = f"{place}/{folder.name}"
            if name not in known:
                raise InputError(f"There is a part {name!r}, which is not this report's; choose another --output.")
            check_folder(folder, lambda _, job=known[name]: job)


def draw_studies(output: Path, *, quick: bool) -> None:
    """Bring the tables and figures of the phase diagram and of the correlation table up to date with their parts."""
    diagram = replace(phase_diagram.PhaseConfig(quick=quick), output=output / "phase_diagram")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as complaints:
        phase_diagram.run_phase_diagram(diagram.settle())  # nothing is left to train: without its bar and its lines
    print(complaints.getvalue(), end="", file=sys.stderr)
    correlation.write_report(output / "correlation")


def commands_of(parts: Sequence[Part]) -> list[str]:
    """The commands that repeat these parts, each once."""
    return list(dict.fromkeys(part.command for part in parts))
