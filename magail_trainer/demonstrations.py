"""The expert's side of the discriminator: minibatches of recorded transitions."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from magail_trainer.batch import Batch
from magail_trainer.encoding import Codes, FiniteSpace
from magail_trainer.errors import InputError
from magail_trainer.seeding import RunNoise
from magail_trainer.trajectories import Trajectories


class Demonstrations:
    """Recorded transitions, in shuffled passes: each is seen once before any is seen again.

    A run's order of transitions depends on its seed alone.

    Args:
        trajectories: D transitions.
        codes: of the env's spaces.
        batch_size: transitions of each run in a minibatch; all of them if there are fewer.
    """

    def __init__(
        self,
        trajectories: Trajectories,
        codes: Codes,
        *,
        seeds: Sequence[int],
        batch_size: int,
        device: torch.device,
    ) -> None:
        self._all = _encode(trajectories, codes, len(seeds), device)
        self._size = min(batch_size, trajectories.num_transitions)
        self._weight = torch.full((len(seeds), self._size), 1 / self._size, device=device)
        self._noise = RunNoise(seeds, "demonstrations")
        self._order = np.empty((len(seeds), 0), dtype=np.int64)

    def minibatch(self) -> Batch:
        """The next transitions of each run's pass."""
        if self._order.shape[1] < self._size:
            following = np.argsort(self._noise.uniform(self._all.weight.shape[1]), axis=1)
            self._order = np.concatenate([self._order, following], axis=1)
        index, self._order = self._order[:, : self._size], self._order[:, self._size :]
        return self._all.select(torch.from_numpy(index).to(self._weight.device), self._weight)


class ExactDemonstrations:
    """The recorded joint distribution itself: each different transition once, weighted with its frequency."""

    def __init__(
        self,
        trajectories: Trajectories,
        codes: Codes,
        *,
        num_runs: int,
        device: torch.device,
    ) -> None:
        everything = _encode(trajectories, codes, 1, torch.device("cpu"))
        columns = [*everything.observations.values(), *everything.actions.values()]
        different, count = np.unique(torch.cat(columns).numpy(), axis=1, return_counts=True)
        rows = [torch.from_numpy(row.copy()).to(device).expand(num_runs, -1) for row in different]
        agents = trajectories.agents
        self._batch = Batch(
            observations=dict(zip(agents, rows[: len(agents)], strict=True)),
            actions=dict(zip(agents, rows[len(agents) :], strict=True)),
            weight=torch.tensor(count / count.sum(), dtype=torch.float32, device=device).expand(num_runs, -1),
        )

    def minibatch(self) -> Batch:
        """All of the distribution, each time."""
        return self._batch


def _encode(trajectories: Trajectories, codes: Codes, num_runs: int, device: torch.device) -> Batch:
    size, acted_on = trajectories.num_transitions, trajectories.acted_on
    observations, actions = (
        {agent: _rows(code, values[agent], agent).expand(num_runs, -1).to(device) for agent, code in codes_of.items()}
        for codes_of, values in ((codes.observations, acted_on), (codes.actions, trajectories.actions))
    )
    return Batch(observations, actions, torch.full((num_runs, size), 1 / size, device=device))


def _rows(code: FiniteSpace, values: np.ndarray, agent: str) -> Int[Tensor, " D"]:
    rows = code.encode(values)
    if rows.min() < 0 or rows.max() >= code.size:
        raise InputError(f"The dataset has a value of {agent} outside its space.")
    return torch.from_numpy(np.ascontiguousarray(rows))
