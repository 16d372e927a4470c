"""What every loss sees."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Weighted transitions of R runs: sampled ones with equal weights, or enumerated ones with their probabilities.

    Every loss is Σ weight · term, so both kinds go through the same lines. Axes: R runs, B samples; a batch of whole
    episodes has B = E·T, the T steps of one of the E episodes next to each other, padded with weight 0.
    """

    observations: Mapping[str, Int[Tensor, "R B"]]
    """Encoded, by agent."""
    actions: Mapping[str, Int[Tensor, "R B"]]
    """Encoded, by agent."""
    weight: Float[Tensor, "R B"]
    """Sums to one in each run."""

    def select(self, index: Int[Tensor, "R K"], weight: Float[Tensor, "R K"]) -> "Batch":
        """K samples of each run, with new weights."""
        return Batch(
            observations={agent: values.gather(1, index) for agent, values in self.observations.items()},
            actions={agent: values.gather(1, index) for agent, values in self.actions.items()},
            weight=weight,
        )


def equal_weights(present: Bool[Tensor, "R B"]) -> Float[Tensor, "R B"]:
    """The same weight for each sample that is present, none for the others."""
    weight = present.float()
    return weight / weight.sum(-1, keepdim=True)
