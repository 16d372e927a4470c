"""Which policies can imitate which expert: every expert, class of policies and discriminator.

    python -m experiments.correlation --help

It writes cells/ (a run folder for each cell), correlation.csv (a row for each run) and correlation.png.
"""

from experiments.matching.settings import CorrelationConfig
from experiments.studies.commands import run_door

if __name__ == "__main__":
    run_door(CorrelationConfig, "experiments.matching.correlation", name="correlation")
