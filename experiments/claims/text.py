"""From finished parts to the blocks of the report: tables are read, claims made of them, figures gathered."""

import contextlib
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.claims.claim import Claim, Table, chosen
from experiments.claims.collapse import collapse, collapse_table, mixing, theory
from experiments.claims.correlation import mismatch, repair
from experiments.claims.games import SAME_DEMONSTRATIONS, other_games, payoffs_unseen
from experiments.claims.known_results import frozen_criteria, table_criteria
from experiments.claims.pages import Block, Command, Heading, Paragraph, Picture, Verdict
from experiments.claims.pages import Table as Rows
from experiments.claims.parts import CRITERIA, PORTRAIT, RUN, Plan
from experiments.matching import correlation
from experiments.matching.suggested_runs import mixes
from experiments.studies.criteria import Criterion
from experiments.studies.jobs import command_of, finished, read_settings
from experiments.theory import phase_diagram
from experiments.theory.phase_cells import RUNS
from magail_trainer.cli.command_line import counted
from magail_trainer.data.run_folder import read_config, read_table

OTHER_GAMES = ("chicken", "chicken_shared_signal", "matching_3", "rock_paper_scissors")
WITH_BONUS = "matching_shared_signal"

_HOW_TO_READ = (
    "A claim is reproduced if every criterion under it holds; reproduced with a qualification if, beside that, "
    "something was seen that the claim by itself does not say; not reproduced if a criterion fails. Verdicts are "
    "computed from the saved runs. β is the weight of the policies' entropy bonus, P(A) an agent's probability of "
    "action A, coordination the probability of the game's strict pure equilibria (AA and BB in the matching game), "
    "JS the Jensen–Shannon distance to the expert's joint distribution, base 2. Intervals are 95 %: percentile "
    "bootstraps over seeds of means and variances, exact of shares. Each command repeats the experiment behind a "
    "claim; this one repeats them all:"
)
_TONES = {"reproduced": "good", "qualified": "mixed", "not reproduced": "bad"}
_VERDICTS = {
    "reproduced": "reproduced",
    "qualified": "reproduced, with a qualification",
    "not reproduced": "NOT reproduced",
}
_CAPTIONS = {
    "suggested_run_A": "The seed's run A, β = 0: P(A), JS distance, conventions and the joint distribution.",
    "suggested_run_B": "The seed's run B, β = 5: P(A), JS distance, conventions and the joint distribution.",
    "suggested_run_C": "The seed's run C, a correlated expert, β = 0 and β = 5.",
    "suggested_run_D": "The seed's run D, an expert without correlation, β = 0 and β = 5.",
    "phase_portrait_gail": "The flow of both agents' P(A) for a row of β, its fixed points, and sampled runs.",
    "phase_portrait_non_saturating": "The same flow and runs for the reward log D.",
    "phase_diagram": "Coordination at the end over β and lr_disc / lr_policy, for each reward.",
    "correlation": "JS distance of every class of policies, under either discriminator, from every expert.",
}


def claims_of(plan: Plan) -> list[Claim]:
    """All claims, from the finished parts.

    Raises:
        InputError: a part is missing or not as it was written.
    """
    folder = plan.output
    runs = {name: read_table(folder / "suggested_runs" / name / RUN / "runs.csv") for name in plan.suggested}
    judged = {name: _criteria(folder / "suggested_runs" / name / CRITERIA) for name in plan.suggested}
    commands = {part.name: part.command() for part in plan.suggested_parts()}
    parts = folder / "phase_diagram" / "parts"
    cells, known = (read_table(folder / "phase_diagram" / name) for name in ("cells.csv", "table.csv"))
    table, experts = correlation.read_cells(folder / "correlation" / "cells")
    games = {name: read_table(folder / "games" / name / RUN / "runs.csv") for name in plan.games}
    joints = {name: _recorded_joint(folder / "games" / name / RUN) for name in plan.games}
    of_game = {part.name: part.command() for part in plan.game_parts()}
    bimodal = _recorded_joint(folder / "suggested_runs" / "A" / RUN)
    diagram, matrix = command_of("phase_diagram", plan.diagram), command_of("correlation", plan.correlation)
    portraits = [part.command() for part in plan.portrait_parts()]
    verdicts = table_criteria({name: column.tolist() for name, column in known.items()})
    at_five = {f"run {name}": mixes(chosen(runs[name], beta=5.0)) for name in ("B", "C")}
    seeds_of_map = f"{cells['seeds'].max()} per cell of the phase diagram"
    seeds = f"{counted(_seeds(runs['B']), 'seed')} of run B, {_seeds(runs['C'])} of run C, {seeds_of_map}"
    frozen_seeds = {
        path.name.rsplit("-", 1)[1]: _seeds(read_table(path / RUNS)) for path in parts.glob("frozen-gail-*")
    }
    of_theory = ", ".join(f"{counted(number, 'seed')} {kind}" for kind, number in sorted(frozen_seeds.items()))
    of_runs = [commands["C"], commands["D"]]
    return [
        collapse(runs["A"], judged["A"], bimodal, known, [commands["A"], diagram]),
        collapse_table(verdicts, known, [diagram]),
        mixing(at_five, cells, seeds, [commands["B"], commands["C"], diagram]),
        mismatch(table, experts, runs["C"], map_runs(parts), judged["D"], [matrix, *of_runs, diagram]),
        repair(table, games[WITH_BONUS], [matrix, of_game[WITH_BONUS]]),
        theory(frozen_criteria(parts), cells, f"frozen: {of_theory}; {seeds_of_map}", [diagram, *portraits]),
        payoffs_unseen(games, joints, [of_game[name] for name in SAME_DEMONSTRATIONS]),
        other_games({name: games[name] for name in OTHER_GAMES}, joints, [of_game[name] for name in OTHER_GAMES]),
    ]


def blocks_of(claims: Sequence[Claim], figures: Path, *, command: str, note: str) -> list[Block]:
    """The report: a summary of all claims, then each with its evidence.

    Args:
        claims: in their order.
        figures: the folder of the figures, `<name>.png` each; one that is not there is left out.
        command: that makes the report.
        note: what a reader must know of it first; may be empty.
    """
    summary = [
        (f"{number}. {claim.title}", _VERDICTS[claim.verdict], claim.seeds) for number, claim in _numbered(claims)
    ]
    blocks: list[Block] = [
        Heading("Coordination under multi-agent GAIL: claims and evidence", 1),
        *([Paragraph(note)] if note else []),
        Paragraph(_HOW_TO_READ),
        Command([command]),
        Rows(("claim", "verdict", "seeds"), summary),
    ]
    shown: list[str] = []  # a figure stands where it is first spoken of
    for number, claim in _numbered(claims):
        new = [name for name in claim.figures if name not in shown]
        blocks += [*_claim_blocks(number, claim), *_pictures(new, figures)]
        shown += new
    return blocks


def gather_figures(plan: Plan, target: Path) -> None:
    """Copy the figure of every experiment to `target`, by its name in the report."""
    folder = plan.output
    sources = {f"suggested_run_{name}": folder / "suggested_runs" / name / RUN for name in plan.suggested}
    files = {name: source / "figure.png" for name, source in sources.items()}
    files |= {
        f"phase_portrait_{name}": folder / "phase_portrait" / name / PORTRAIT / "figure.png" for name in plan.portraits
    }
    files["phase_diagram"] = folder / "phase_diagram" / "phase_diagram.png"
    files["correlation"] = folder / "correlation" / "correlation.png"
    for name, file in files.items():
        if file.is_file():  # a suggested run may draw none
            shutil.copyfile(file, target / f"{name}.png")


def make_tables(plan: Plan) -> None:
    """Bring the tables and figures of the phase diagram and of the correlation table up to date with their parts."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # nothing left to do
        phase_diagram.run_phase_diagram(plan.diagram.settle())
    correlation.write_report(plan.output / "correlation")


def map_runs(parts: Path) -> dict[str, np.ndarray]:
    """All runs of the phase diagram's map, one table.

    Args:
        parts: the folder of its parts.
    """
    tables = [read_table(folder / RUNS) for folder in finished(parts) if read_settings(folder).get("kind") == "map"]
    return {name: np.concatenate([table[name] for table in tables]) for name in ("beta", "js_distance")}


def _claim_blocks(number: int, claim: Claim) -> list[Block]:
    blocks: list[Block] = [
        Heading(f"{number}. {claim.title}"),
        Verdict(_VERDICTS[claim.verdict], _TONES[claim.verdict]),
        Paragraph(claim.text),
        _evidence(claim.criteria, ("expected", "observed [95 % interval]", "holds")),
    ]
    if claim.limits:
        blocks.append(Heading("Where it needs a qualification", 3))
        if claim.verdict != "reproduced" and any(limit.holds for limit in claim.limits):
            blocks.append(Paragraph(claim.qualification))
        blocks.append(_evidence(claim.limits, ("what else there may be", "observed [95 % interval]", "seen")))
    return [*blocks, Paragraph(f"Seeds: {claim.seeds}."), Command(claim.commands)]


def _evidence(criteria: Sequence[Criterion], header: tuple[str, str, str]) -> Rows:
    return Rows(header, [(item.expected, item.observed, "yes" if item.holds else "NO") for item in criteria])


def _pictures(names: Sequence[str], figures: Path) -> list[Block]:
    files = {name: figures / f"{name}.png" for name in names}
    return [Picture(file, _CAPTIONS[name]) for name, file in files.items() if file.is_file()]


def _numbered(claims: Sequence[Claim]) -> list[tuple[int, Claim]]:
    return list(enumerate(claims, start=1))


def _criteria(file: Path) -> list[Criterion]:
    rows = read_table(file)
    return [
        Criterion(str(expected), str(observed), bool(holds))
        for expected, observed, holds in zip(rows["expected"], rows["observed"], rows["holds"], strict=True)
    ]


def _recorded_joint(run: Path) -> np.ndarray:
    return np.asarray(read_config(run)["dataset"]["joint"])


def _seeds(runs: Table) -> int:
    return len(np.unique(runs["seed"]))
