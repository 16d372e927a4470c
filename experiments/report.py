"""The report on the matrix games: every claim with its evidence, its interval, and the command that repeats it.

    python -m experiments.report --help

It writes report.html, report.md, figures/, and a folder for each part of the evidence.
"""

from experiments.claims.settings import ReportConfig
from experiments.studies.commands import run_door

if __name__ == "__main__":
    run_door(ReportConfig, "experiments.claims.report", name="report")
