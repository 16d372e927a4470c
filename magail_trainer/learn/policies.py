"""Policies: a dict of observations in, a dict of action distributions out; independent of each other, or correlated.

Each agent's policy is a table or a network. It sees the agent's own observation and what else it is *given*: nothing
(independent), a signal that all agents share, or the actions of the agents before it (autoregressive).
"""

from collections.abc import Mapping, Sequence

import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from magail_trainer.errors import InputError
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.distributions import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from magail_trainer.learn.encoders import ActionCode, FiniteSpace, joint_row
from magail_trainer.learn.networks import Normalizer
from magail_trainer.seeding import RunNoise

Given = Sequence[Shaped[Tensor, "R B ..."]]
"""What an agent sees besides its observation: rows `[R, B]`, or numbers `[R, B, A]`."""


class TabularPolicy(nn.Module):
    """One agent's softmax policy with a row of logits for each observation, and each value of what it is given.

    Args:
        initial_logits: `[R, S, A]`
        given: of what it sees besides the observation.
    """

    noise_size = 1

    def __init__(self, initial_logits: Float[Tensor, "R S A"], *, given: Sequence[ActionCode] = ()) -> None:
        super().__init__()
        self.logits = nn.Parameter(initial_logits.clone())
        self._given_sizes = [code.size for code in given]

    def forward(
        self, rows: Int[Tensor, "R B"], mask: Bool[Tensor, "R B A"] | None = None, given: Given = ()
    ) -> Categorical:
        """The distribution of actions in the observations with these row numbers."""
        if self._given_sizes:
            rows = joint_row([rows, *given], [self.logits.shape[1], *self._given_sizes])
        if mask is not None:
            logits = self.logits.gather(1, rows.unsqueeze(-1).expand(-1, -1, self.logits.shape[-1]))
            return Categorical(_allowed(logits, mask).log_softmax(-1))
        return Categorical(self.logits.log_softmax(-1), rows)


class NeuralPolicy(nn.Module):
    """One agent's policy as a network of its features; the network may be shared with other agents.

    Args:
        network: `[R, B, O (+ G + G O)]` to `[R, B, A]`: logits, or the mean of a Gaussian.
        normalizer: of the features.
        identity: `[G]`, the agent among the G that share the network, one-hot; see `own_place`.
        log_std: `[R, 1, A]` for continuous actions.
        given: of what it sees besides the observation; its features are appended too.
        sizes: of each of several numbers, where these are drawn by themselves; they sum to A.
    """

    def __init__(
        self,
        network: nn.Module,
        normalizer: Normalizer,
        *,
        identity: Float[Tensor, " G"] | None = None,
        log_std: nn.Parameter | None = None,
        given: Sequence[ActionCode] = (),
        sizes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.network, self.normalizer, self.log_std, self._given = network, normalizer, log_std, given
        self.register_buffer("identity", identity, persistent=False)
        self.identity: Tensor | None
        self._sizes = tuple(sizes)
        self.noise_size = max(1, len(sizes)) if log_std is None else log_std.shape[-1]

    def forward(
        self, features: Float[Tensor, "R B O"], mask: Bool[Tensor, "R B A"] | None = None, given: Given = ()
    ) -> Distribution:
        """The distribution of actions in the observations with these features."""
        inputs = [self.normalizer(features)]
        if self.identity is not None:
            inputs.append(own_place(inputs[0], self.identity))
        inputs += [code.features(values) for code, values in zip(self._given, given, strict=True)]
        outputs = self.network(torch.cat(inputs, dim=-1))
        if self.log_std is not None:
            return DiagonalGaussian(outputs, self.log_std)
        if self._sizes:
            if mask is not None:
                raise InputError("An action mask came with actions of several numbers; expected Discrete actions.")
            return MultiCategorical(outputs, self._sizes)
        return Categorical((outputs if mask is None else _allowed(outputs, mask)).log_softmax(-1))


def own_place(features: Float[Tensor, "R B O"], identity: Float[Tensor, " G"]) -> Float[Tensor, "R B _"]:
    """A one-hot of the agent among G, and its features, halved, in its place among zeros: `[R, B, G + G O]`.

    So the first layer of a shared network has weights that all agents share and weights of each agent's own. The
    one-hot alone would give an agent a bias of its own: agents that are to look at different things needed a larger
    network. Half, for then the shared weights, which all agents train, lead.
    """
    own = (identity.unsqueeze(-1) * features.unsqueeze(-2) / 2).flatten(-2)
    return torch.cat([identity.expand(*features.shape[:2], -1), own], dim=-1)


class Policies(nn.Module):
    """One policy per agent.

    Args:
        policies: by agent, in the env's order: from its encoded observations, and what it is given, to a distribution.
    """

    num_signals = 1
    """How many values the shared signal has; with one there is none."""

    def __init__(self, policies: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.policies = nn.ModuleDict(policies)
        self.agents = list(policies)
        self.noise_sizes: list[int] = [policy.noise_size for policy in policies.values()]  # type: ignore[misc]
        """How many uniform numbers each agent's action is drawn from."""

    def given(self, agent: str, signal: Tensor | None, actions: Mapping[str, Tensor]) -> Given:
        """What an agent sees besides its own observation, of the signal and the actions of those before it."""
        raise NotImplementedError

    def signal(self, num_episodes: int) -> Categorical | None:
        """The distribution of each episode's signal, `[R, E]`; None where there is none."""
        return None

    def draw_signal(self, noise: RunNoise, num_episodes: int) -> Int[Tensor, "R E"] | None:
        """A signal for each episode; None, and nothing drawn from `noise`, where there is none."""
        weights = self.signal(num_episodes)
        if weights is None:
            return None
        return weights.sample(torch.from_numpy(noise.uniform(num_episodes, 1)).to(next(self.parameters()).device))

    def forward(
        self,
        observations: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
        *,
        signal: Int[Tensor, "R B"] | None = None,
        actions: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Distribution]:
        """The action distributions of every agent for `[R, B, ...]` observations each.

        Args:
            observations: by agent.
            masks: which actions are allowed, for the agents that have masks.
            signal: the shared signal of each sample, for policies that see one.
            actions: what the agents did, for policies that see the actions of those before them.
        """
        return {
            agent: self._distribution(agent, observations, masks or {}, self.given(agent, signal, actions or {}))
            for agent in self.agents
        }

    def of(self, batch: Batch) -> dict[str, Distribution]:
        """The action distributions in the samples of a batch."""
        return self(batch.observations, batch.masks, signal=batch.signal, actions=batch.actions)

    def act(
        self,
        observations: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        *,
        signal: Int[Tensor, "R B"] | None,
        uniform: Sequence[Float[Tensor, "R B _"]] | None,
    ) -> dict[str, Tensor]:
        """Choose every agent's action, one after the other.

        Args:
            observations: by agent.
            masks: which actions are allowed, for the agents that have masks.
            signal: of each sample, for policies that see one.
            uniform: numbers in [0, 1) to draw from, `noise_sizes` of them for each agent; None for the likeliest
                action of each.
        """
        actions: dict[str, Tensor] = {}
        for index, agent in enumerate(self.agents):
            distribution = self._distribution(agent, observations, masks, self.given(agent, signal, actions))
            actions[agent] = distribution.mode() if uniform is None else distribution.sample(uniform[index])
        return actions

    def _distribution(
        self, agent: str, observations: Mapping[str, Tensor], masks: Mapping[str, Tensor], given: Given
    ) -> Distribution:
        return self.policies[agent](observations[agent], masks.get(agent), given)

    def fit_normalizers(self, batch: Batch) -> None:
        """Fit each normaliser to what the agents that share it observe; tables have none."""
        sharing: dict[Normalizer, list[str]] = {}
        for agent, policy in self.policies.items():
            if isinstance(policy, NeuralPolicy):
                sharing.setdefault(policy.normalizer, []).append(agent)
        for normalizer, agents in sharing.items():
            weights = [batch.weight_of(agent) / len(agents) for agent in agents]
            features = [batch.observations[agent] for agent in agents]
            normalizer.fit(torch.cat(features, dim=1), torch.cat(weights, dim=1))


class IndependentPolicies(Policies):
    """Given the observations, the agents' actions are independent of each other: what MAGAIL assumes."""

    def given(self, agent: str, signal: Tensor | None, actions: Mapping[str, Tensor]) -> Given:
        """Nothing."""
        return ()


class SharedSignalPolicies(Policies):
    """All agents see the same random signal, drawn per episode from learnable weights.

    Given the signal and the observations, actions are independent; averaged over the signal they are correlated: the
    joint distribution is a mixture of K products. It is what Aumann's (1974) correlated equilibrium needs: a public
    coin. To act apart from each other the agents need to share the signal, nothing else: a seed agreed on in advance.

    Args:
        policies: see `Policies`; each sees its observation and the signal.
        initial_logits: of the signal's values, `[R, K]`.
    """

    def __init__(self, policies: Mapping[str, nn.Module], initial_logits: Float[Tensor, "R K"]) -> None:
        super().__init__(policies)
        self.signal_logits = nn.Parameter(initial_logits.clone())
        self.num_signals = initial_logits.shape[-1]

    def given(self, agent: str, signal: Tensor | None, actions: Mapping[str, Tensor]) -> Given:
        """The signal."""
        assert signal is not None, "policies with a shared signal need one"
        return (signal,)

    def signal(self, num_episodes: int) -> Categorical:
        """The weights of the signal, the same in every episode."""
        first_row = torch.zeros_like(self.signal_logits[:, :1], dtype=torch.int64)
        return Categorical(self.signal_logits.log_softmax(-1).unsqueeze(1), first_row.expand(-1, num_episodes))


class AutoregressivePolicies(Policies):
    """Each agent also sees the actions that those before it, in the env's order, are about to take.

    π(a|o) = Π_i π_i(a_i | o_i, a_1, …, a_{i-1}), which can be any joint distribution. The price: to act, the later
    agents must be told what the earlier ones do, at every step; there is no decentralised execution.
    """

    def given(self, agent: str, signal: Tensor | None, actions: Mapping[str, Tensor]) -> Given:
        """The actions of the agents before this one."""
        return [actions[other] for other in self.agents[: self.agents.index(agent)]]


def signal_code(num_signals: int) -> FiniteSpace:
    """How a network sees the shared signal: one-hot."""
    return FiniteSpace(spaces.Discrete(num_signals), "shared signal")


def _allowed(logits: Float[Tensor, "R B A"], mask: Bool[Tensor, "R B A"]) -> Float[Tensor, "R B A"]:
    """Logits at which a forbidden action has probability 0 and adds nothing to the entropy."""
    return logits.masked_fill(~mask, -1e9)
