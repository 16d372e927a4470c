"""The report as blocks: a summary of all claims, then each with its evidence, its commands and its figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.claims.claim import Claim, Finding
from experiments.claims.pages import Badge, Block, Command, Grid, Heading, Paragraph, Picture
from experiments.studies.criteria import HEADER, evidence_rows

_HOW_TO_READ = (
    "A claim is reproduced if every criterion under it holds; reproduced with a qualification if, besides, the data "
    "show something that limits the claim; not reproduced if a criterion fails. Verdicts are computed from the saved "
    "runs. β is the weight of the policies' entropy bonus, P(A) an agent's probability of action A, coordination the "
    "probability of the game's strict pure equilibria (AA and BB in the matching game), JS the Jensen–Shannon distance "
    "to the expert's joint distribution, base 2. Intervals are 95 %: percentile bootstraps over seeds for means and "
    "variances, exact (Clopper–Pearson) for shares. Each command repeats the experiments behind a claim; this one "
    "repeats them all:"
)
_BADGES = {
    "reproduced": Badge("reproduced", "good"),
    "qualified": Badge("reproduced, with a qualification", "mixed"),
    "not reproduced": Badge("NOT reproduced", "bad"),
}


@dataclass(frozen=True)
class Examined:
    """A claim, what its evidence says, and the commands that repeat the evidence."""

    claim: Claim
    finding: Finding
    commands: Sequence[str]


def blocks_of(examined: Sequence[Examined], figures: Path, *, command: str, note: str) -> list[Block]:
    """All blocks of the report.

    Args:
        examined: the claims in their order.
        figures: the folder of the figures, `<name>.png` each; one that is not there is left out.
        command: what repeats the report.
        note: what a reader must know first; may be empty.
    """
    titles = [f"{number}. {item.claim.title}" for number, item in enumerate(examined, start=1)]
    summary = [
        (title, _BADGES[item.finding.verdict].text, item.finding.seeds)
        for title, item in zip(titles, examined, strict=True)
    ]
    blocks: list[Block] = [
        Heading("Coordination under multi-agent GAIL: claims and evidence", 1),
        *([Paragraph(note)] if note else []),
        Paragraph(_HOW_TO_READ),
        Command([command]),
        Grid(("claim", "verdict", "seeds"), summary),
    ]
    shown: set[str] = set()  # a figure stands where it is first needed
    for title, item in zip(titles, examined, strict=True):
        blocks += [Heading(title), *_evidence(item)]
        for figure in item.claim.figures:
            file = figures / f"{figure.name}.png"
            if file.is_file() and figure.name not in shown:
                blocks.append(Picture(file, figure.caption))
                shown.add(figure.name)
    return blocks


def _evidence(item: Examined) -> list[Block]:
    finding = item.finding
    blocks: list[Block] = [
        _BADGES[finding.verdict],
        Paragraph(item.claim.statement),
        Grid(HEADER, evidence_rows(finding.criteria)),
    ]
    if finding.limits:
        blocks.append(Heading("Qualifications", 3))
        blocks += [Paragraph(text) for text in finding.qualifications]
        blocks.append(Grid(("what limits the claim", HEADER[1], "seen"), evidence_rows(finding.limits)))
    return [*blocks, Paragraph(f"Seeds: {finding.seeds}."), Command(item.commands)]
