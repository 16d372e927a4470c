"""Theory beside experiment: the gradient flow over both agents' P(A), its fixed points, and runs trained from samples.

python -m experiments.phase_portrait --help
"""

from experiments.theory.phase_portrait import PhasePortraitConfig, main
from magail_trainer.cli.command_line import run_command

if __name__ == "__main__":
    run_command(PhasePortraitConfig, main, prog="python -m experiments.phase_portrait")
