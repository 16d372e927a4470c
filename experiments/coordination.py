"""A matrix game under MAGAIL: record an expert, train every (β, seed) run on its episodes, measure, draw.

python -m experiments.coordination --help
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: Python then looks for modules in this folder, not in the checkout
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from experiments.matching.coordination import CoordinationConfig, main, run_experiment
from magail_trainer.cli.command_line import run_command

__all__ = ["CoordinationConfig", "run_experiment"]

if __name__ == "__main__":
    run_command(CoordinationConfig, main, prog="python -m experiments.coordination")
