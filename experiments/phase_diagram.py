"""The phase diagram of the matching game: coordination over β and the discriminator's speed, for each reward.

    python -m experiments.phase_diagram --help

It writes parts/ (the runs), cells.csv, table.csv, verdicts.md and phase_diagram.png.
"""

from experiments.studies.commands import run_door
from experiments.theory.settings import PhaseConfig

if __name__ == "__main__":
    run_door(PhaseConfig, "experiments.theory.phase_diagram", name="phase_diagram")
