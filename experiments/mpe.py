"""The particle benchmark: cloning and MAGAIL on few and many demonstrations of scripted experts.

    python -m experiments.mpe --help

It writes cells/ (a run folder for each cell), table.csv, table.md, floors.csv, curves.npz, and two figures.
"""

from experiments.particles.settings import MpeConfig
from experiments.studies.commands import run_door

if __name__ == "__main__":
    run_door(MpeConfig, "experiments.particles.benchmark", name="mpe")
