"""One convention or all of them: simple_spread with an expert who tosses a hidden coin.

    python -m experiments.conventions --help

It writes cells/ (a run folder for each method), conventions.csv, expert.csv and conventions.png.
"""

from experiments.particles.settings import ConventionsConfig
from experiments.studies.commands import run_door

if __name__ == "__main__":
    run_door(ConventionsConfig, "experiments.particles.convention_study", name="conventions")
