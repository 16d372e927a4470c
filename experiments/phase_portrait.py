"""Theory beside experiment: the gradient flow over both agents' P(A), its fixed points, and runs trained from samples.

    python -m experiments.phase_portrait --help

It writes figure.png, fixed_points.csv, config.json, and the sampled runs of each discriminator.
"""

from experiments.studies.commands import run_door
from experiments.theory.settings import PhasePortraitConfig

if __name__ == "__main__":
    run_door(PhasePortraitConfig, "experiments.theory.phase_portrait", name="phase_portrait")
