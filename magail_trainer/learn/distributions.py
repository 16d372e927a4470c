"""Run-stacked action distributions, sampled with noise from the caller."""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


@runtime_checkable
class Distribution(Protocol):
    """A distribution of one agent's actions for each of `[R, B]` samples."""

    def sample(self, uniform: Float[Tensor, "R B K"]) -> Shaped[Tensor, "R B *action"]:
        """Actions drawn from `uniform`, K numbers in [0, 1) each."""
        ...

    def mode(self) -> Shaped[Tensor, "R B *action"]:
        """The likeliest actions."""
        ...

    def log_prob(self, actions: Shaped[Tensor, "R B *action"]) -> Float[Tensor, "R B"]:
        """log π(a|o)"""
        ...

    def entropy(self) -> Float[Tensor, "R B"]:
        """In nats."""
        ...


class Categorical:
    """A distribution over A actions for each of `[R, B]` samples.

    Unlike torch's, it samples with noise from the caller, so that every run has its own stream and draws are the same
    on every device. Samples may share distributions: a batch of thousands may have few distinct observations, and
    probabilities and entropies are computed once for each.

    Args:
        log_probs: `[R, S, A]` normalised log-probabilities of S distributions.
        rows: `[R, B]` index of each sample's distribution; by default S = B, one per sample.
    """

    def __init__(self, log_probs: Float[Tensor, "R S A"], rows: Int[Tensor, "R B"] | None = None) -> None:
        self._log_probs, self._rows = log_probs, rows

    @property
    def probs(self) -> Float[Tensor, "R B A"]:
        """The probability of each action."""
        return self._look_up(self._log_probs.exp())

    def sample(self, uniform: Float[Tensor, "R B 1"]) -> Int[Tensor, "R B"]:
        """Actions by inverse transform sampling of `uniform` numbers in [0, 1)."""
        probs = self._log_probs.exp()
        cumulative = probs[..., :-1].cumsum(-1)
        if self._rows is None:  # rounding may leave the sum below 1 before actions of probability 0
            later = probs.flip(-1).cumsum(-1).flip(-1)[..., 1:]
            cumulative = cumulative.masked_fill(later == 0, 1.0)
        return (uniform >= self._look_up(cumulative)).sum(-1)

    def mode(self) -> Int[Tensor, "R B"]:
        """The likeliest action; the first in case of ties."""
        return self._look_up(self._log_probs).argmax(-1)

    def log_prob(self, actions: Int[Tensor, "R B"]) -> Float[Tensor, "R B"]:
        """log π(a|o)"""
        if self._rows is None:
            return self._log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        num_actions = self._log_probs.shape[-1]
        return self._log_probs.flatten(1).gather(1, self._rows * num_actions + actions)

    def entropy(self) -> Float[Tensor, "R B"]:
        """Σ −π log π, in nats."""
        entropy = -(self._log_probs.exp() * self._log_probs).sum(-1)
        return entropy if self._rows is None else entropy.gather(1, self._rows)

    def _look_up(self, values: Float[Tensor, "R S C"]) -> Float[Tensor, "R B C"]:
        """`values[r, rows[r, b]]` for every run r and sample b."""
        if self._rows is None:
            return values
        return values.gather(1, self._rows.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


class DiagonalGaussian:
    """Independent normal distributions of K numbers; the env clips actions to [−1, 1].

    Args:
        mean: `[R, B, K]`
        log_std: `[R, 1, K]`, the same in every observation.
    """

    def __init__(self, mean: Float[Tensor, "R B K"], log_std: Float[Tensor, "R 1 K"]) -> None:
        self._mean, self._log_std = mean, log_std

    def sample(self, uniform: Float[Tensor, "R B K"]) -> Float[Tensor, "R B K"]:
        """The quantiles of `uniform`, numbers in [0, 1)."""
        normal = torch.special.ndtri(uniform.double().clamp(1e-7, 1 - 1e-7)).float()
        return self._mean + self._log_std.exp() * normal

    def mode(self) -> Float[Tensor, "R B K"]:
        """The mean."""
        return self._mean

    def log_prob(self, actions: Float[Tensor, "R B K"]) -> Float[Tensor, "R B"]:
        """The log-density, before clipping."""
        standard = (actions - self._mean) * (-self._log_std).exp()
        return (-0.5 * standard.square() - self._log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Float[Tensor, "R B"]:
        """The differential entropy, in nats, before clipping."""
        entropy = (self._log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)
        return entropy.expand(self._mean.shape[:2])


class MultiCategorical:
    """A product of K categorical distributions, for action spaces too large for a joint one.

    Args:
        logits: `[R, B, A]`, the concatenated logits of the K components.
        sizes: number of values of each component; they sum to A.
    """

    def __init__(self, logits: Float[Tensor, "R B A"], sizes: Sequence[int]) -> None:
        self._parts = [Categorical(part.log_softmax(-1)) for part in logits.split(list(sizes), dim=-1)]

    def sample(self, uniform: Float[Tensor, "R B K"]) -> Int[Tensor, "R B K"]:
        """Sample each component with its own uniform number in [0, 1)."""
        noise = uniform.split(1, dim=-1)
        return torch.stack([part.sample(own) for part, own in zip(self._parts, noise, strict=True)], dim=-1)

    def mode(self) -> Int[Tensor, "R B K"]:
        """The likeliest value of each component."""
        return torch.stack([part.mode() for part in self._parts], dim=-1)

    def log_prob(self, actions: Int[Tensor, "R B K"]) -> Float[Tensor, "R B"]:
        """log π(a|o), summed over the components."""
        digits = zip(self._parts, actions.unbind(-1), strict=True)
        return torch.stack([part.log_prob(digit) for part, digit in digits]).sum(0)

    def entropy(self) -> Float[Tensor, "R B"]:
        """In nats, summed over the components."""
        return torch.stack([part.entropy() for part in self._parts]).sum(0)
