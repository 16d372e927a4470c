"""A matrix game under MAGAIL: record an expert, train every (β, seed) run on its episodes, measure, draw.

    python -m experiments.coordination --help

It writes config.json (every setting), runs.csv (a row for each run), history.npz, checkpoint/, dataset/ and figure.png.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):  # run as a script: Python then looks for modules in this folder, not in the checkout
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from experiments.matching.settings import CoordinationConfig
from experiments.studies.commands import run_door

if TYPE_CHECKING:
    from experiments.matching.coordination import run_experiment

__all__ = ["CoordinationConfig", "run_experiment"]


def __getattr__(name: str) -> Any:
    if name == "run_experiment":  # brings torch
        from experiments.matching.coordination import run_experiment

        return run_experiment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    run_door(CoordinationConfig, "experiments.matching.coordination", name="coordination")
