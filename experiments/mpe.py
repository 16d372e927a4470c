"""The particle benchmark: cloning and MAGAIL on few and many demonstrations of scripted experts.

python -m experiments.mpe --help
"""

from experiments.particles.benchmark import MpeConfig, main
from magail_trainer.cli.command_line import run_command

if __name__ == "__main__":
    run_command(MpeConfig, main, prog="python -m experiments.mpe")
