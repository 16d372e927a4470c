"""The phase diagram of the matching game: coordination over β and the discriminator's speed, for each reward.

python -m experiments.phase_diagram --help
"""

from experiments.theory.phase_diagram import PhaseConfig, main
from magail_trainer.cli.command_line import run_command

if __name__ == "__main__":
    run_command(PhaseConfig, main, prog="python -m experiments.phase_diagram")
