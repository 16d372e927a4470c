"""How fast the parts are, in work per CPU-second of this process.

python -m experiments.benchmark --help
"""

from experiments.matching.speed import BenchmarkConfig, main
from magail_trainer.cli.command_line import run_command

if __name__ == "__main__":
    run_command(BenchmarkConfig, main, prog="python -m experiments.benchmark")
