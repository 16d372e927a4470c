"""The style of all figures, and drawing that cannot cost results: figures come last, after everything is saved."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from magail_trainer.folders import new_file
from magail_trainer.text import display_path

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that the picture is the same everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.fontsize": 8.5,
    "legend.framealpha": 0.9,
}


REWARD_NAMES: Mapping[str, str] = {
    "non_saturating": "log D",
    "gail": "−log(1 − D)",
    "airl": "log D − log(1 − D)",
    "symmetric": "2D − 1",
}
"""What the policies maximise, as titles say it."""


def reward_name(reward: str) -> str:
    """What a title calls a reward: the formula of one of the trainer's, `module:callable` for one of the user's own."""
    return REWARD_NAMES.get(reward, reward)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a PNG at 110 dpi; the same figure gives the same bytes."""
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})  # would hold matplotlib's version


def save_figures(folder: Path, figures: Mapping[str, Callable[[], Figure]]) -> int:
    """Draw figures into a folder whose results are saved already; a figure that fails is one sentence on stderr.

    Args:
        folder: where to; an older figure of the same name is replaced, or deleted where the new one fails.
        figures: file name -> the function that draws the figure.

    Returns:
        the exit status: 1 if a figure failed, else 0.
    """
    status = 0
    for name, draw in figures.items():
        try:
            with new_file(folder / name) as file:
                save_figure(draw(), file)
        except Exception as error:
            status = 1
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"The figure {name} failed ({reason}); all other results are in {str(folder)!r}.", file=sys.stderr)
            (folder / name).unlink(missing_ok=True)
    return status


def report_missing(folder: Path, files: Sequence[str]) -> int:
    """Say on stderr which figures, of those that should be in a folder, are not there; the exit status, 1 if any."""
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        print(f"In {str(folder)!r} these figures are missing: {', '.join(missing)}.", file=sys.stderr)
    return 1 if missing else 0


def wrote(folder: Path, names: Sequence[str]) -> int:
    """Say which files a command wrote; the exit status, 1 if one of them, a figure that failed, is missing."""
    there = [name for name in names if (folder / name).exists()]
    listed = " and ".join(filter(None, (", ".join(there[:-1]), there[-1])))
    print(f"Wrote {display_path(folder)}, with {listed}.")
    return 0 if len(there) == len(names) else 1
