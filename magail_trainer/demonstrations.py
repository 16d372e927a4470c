"""The expert's side of the discriminator: minibatches of recorded episodes."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from magail_trainer.batch import Batch, equal_weights
from magail_trainer.encoding import Codes, FiniteSpace
from magail_trainer.errors import InputError
from magail_trainer.seeding import RunNoise
from magail_trainer.trajectories import Trajectories

Rows = dict[str, np.ndarray]


class Demonstrations:
    """Recorded episodes, in shuffled passes: each is seen once before any is seen again.

    A run's order of episodes depends on its seed alone.

    Args:
        trajectories: D episodes.
        codes: of the env's spaces.
        batch_size: episodes of each run in a minibatch; all of them if there are fewer.
    """

    def __init__(
        self, trajectories: Trajectories, codes: Codes, *, seeds: Sequence[int], batch_size: int, device: torch.device
    ) -> None:
        self._all = _padded(trajectories, codes, len(seeds), device)
        self._size = min(batch_size, len(trajectories))
        self._noise = RunNoise(seeds, "demonstrations")
        self._order = np.empty((len(seeds), 0), dtype=np.int64)

    def minibatch(self) -> Batch:
        """The next episodes of each run's pass."""
        if self._order.shape[1] < self._size:
            following = np.argsort(self._noise.uniform(self._all.num_episodes), axis=1, kind="stable")
            self._order = np.concatenate([self._order, following], axis=1)
        episodes, self._order = self._order[:, : self._size], self._order[:, self._size :]
        return self._all.select(torch.from_numpy(episodes).to(self._all.weight.device))


class ExactDemonstrations:
    """The recorded joint distribution itself: each different transition once, weighted with its frequency."""

    def __init__(self, trajectories: Trajectories, codes: Codes, *, num_runs: int, device: torch.device) -> None:
        observations, actions = _encode(trajectories, codes)
        columns = np.stack([*observations.values(), *actions.values()])
        different, count = np.unique(columns, axis=1, return_counts=True)
        rows = [_for_runs(row, num_runs, device) for row in different]
        agents = trajectories.agents
        self._batch = Batch(
            observations=dict(zip(agents, rows[: len(agents)], strict=True)),
            actions=dict(zip(agents, rows[len(agents) :], strict=True)),
            weight=torch.tensor(count / count.sum(), dtype=torch.float32, device=device).expand(num_runs, -1),
        )

    def minibatch(self) -> Batch:
        """All of the distribution, each time."""
        return self._batch


def _padded(trajectories: Trajectories, codes: Codes, num_runs: int, device: torch.device) -> Batch:
    """All episodes, each padded to the length of the longest."""
    lengths = trajectories.lengths
    within = np.arange(lengths.max())
    present = within < lengths[:, np.newaxis]
    steps = np.where(present, trajectories.episode_starts[:, np.newaxis] + within, 0).ravel()
    observations, actions = (
        {agent: _for_runs(rows[steps], num_runs, device) for agent, rows in columns.items()}
        for columns in _encode(trajectories, codes)
    )
    weight = equal_weights(_for_runs(present.ravel(), num_runs, device))
    return Batch(observations, actions, weight, num_steps=len(within))


def _encode(trajectories: Trajectories, codes: Codes) -> tuple[Rows, Rows]:
    """The observations acted on and the actions, as row numbers `[S]` by agent."""
    observations, actions = (
        {agent: _rows(code, values[agent], agent) for agent, code in codes_of.items()}
        for codes_of, values in ((codes.observations, trajectories.acted_on), (codes.actions, trajectories.actions))
    )
    return observations, actions


def _rows(code: FiniteSpace, values: np.ndarray, agent: str) -> Int[np.ndarray, " S"]:
    try:
        rows = code.encode(values)
    except ValueError:  # one of several numbers is outside
        rows = np.array([-1])
    if rows.min() < 0 or rows.max() >= code.size:
        raise InputError(f"The dataset has a value of {agent} outside its space.")
    return rows


def _for_runs(row: Shaped[np.ndarray, " D"], num_runs: int, device: torch.device) -> Shaped[Tensor, "R D"]:
    return torch.from_numpy(row.copy()).to(device).expand(num_runs, -1)
