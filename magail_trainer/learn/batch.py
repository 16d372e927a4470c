"""What every loss sees."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

Encoded = Shaped[Tensor, "R B ..."]


@dataclass(frozen=True)
class Batch:
    """Weighted transitions of R runs: sampled ones with equal weights, or enumerated ones with their probabilities.

    Every loss is Σ weight · term, so both kinds go through the same lines. Axes: R runs, B = E·T samples: the T steps
    of one of E episodes stand next to each other, and what pads a shorter episode has weight 0.
    """

    observations: Mapping[str, Encoded]
    """By agent: row numbers `[R, B]`, or features `[R, B, O]`."""
    actions: Mapping[str, Encoded]
    """By agent: row numbers `[R, B]`, or numbers `[R, B, A]`."""
    weight: Float[Tensor, "R B"]
    """Sums to one in each run."""
    num_steps: int = 1
    """T"""
    active: Mapping[str, Bool[Tensor, "R B"]] = field(default_factory=dict)
    """Whether an agent was still there to act, by agent; empty where no agent leaves before the others."""
    masks: Mapping[str, Bool[Tensor, "R B _"]] = field(default_factory=dict)
    """Which actions were allowed, for the agents whose env says so; recorded episodes do not say."""
    signal: Int[Tensor, "R B"] | None = None
    """The signal that the policies shared in each sample, where they share one; hidden from the discriminator."""

    @property
    def num_episodes(self) -> int:
        """E"""
        return self.weight.shape[1] // self.num_steps

    @property
    def episode_weight(self) -> Float[Tensor, "R E"]:
        """Of all steps of each episode together; sums to one in each run."""
        return self.weight.unflatten(1, (-1, self.num_steps)).sum(-1)

    def weight_of(self, *agents: str) -> Float[Tensor, "R B"]:
        """The weights of the samples in which at least one of the agents is active; they sum to one again."""
        if not set(agents) < set(self.active):  # one of all the agents is active at every step
            return self.weight
        weight = self.weight * torch.stack([self.active[agent] for agent in agents]).any(0)
        return weight / weight.sum(-1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)

    def by_episode(self, values: Float[Tensor, "R B"]) -> Float[Tensor, "R E T"]:
        """Values of the batch with its episodes and steps apart, and 0 for padding."""
        if self.num_steps > 1:  # episodes of one step need no padding
            values = values * (self.weight > 0)
        return values.unflatten(1, (-1, self.num_steps))

    def part(self, episodes: slice) -> "Batch":
        """Consecutive episodes, the same of every run, as views; the weights scaled to sum to one again."""
        first, last, _ = episodes.indices(self.num_episodes)
        steps = slice(first * self.num_steps, last * self.num_steps)
        whole = last - first == self.num_episodes
        return Batch(
            **self._columns(lambda values: values[:, steps]),
            weight=self.weight if whole else equal_weights(self.weight[:, steps] > 0),
            num_steps=self.num_steps,
        )

    def select(self, episodes: Int[Tensor, "R K"]) -> "Batch":
        """K episodes of each run, by number, with equal weights for all of their steps."""
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
        """One run by itself: R = 1."""
        return self._of_runs(lambda values: values[run : run + 1])

    def repeated(self, times: int) -> "Batch":
        """A single run so many times, as views."""
        return self._of_runs(lambda values: values.expand(times, *values.shape[1:]))

    def with_signal(self, signal: Int[Tensor, "R E"]) -> "Batch":
        """The same, where the policies shared a signal in each episode."""
        return replace(self, signal=signal.repeat_interleave(self.num_steps, dim=1))

    def of_episode(self, values: Shaped[Tensor, "R B"]) -> Shaped[Tensor, "R E"]:
        """What each episode has at its first step."""
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
    """Where the expert's batches come from."""

    num_demonstrations: int
    """From how many episodes of the expert they all come."""

    def minibatch(self) -> Batch:
        """Some recorded episodes, or their whole distribution."""
        ...


def gather_samples(values: Shaped[Tensor, "R B *rest"], samples: Int[Tensor, "R K"]) -> Shaped[Tensor, "R K *rest"]:
    """Sample `samples[r, k]` of run r, for every r and k."""
    if values.ndim == 2:
        return values.gather(1, samples)
    runs = torch.arange(len(samples), device=samples.device).unsqueeze(-1)
    return values[runs, samples]


def equal_weights(present: Bool[Tensor, "R B"]) -> Float[Tensor, "R B"]:
    """The same weight for each sample that is present, none for the others."""
    weight = present.float()
    return weight / weight.sum(-1, keepdim=True)
