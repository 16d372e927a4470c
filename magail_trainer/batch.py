"""What every loss sees."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Weighted transitions of R runs: sampled ones with equal weights, or enumerated ones with their probabilities.

    Every loss is Σ weight · term, so both kinds go through the same lines. Axes: R runs, B = E·T samples: the T steps
    of one of E episodes stand next to each other, and what pads a shorter episode has weight 0.
    """

    observations: Mapping[str, Int[Tensor, "R B"]]
    """Encoded, by agent."""
    actions: Mapping[str, Int[Tensor, "R B"]]
    """Encoded, by agent."""
    weight: Float[Tensor, "R B"]
    """Sums to one in each run."""
    num_steps: int = 1
    """T"""

    @property
    def num_episodes(self) -> int:
        """E"""
        return self.weight.shape[1] // self.num_steps

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
            observations={agent: values[:, steps] for agent, values in self.observations.items()},
            actions={agent: values[:, steps] for agent, values in self.actions.items()},
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
            observations={agent: values.gather(1, steps) for agent, values in self.observations.items()},
            actions={agent: values.gather(1, steps) for agent, values in self.actions.items()},
            weight=equal_weights(self.weight.gather(1, steps) > 0),
            num_steps=self.num_steps,
        )


def equal_weights(present: Bool[Tensor, "R B"]) -> Float[Tensor, "R B"]:
    """The same weight for each sample that is present, none for the others."""
    weight = present.float()
    return weight / weight.sum(-1, keepdim=True)
