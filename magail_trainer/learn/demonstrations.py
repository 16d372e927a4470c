"""Expert minibatches from recorded episodes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.errors import InputError
from magail_trainer.learn.batch import Batch, equal_weights
from magail_trainer.learn.encoders import ActionCode, Codes, FiniteSpace, ObservationCode
from magail_trainer.learn.scaling import fit_scaling
from magail_trainer.seeding import RunNoise

_RANDOM_EPISODES = 16

Rows = dict[str, np.ndarray]


class Demonstrations:
    """Recorded episodes in shuffled passes; a run's order depends only on its seed.

    Args:
        trajectories: D episodes.
        codes: encodings of the env's spaces.
        batch_size: episodes per run in a minibatch; all of them if there are fewer.
    """

    def __init__(
        self, trajectories: Trajectories, codes: Codes, *, seeds: Sequence[int], batch_size: int, device: torch.device
    ) -> None:
        self._all = _padded(trajectories, codes, len(seeds), device)
        self._size, self.num_demonstrations = min(batch_size, len(trajectories)), trajectories.num_demonstrations
        self._noise = RunNoise(seeds, "demonstrations")
        self._order = np.empty((len(seeds), 0), dtype=np.int64)

    def state_dict(self) -> dict[str, Tensor]:
        """The rest of the present pass, `[R, K]`, how far the random streams have come, and the signal, if any."""
        state = {"order": torch.from_numpy(self._order.copy()), "drawn": torch.tensor(self._noise.drawn)}
        return state | _signal_state(self._all)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` returned."""
        self._order = _numbers(state["order"], below=self._all.num_episodes, runs=len(self._order)).cpu().numpy()
        self._noise.skip(int(state["drawn"]))
        self._all = _with_saved_signal(self._all, state)

    @property
    def all(self) -> Batch:
        """Every episode."""
        return self._all

    def reveal(self, signal: Int[Tensor, "R E"]) -> None:
        """Set the shared signal that each run infers for each episode."""
        self._all = self._all.with_signal(signal)

    def minibatch(self) -> Batch:
        """The next episodes of each run."""
        if self._order.shape[1] < self._size:
            following = np.argsort(self._noise.uniform(self._all.num_episodes), axis=1, kind="stable")
            self._order = np.concatenate([self._order, following], axis=1)
        episodes, self._order = self._order[:, : self._size], self._order[:, self._size :]
        return self._all.select(torch.from_numpy(episodes).to(self._all.weight.device))


class ExactDemonstrations:
    """The recorded joint distribution: each distinct transition once, weighted by its frequency."""

    def __init__(self, trajectories: Trajectories, codes: Codes, *, num_runs: int, device: torch.device) -> None:
        self.num_demonstrations = trajectories.num_demonstrations
        observations, actions = _encode(trajectories, codes)
        columns = [column.reshape(len(column), -1) for column in (*observations.values(), *actions.values())]
        _, first, count = np.unique(np.concatenate(columns, axis=1), axis=0, return_index=True, return_counts=True)
        observations, actions = (
            {agent: _for_runs(column[first], num_runs, device) for agent, column in encoded.items()}
            for encoded in (observations, actions)
        )
        share = torch.tensor(count / count.sum(), dtype=torch.float32, device=device)
        self._batch = Batch(observations, actions, share.expand(num_runs, -1))

    def state_dict(self) -> dict[str, Tensor]:
        """The signal, if any."""
        return _signal_state(self._batch)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` returned."""
        self._batch = _with_saved_signal(self._batch, state)

    @property
    def all(self) -> Batch:
        """The whole distribution."""
        return self._batch

    def reveal(self, signal: Int[Tensor, "R E"]) -> None:
        """Set the shared signal that each run infers for each transition."""
        self._batch = self._batch.with_signal(signal)

    def minibatch(self) -> Batch:
        """The whole distribution."""
        return self._batch


def _signal_state(batch: Batch) -> dict[str, Tensor]:
    return {} if batch.signal is None else {"signal": batch.signal}


def _with_saved_signal(batch: Batch, state: Mapping[str, Tensor]) -> Batch:
    if "signal" not in state:
        return batch
    signal = _numbers(state["signal"], below=2**31, runs=len(batch.weight))
    if signal.shape != batch.weight.shape:
        raise ValueError(f"the signal has shape {tuple(signal.shape)}")
    return replace(batch, signal=signal)


def _numbers(saved: Tensor, *, below: int, runs: int) -> Int[Tensor, "R K"]:
    if saved.dtype != torch.int64 or saved.ndim != 2 or len(saved) != runs or ((saved < 0) | (saved >= below)).any():
        raise ValueError(f"expected whole numbers from 0 to {below - 1} for {runs} runs")
    return saved


def scaled_to(codes: Codes, trajectories: Trajectories | Callable[[], Trajectories]) -> Codes:
    """The codes with a scaling of those features that single precision would lose.

    Args:
        codes: of the env's spaces.
        trajectories: where the features are seen, or how to get them; not called where there are no such features.
    """
    boxes = {agent: code for agent, code in codes.features.items() if code.is_box}
    if not boxes:
        return codes
    trajectories = trajectories() if callable(trajectories) else trajectories
    seen, active = trajectories.acted_on, trajectories.active
    scalings = {agent: fit_scaling(code.flat(seen[agent][active[agent]])) for agent, code in boxes.items()}
    return codes.scaled({agent: scaling for agent, scaling in scalings.items() if scaling is not None})


def random_episodes(entry: EnvEntry, *, processes: int) -> Trajectories:
    """A few, to see what features are like where there are no demonstrations."""
    return record(entry, RandomJointPolicy(entry), episodes=_RANDOM_EPISODES, seed=0, processes=processes)


def _padded(trajectories: Trajectories, codes: Codes, num_runs: int, device: torch.device) -> Batch:
    """All episodes, padded to the length of the longest."""
    lengths = trajectories.lengths
    within = np.arange(lengths.max())
    present = within < lengths[:, np.newaxis]
    steps = np.where(present, trajectories.episode_starts[:, np.newaxis] + within, 0).ravel()
    columns = [*_encode(trajectories, codes), _active(trajectories)]
    observations, actions, active = (
        {agent: _for_runs(values[steps], num_runs, device) for agent, values in column.items()} for column in columns
    )
    weight = equal_weights(_for_runs(present.ravel(), num_runs, device))
    return Batch(observations, actions, weight, num_steps=len(within), active=active)


def _active(trajectories: Trajectories) -> Rows:
    """Whether an agent is still in the episode, `[S]` by agent; empty if none leaves before the others."""
    active = trajectories.active
    return {} if all(there.all() for there in active.values()) else active


def _encode(trajectories: Trajectories, codes: Codes) -> tuple[Rows, Rows]:
    """Encoded observations (without final ones) and actions, `[S, ...]` by agent."""
    observations, actions = (
        {agent: _encoded(code, values[agent], agent) for agent, code in codes_of.items()}
        for codes_of, values in ((codes.observations, trajectories.acted_on), (codes.actions, trajectories.actions))
    )
    return observations, actions


def _encoded(code: ObservationCode | ActionCode, values: np.ndarray, agent: str) -> Shaped[np.ndarray, "S *rest"]:
    try:
        encoded = code.encode(values)
    except (ValueError, IndexError):  # one of several numbers is outside
        encoded = np.array([-1])
    inside = np.isfinite(encoded).all()
    if isinstance(code, FiniteSpace):
        inside = encoded.min() >= 0 and encoded.max() < code.size
    if not inside:
        raise InputError(f"The dataset has a value of {agent} outside its space.")
    return encoded


def _for_runs(
    values: Shaped[np.ndarray, "D *rest"], num_runs: int, device: torch.device
) -> Shaped[Tensor, "R D *rest"]:
    return torch.from_numpy(values.copy()).to(device).expand(num_runs, *values.shape)
