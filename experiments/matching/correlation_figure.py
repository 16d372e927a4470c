"""Which policies can imitate which expert, as one table in colour, drawn from saved results."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.matching.best_product import best_product_js
from experiments.studies.plotting import STYLE
from experiments.studies.statistics import mean_interval
from magail_trainer.text import counted

Runs = Mapping[str, np.ndarray]
Key = tuple[str, str, float]

POLICIES = {
    "independent": "independent policies",
    "shared_signal": "policies with a shared signal",
    "autoregressive": "autoregressive policies",
}
DISCRIMINATORS = {"joint": "joint discriminator", "per_agent": "per-agent discriminators"}
_FAR = 0.6
"""The upper end of the colour scale."""
_NOTE = (
    "Large: Jensen–Shannon distance of the learner's joint actions from the expert's, mean over seeds with its 95 % "
    "interval. Bits shared: mutual information of the agents' actions, the learner's and the expert's.\n"
    "Independent policies share none, whatever the discriminator, and cannot match an expert that does. A shared "
    "signal, or seeing the others' actions, makes it possible.\nDiscriminators that see one agent each get the "
    "marginals right but cannot tell what to correlate. Marginals off: a convention was chosen."
)


def correlation_figure(
    cells: Mapping[str, Mapping[Key, Runs]], experts: Mapping[str, np.ndarray], *, match: float, game: str
) -> Figure:
    """A row for each expert, a column for each (policy, discriminator, β).

    Args:
        cells: for each expert the runs of each column: `js_distance`, `kl_irreducible`, `kl_marginals`,
            `mutual_information`, `[S]` each.
        experts: joint distributions, `[A_1..A_N]`.
        match: a run with a JS distance below this counts as a match.
        game: the game, for the title.
    """
    columns = list(dict.fromkeys(key for runs in cells.values() for key in runs))
    with matplotlib.rc_context(STYLE):
        size = (2.4 + 2.2 * len(columns), 2.0 + 1.05 * len(cells))
        figure = Figure(figsize=(max(size[0], 14), size[1]), layout="constrained")
        betas = ", ".join(f"{beta:g}" for beta in dict.fromkeys(key[2] for key in columns))
        heading = f"Which policies can imitate which expert, under which discriminator: {game}, β = {betas}"
        figure.suptitle(heading, x=0.01, ha="left")
        axes = figure.subplots()
        shown = np.full((len(cells), len(columns)), np.nan)
        for row, runs_of in enumerate(cells.values()):
            for place, key in enumerate(columns):
                if key in runs_of:
                    shown[row, place] = runs_of[key]["js_distance"].mean()
                    _write(axes, place, row, runs_of[key], match)
        image = axes.imshow(shown, cmap="cividis_r", vmin=0, vmax=_FAR, aspect="auto")
        figure.colorbar(image, ax=axes, label="JS distance to the expert", shrink=0.8, pad=0.01)
        axes.set_xticks(range(len(columns)), [_column_name(key, columns) for key in columns])
        axes.set_yticks(range(len(cells)), [_expert_name(expert, experts[expert]) for expert in cells])
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        axes.spines[:].set_visible(False)
        axes.set_xticks(np.arange(1, len(columns)) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, len(cells)) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="minor", length=0, top=False, bottom=False)
        figure.supxlabel(_NOTE, fontsize=8.5, x=0.01, ha="left")
    return figure


def _write(axes: Axes, column: int, row: int, runs: Runs, match: float) -> None:
    distance = runs["js_distance"]
    color = "white" if distance.mean() > _FAR / 2 else "black"
    interval = mean_interval(distance)
    axes.text(column, row - 0.27, f"{interval.estimate:.3f}", ha="center", va="center", fontsize=13, color=color)
    lines = [
        f"[{interval.low:.3f}, {interval.high:.3f}]",
        f"{int((distance < match).sum())} of {counted(len(distance), 'seed')} below {match:g}",
        f"{runs['mutual_information'].mean():.2f} of {runs['kl_irreducible'][0]:.2f} bits shared",
        f"marginals off {_bits(np.median(runs['kl_marginals']))}",
    ]
    axes.text(column, row + 0.16, "\n".join(lines), ha="center", va="center", fontsize=7.5, color=color)


def _bits(value: float) -> str:
    return f"{value:.2f} bits" if np.isfinite(value) else "∞ bits"


def _column_name(key: Key, columns: list[Key]) -> str:
    policy, discriminator, beta = key
    name = f"{POLICIES[policy]},\n{DISCRIMINATORS[discriminator]}"
    return name if len({other[2] for other in columns}) == 1 else f"{name}, β = {beta:g}"


def _expert_name(expert: str, joint: np.ndarray) -> str:
    limit = best_product_js(joint).distance
    return f"{expert.replace('_', ' ')}\nbest product {limit:.3f}"
