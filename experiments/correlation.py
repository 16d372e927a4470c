"""Which policies can imitate which expert: every expert, class of policies and discriminator.

python -m experiments.correlation --help
"""

from experiments.matching.correlation import CorrelationConfig, main
from magail_trainer.cli.command_line import run_command

if __name__ == "__main__":
    run_command(CorrelationConfig, main, prog="python -m experiments.correlation")
