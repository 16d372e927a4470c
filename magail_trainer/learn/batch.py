"""Batches of transitions, the input of every loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

Encoded = Shaped[Tensor, "R B ..."]


@dataclass(frozen=True)
class Batch:
    """Weighted transitions of R runs: sampled with equal weights, or enumerated with their probabilities.

    Every loss is Σ weight · term, so both kinds share one implementation. Axes: R runs; B = E·T samples, the T steps of
    each of E episodes contiguous. Padding of shorter episodes has weight 0.
    """

    observations: Mapping[str, Encoded]
    """By agent: table rows `[R, B]`, or features `[R, B, O]`."""
    actions: Mapping[str, Encoded]
    """By agent: action numbers `[R, B]`, or vectors `[R, B, A]`."""
    weight: Float[Tensor, "R B"]
    """Sums to 1 in each run."""
    num_steps: int = 1
    """T"""
    active: Mapping[str, Bool[Tensor, "R B"]] = field(default_factory=dict)
    """Whether an agent is still in the episode, by agent; empty if no agent leaves before the others."""
    masks: Mapping[str, Bool[Tensor, "R B _"]] = field(default_factory=dict)
    """The allowed actions, for agents with action masks; recorded episodes have none."""
    signal: Int[Tensor, "R B"] | None = None
    """The policies' shared signal, if any; hidden from the discriminator."""

    @property
    def num_episodes(self) -> int:
        """E"""
        return self.weight.shape[1] // self.num_steps

    @property
    def episode_weight(self) -> Float[Tensor, "R E"]:
        """The total weight of each episode; sums to 1 in each run."""
        return self.weight.unflatten(1, (-1, self.num_steps)).sum(-1)

    def weight_of(self, *agents: str) -> Float[Tensor, "R B"]:
        """The weights of the samples where at least one of the agents is active, rescaled to sum to 1."""
        if not set(agents) < set(self.active):  # at every step some agent is active
            return self.weight
        weight = self.weight * torch.stack([self.active[agent] for agent in agents]).any(0)
        return weight / weight.sum(-1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)

    def by_episode(self, values: Float[Tensor, "R B"]) -> Float[Tensor, "R E T"]:
        """Split values into episodes and steps, and set padding to 0."""
        if self.num_steps > 1:  # episodes of one step need no padding
            values = values * (self.weight > 0)
        return values.unflatten(1, (-1, self.num_steps))

    def part(self, episodes: slice) -> "Batch":
        """The same consecutive episodes of every run, as views; weights are rescaled to sum to 1."""
        first, last, _ = episodes.indices(self.num_episodes)
        steps = slice(first * self.num_steps, last * self.num_steps)
        whole = last - first == self.num_episodes
        return Batch(
            **self._columns(lambda values: values[:, steps]),
            weight=self.weight if whole else equal_weights(self.weight[:, steps] > 0),
            num_steps=self.num_steps,
        )

    def select(self, episodes: Int[Tensor, "R K"]) -> "Batch":
        """K episodes of each run, by index, with equal weights for all their steps."""
        steps = episodes
        if self.num_steps > 1:
            within = torch.arange(self.num_steps, device=episodes.device)
            steps = (episodes.unsqueeze(-1) * self.num_steps + within).flatten(1)
        return Batch(
            **self._columns(lambda values: gather_samples(values, steps)),
            weight=equal_weights(self.weight.gather(1, steps) > 0),
            num_steps=self.num_steps,
        )

    def of_run(self, run: int) -> "Batch":
        """A batch of one run (R = 1)."""
        return self._of_runs(lambda values: values[run : run + 1])

    def repeated(self, times: int) -> "Batch":
        """A single run repeated `times` times, as views."""
        return self._of_runs(lambda values: values.expand(times, *values.shape[1:]))

    def with_signal(self, signal: Int[Tensor, "R E"]) -> "Batch":
        """This batch with a shared signal for each episode."""
        return replace(self, signal=signal.repeat_interleave(self.num_steps, dim=1))

    def of_episode(self, values: Shaped[Tensor, "R B"]) -> Shaped[Tensor, "R E"]:
        """The value at the first step of each episode."""
        return values[:, :: self.num_steps]

    def _of_runs(self, cut: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(**self._columns(cut), weight=cut(self.weight), num_steps=self.num_steps)

    def _columns(self, cut: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        columns: dict[str, Any] = {
            name: {agent: cut(values) for agent, values in getattr(self, name).items()}
            for name in ("observations", "actions", "active", "masks")
        }
        return columns | {"signal": None if self.signal is None else cut(self.signal)}


@runtime_checkable
class ExpertBatches(Protocol):
    """A source of expert batches."""

    num_demonstrations: int
    """Number of expert episodes in the dataset."""

    def minibatch(self) -> Batch:
        """Sampled episodes, or their exact distribution."""
        ...


def gather_samples(values: Shaped[Tensor, "R B *rest"], samples: Int[Tensor, "R K"]) -> Shaped[Tensor, "R K *rest"]:
    """`values[r, samples[r, k]]` for every run r and k."""
    if values.ndim == 2:
        return values.gather(1, samples)
    runs = torch.arange(len(samples), device=samples.device).unsqueeze(-1)
    return values[runs, samples]


def equal_weights(present: Bool[Tensor, "R B"]) -> Float[Tensor, "R B"]:
    """Equal weights, summing to 1 in each run, for the samples that are present; 0 for the others."""
    weight = present.float()
    return weight / weight.sum(-1, keepdim=True)
