"""Policies: a dict of observations in, a dict of action distributions out."""

from collections.abc import Mapping

from jaxtyping import Float, Int
from torch import Tensor, nn


class Categorical:
    """A distribution over A actions for each of `[R, B]` samples.

    Unlike torch's own, it draws from noise that the caller provides, so that every run has its own stream and the
    draws are the same on every device. And it is told which samples share a distribution: a batch of thousands may
    have a few different observations, and what needs a distribution alone is computed once for each of those.

    Args:
        log_probs: the normalised log-probabilities of S different distributions, `[R, S, A]`.
        rows: which of them each sample has, `[R, B]`.
    """

    def __init__(self, log_probs: Float[Tensor, "R S A"], rows: Int[Tensor, "R B"]) -> None:
        self._log_probs, self._rows = log_probs, rows

    @property
    def probs(self) -> Float[Tensor, "R B A"]:
        """The probability of each action."""
        return _look_up(self._log_probs.exp(), self._rows)

    def sample(self, uniform: Float[Tensor, "R B"]) -> Int[Tensor, "R B"]:
        """The actions at which the cumulative distribution passes `uniform`, numbers in [0, 1)."""
        cumulative = self._log_probs[..., :-1].exp().cumsum(-1)
        return (uniform.unsqueeze(-1) >= _look_up(cumulative, self._rows)).sum(-1)

    def log_prob(self, actions: Int[Tensor, "R B"]) -> Float[Tensor, "R B"]:
        """log π(a|o)"""
        num_actions = self._log_probs.shape[-1]
        return self._log_probs.flatten(1).gather(1, self._rows * num_actions + actions)

    def entropy(self) -> Float[Tensor, "R B"]:
        """Σ −π log π, in nats."""
        entropy = -(self._log_probs.exp() * self._log_probs).sum(-1)
        return entropy.gather(1, self._rows)


def _look_up(values: Float[Tensor, "R S C"], rows: Int[Tensor, "R B"]) -> Float[Tensor, "R B C"]:
    """Row `rows[r, b]` of run r's values, for every r and b."""
    return values.gather(1, rows.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


class TabularPolicy(nn.Module):
    """One agent's softmax policy with a row of logits for each observation.

    Args:
        initial_logits: `[R, S, A]`
    """

    def __init__(self, initial_logits: Float[Tensor, "R S A"]) -> None:
        super().__init__()
        self.logits = nn.Parameter(initial_logits.clone())

    def forward(self, rows: Int[Tensor, "R B"]) -> Categorical:
        """The distribution of actions in the observations with these row numbers."""
        return Categorical(self.logits.log_softmax(-1), rows)


class IndependentPolicies(nn.Module):
    """One policy per agent; given the observations, the agents' actions are independent of each other.

    Args:
        policies: by agent, in the env's order: from its encoded observations to a distribution.
    """

    def __init__(self, policies: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.policies = nn.ModuleDict(policies)
        self.agents = list(policies)

    def forward(self, observations: Mapping[str, Tensor]) -> dict[str, Categorical]:
        """The action distributions of every agent for `[R, B]` observations each."""
        return {agent: policy(observations[agent]) for agent, policy in self.policies.items()}
