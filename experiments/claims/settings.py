"""The flags of the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ReportConfig:
    """Run or reuse all experiments on the matrix games, and report every claim with its evidence."""

    output: Path | None = None
    """The folder for all results; finished parts in it are kept. By default results/report, or results/report_quick
    with --quick."""
    jobs: int = 2
    """Number of parts to train at the same time, each in its own process."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Fewer seeds, epochs and cells, in under three minutes: to see that it works. The report says so."""

    @property
    def folder(self) -> Path:
        """`output`, or its default."""
        return self.output or Path("results/report_quick" if self.quick else "results/report")
