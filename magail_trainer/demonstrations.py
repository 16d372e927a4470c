"""The expert's side of the discriminator: minibatches of recorded transitions."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from magail_trainer.batch import Batch
from magail_trainer.encoding import FiniteSpace
from magail_trainer.seeding import RunNoise
from magail_trainer.trajectories import Trajectories


class Demonstrations:
    """Recorded transitions, in shuffled passes: each is seen once before any is seen again.

    A run's order of transitions depends on its seed alone.

    Args:
        trajectories: D transitions.
        observation_codes: by agent.
        action_codes: by agent.
        batch_size: transitions of each run in a minibatch; all of them if there are fewer.
    """

    def __init__(
        self,
        trajectories: Trajectories,
        observation_codes: Mapping[str, FiniteSpace],
        action_codes: Mapping[str, FiniteSpace],
        *,
        seeds: Sequence[int],
        batch_size: int,
        device: torch.device,
    ) -> None:
        self._all = _encode(trajectories, observation_codes, action_codes, len(seeds), device)
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
        observation_codes: Mapping[str, FiniteSpace],
        action_codes: Mapping[str, FiniteSpace],
        *,
        num_runs: int,
        device: torch.device,
    ) -> None:
        everything = _encode(trajectories, observation_codes, action_codes, 1, torch.device("cpu"))
        columns = [*everything.observations.values(), *everything.actions.values()]
        different, count = np.unique(torch.cat(columns).numpy(), axis=1, return_counts=True)
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


def _encode(
    trajectories: Trajectories,
    observation_codes: Mapping[str, FiniteSpace],
    action_codes: Mapping[str, FiniteSpace],
    num_runs: int,
    device: torch.device,
) -> Batch:
    observations, size = trajectories.acted_on, trajectories.num_transitions
    return Batch(
        observations={
            agent: _for_runs(code.encode(observations[agent]), num_runs, device)
            for agent, code in observation_codes.items()
        },
        actions={
            agent: _for_runs(code.encode(trajectories.actions[agent]), num_runs, device)
            for agent, code in action_codes.items()
        },
        weight=torch.full((num_runs, size), 1 / size, device=device),
    )


def _for_runs(row: Int[np.ndarray, " D"], num_runs: int, device: torch.device) -> Int[Tensor, "R D"]:
    return torch.from_numpy(np.ascontiguousarray(row, dtype=np.int64)).to(device).expand(num_runs, -1)
