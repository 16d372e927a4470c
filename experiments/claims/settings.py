"""The flags of the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


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
