"""The four reference runs, each with a verdict.

    python -m experiments.suggested_runs --help

It writes report.md (expected, observed, verdict) and a run folder for each of A, B, C and D.
"""

from experiments.matching.settings import SuggestedRunsConfig
from experiments.studies.commands import run_door

if __name__ == "__main__":
    run_door(SuggestedRunsConfig, "experiments.matching.suggested_runs", name="suggested_runs")
