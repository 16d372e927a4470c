"""Runs that diverge: named in the epoch in which it happens, and frozen, while the others go on as if without them."""

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from tqdm import tqdm

from magail_trainer.learn.runs import Runs
from magail_trainer.learn.state import copy_into


class Divergence:
    """Watches the runs of a training, and freezes those that diverge.

    A run diverges when one of its losses or parameters is not finite; rewards that are not make such a loss. Its
    parameters then go back to the last ones with which its losses were finite, and stay there: a policy that is not a
    number never acts.

    Args:
        runs: R runs that are trained together.
        parts: the trained parameters by the name of their part, `[R, ...]` each.
        device: where they live.
    """

    def __init__(self, runs: Runs, parts: Mapping[str, Iterable[nn.Parameter]], *, device: torch.device) -> None:
        self._runs = runs
        self._named = [(f"a parameter of the {name}", one) for name, part in parts.items() for one in part]
        self._epochs = torch.zeros(len(runs), dtype=torch.int64, device=device)
        self._any = False  # known on the CPU, for a look at the device costs time
        self._proved = self._last = torch.empty(len(runs), 0, device=device)

    @property
    def epochs(self) -> Int[np.ndarray, " R"]:
        """The epoch in which each run diverged, 1 if in the warm start; 0 if it did not."""
        return self._epochs.cpu().numpy()

    @property
    def frozen(self) -> Bool[Tensor, " R"] | None:
        """Which runs diverged; None as long as none did."""
        return self._epochs > 0 if self._any else None

    def begin(self) -> None:
        """Keep the parameters that training starts from. Call it once they are made or loaded.

        A run with one that is not finite diverges here, and has 0 in its place.
        """
        for _, one in self._named:
            one.data = one.data.contiguous()  # so that it has a view
        self._views = [one.detach().view(len(self._runs), -1) for _, one in self._named]
        now = torch.cat(self._views, dim=1)
        self._last = now.nan_to_num(0.0, 0.0, 0.0)
        if self._proved.shape != now.shape:  # otherwise loaded
            self._proved = self._last
        if not math.isfinite(now.sum().item()):
            self._last = self._frozen(1, now, now[:, :0], {}, "the start")

    def check(self, epoch: int, measured: Mapping[str, Shaped[Tensor, "R ..."]], *, when: str) -> None:
        """Freeze the runs that diverged in this epoch, print which and why, and keep the others' parameters.

        Args:
            epoch: counted from 1.
            measured: losses of the epoch, before its updates, by name.
            when: the epoch in words, such as "epoch 100".
        """
        now = torch.cat(self._views, dim=1)
        total = now.sum()  # finite only if each of its terms is
        for values in measured.values():
            total = total + values.sum()
        if self._any or not math.isfinite(total.item()):
            now = self._frozen(epoch, now, self._joined(measured.values()), measured, when)
        self._proved, self._last = self._last, now

    def hide(self, metrics: Mapping[str, Float[Tensor, " R"]]) -> Mapping[str, Float[Tensor, " R"]]:
        """The metrics, NaN for runs that diverged: what a frozen policy does is no result."""
        frozen = self.frozen
        if frozen is None:
            return metrics
        return {name: torch.where(frozen.to(values.device), math.nan, values) for name, values in metrics.items()}

    def mark(self, table: Mapping[str, Iterable[Any]]) -> dict[str, np.ndarray]:
        """The table of the runs, with the column `diverged` (see `epochs`) if any did; their numbers become NaN.

        Args:
            table: `[R]` under each name.
        """
        columns = {name: np.asarray(values) for name, values in table.items()}
        if not self._any:
            return columns
        for name in columns.keys() - self._runs.columns.keys():
            instead = math.nan if np.issubdtype(columns[name].dtype, np.number) else "diverged"
            columns[name] = np.where(self.epochs > 0, instead, columns[name])
        return {**columns, "diverged": self.epochs}

    def state_dict(self) -> dict[str, Tensor]:
        """What cannot be told from the parameters alone."""
        return {"epochs": self._epochs, "proved": self._proved}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`; `begin` keeps the parameters.

        Raises:
            KeyError: something is missing.
            ValueError: something has another shape or type.
        """
        size = sum(one.numel() for _, one in self._named) // len(self._runs)
        copy_into({"epochs": self._epochs, "proved": self._last.new_empty(len(self._runs), size)}, state)
        self._epochs, self._proved = (state[name].to(self._epochs.device) for name in ("epochs", "proved"))
        self._any = bool((self._epochs > 0).any())

    def _frozen(
        self, epoch: int, now: Tensor, measures: Tensor, measured: Mapping[str, Tensor], when: str
    ) -> Float[Tensor, "R P"]:
        """The parameters, with those of diverged runs put back."""
        already = self._epochs > 0
        measures_fail = ~_finite(measures) & ~already
        diverged = (measures_fail | ~_finite(now)) & ~already
        for run in diverged.nonzero().flatten().tolist():
            what, value = self._culprit(run, measured)
            why = f"{self._runs.label(run)}: {what} is {value} at {when}."
            tqdm.write(f"{why} This run has diverged and is frozen; the others go on.", file=sys.stderr)
        self._epochs = torch.where(diverged, epoch, self._epochs)
        frozen = self._epochs > 0
        self._any = bool(frozen.any())
        # A loss tells of the parameters before the update: if it fails, so do they.
        kept = torch.where(measures_fail.unsqueeze(-1), self._proved, self._last)
        now = torch.where(frozen.unsqueeze(-1), kept, now)
        for parameter, values in zip(self._views, now.split([one.shape[1] for one in self._views], dim=1), strict=True):
            parameter.copy_(values)
        return now

    def _joined(self, values: Iterable[Tensor]) -> Float[Tensor, "R C"]:
        return torch.cat([one.reshape(len(self._runs), -1) for one in values], dim=1)

    def _culprit(self, run: int, measured: Mapping[str, Tensor]) -> tuple[str, float]:
        """The first quantity of a run that is not finite, and its value."""
        for name, values in (*measured.items(), *self._named):
            of_run = values.detach().reshape(len(self._runs), -1)[run]
            if not of_run.isfinite().all():
                return name, float(of_run[~of_run.isfinite()][0])
        raise AssertionError("nothing of the run is infinite or NaN")


def _finite(values: Float[Tensor, "R C"]) -> Bool[Tensor, " R"]:
    return values.isfinite().all(1)
