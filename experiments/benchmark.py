"""How fast the parts are, in work per CPU-second of this process.

    python -m experiments.benchmark --help

It writes nothing: the table is printed.
"""

from experiments.matching.settings import BenchmarkConfig
from experiments.studies.commands import run_door

if __name__ == "__main__":
    run_door(BenchmarkConfig, "experiments.matching.speed", name="benchmark")
