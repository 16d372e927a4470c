"""The four runs that the seed suggests, each with a verdict.

python -m experiments.suggested_runs --help
"""

from experiments.matching.suggested_runs import SuggestedRunsConfig, main
from magail_trainer.cli.command_line import run_command

if __name__ == "__main__":
    run_command(SuggestedRunsConfig, main, prog="python -m experiments.suggested_runs")
