"""The report on the matrix games: every claim with its evidence, its interval, and the command that repeats it.

python -m experiments.report --help
"""

from experiments.claims.report import ReportConfig, main
from magail_trainer.cli.command_line import run_command

if __name__ == "__main__":
    run_command(ReportConfig, main, prog="python -m experiments.report")
