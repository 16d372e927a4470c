"""The report on the matrix games: every claim with its evidence, its interval, and the command that repeats it.

    python -m experiments.report
    python -m experiments.report --quick

Runs the suggested runs, the phase portraits, the phase diagram, the correlation table and some other games, each part
in a folder below OUTPUT that appears when it is finished; the command goes on where an earlier one was stopped, and
writes the report anew from what there is. report.html is one file with its figures inside; report.md has them
in figures/. The exit status is 0 only if no claim is left that was not reproduced.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from experiments.claims.claim import Claim
from experiments.claims.pages import html, markdown
from experiments.claims.parts import Plan
from experiments.claims.text import blocks_of, claims_of, gather_figures, make_tables
from experiments.matching import correlation
from experiments.matching.coordination import CoordinationConfig
from experiments.studies.jobs import run_jobs
from experiments.theory import phase_diagram
from experiments.theory.phase_portrait import PhasePortraitConfig
from magail_trainer.cli.command_line import display_path, this_command
from magail_trainer.learn.config import RewardStyle

FIGURES = "figures"


@dataclass(frozen=True)
class ReportConfig:
    """Run or reuse all experiments on the matrix games, and report every claim with its evidence."""

    output: Path | None = None
    """The folder for everything; what is in it already is not done again. By default results/report, and
    results/report_quick with --quick."""
    jobs: int = 2
    """How many parts to work on at the same time, each in a process of its own."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Fewer seeds, epochs and cells, in under three minutes: to see that it works. The report says so."""

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.output or Path("results/report_quick" if self.quick else "results/report")


def plan_of(config: ReportConfig) -> Plan:
    """The settings of all experiments."""
    quick = config.quick
    portrait = PhasePortraitConfig(quick=quick)
    rewards: tuple[RewardStyle, ...] = ("gail",) if quick else ("gail", "non_saturating")
    diagram, table = phase_diagram.PhaseConfig(quick=quick), correlation.CorrelationConfig(quick=quick)
    if quick:
        table = replace(table, expert_types=("bimodal", "asymmetric"))
    return Plan(
        output=config.folder,
        suggested={"A": 30 if quick else 100, "B": None, "C": None, "D": None},
        portraits={reward: replace(portrait, reward_style=reward) for reward in rewards},
        diagram=replace(diagram, output=config.folder / "phase_diagram", jobs=config.jobs),
        correlation=replace(table, output=config.folder / "correlation", jobs=config.jobs),
        games=_games(quick=quick),
    )


def _games(*, quick: bool) -> dict[str, CoordinationConfig]:
    """Other games, as the suggested runs are trained, or as the correlation table is where policies are correlated."""
    epochs = 500 if quick else 2000
    plain = CoordinationConfig(
        betas=(0.0,), seeds=tuple(range(10 if quick else 20)), epochs=2000, reward_style="gail", lr_disc=0.005
    )
    recipe = replace(
        plain, epochs=epochs, batch_size=200, baseline="batch", lr_policy=40 / epochs, lr_disc=200 / epochs,
        lr_schedule="linear",
    )  # fmt: skip
    shared = replace(recipe, policy="shared_signal", signals=8)
    both = replace(plain, betas=(0.0, 1.0), expert_type="pure_equilibria", epochs=1000)
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


def write_report(plan: Plan, *, command: str, note: str = "") -> list[Claim]:
    """Write `report.html`, `report.md` and `figures/` from the finished parts.

    Args:
        plan: says where the parts are.
        command: that repeats the report.
        note: what a reader must know of it first.

    Returns:
        the claims.

    Raises:
        InputError: a part is missing or not as it was written.
    """
    make_tables(plan)
    claims, output = claims_of(plan), plan.output
    with tempfile.TemporaryDirectory(dir=output, prefix=".report-") as temporary:
        folder = Path(temporary)
        (folder / FIGURES).mkdir()
        gather_figures(plan, folder / FIGURES)
        blocks = blocks_of(claims, folder / FIGURES, command=command, note=note)
        (folder / "report.html").write_text(html(blocks), encoding="utf-8")
        (folder / "report.md").write_text(markdown(blocks, base=folder), encoding="utf-8")
        (output / FIGURES).mkdir(exist_ok=True)
        for file in [*(folder / FIGURES).iterdir(), folder / "report.md", folder / "report.html"]:
            file.replace(output / file.relative_to(folder))
    return claims


def run_report(config: ReportConfig, *, command: str = "python -m experiments.report") -> list[Claim]:
    """Do what is not done yet, then `write_report`."""
    plan = plan_of(config)
    plan.check()
    run_jobs(plan.jobs(), plan.output, processes=config.jobs, unit="part")
    return write_report(plan, command=command, note=_QUICK if config.quick else "")


_QUICK = (
    "This is a quick look: fewer seeds, epochs, cells and experts than the full report. Intervals are wide, and a "
    "criterion may fail for that alone. Leave out --quick for the full report."
)


def main(config: ReportConfig) -> int:
    torch.set_num_threads(1)  # the fastest for small tensors
    claims = run_report(config, command=this_command("python -m experiments.report"))
    print("\n".join(["", *(f"{claim.verdict:15}{claim.title}" for claim in claims), ""]))
    print(f"Wrote {display_path(config.folder)}, with report.html and report.md.")
    return 1 if any(claim.verdict == "not reproduced" for claim in claims) else 0
