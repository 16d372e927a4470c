"""One convention or all of them: simple_spread with an expert who tosses a hidden coin.

python -m experiments.conventions --help
"""

from experiments.particles.convention_study import ConventionsConfig, main
from magail_trainer.cli.command_line import run_command

if __name__ == "__main__":
    run_command(ConventionsConfig, main, prog="python -m experiments.conventions")
