"""Joint policies: observations by agent in, action distributions by agent out, independent or correlated."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float, Int
from torch import Tensor, nn

from magail_trainer.errors import InputError
from magail_trainer.learn.agent_policies import Given, NeuralPolicy, neural_policies, table_policy
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.config import PoliciesConfig
from magail_trainer.learn.distributions import Categorical, Distribution
from magail_trainer.learn.encoders import ActionCode, Codes, FiniteSpace
from magail_trainer.learn.networks import Normalizer
from magail_trainer.learn.runs import Runs
from magail_trainer.seeding import RunNoise


class Policies(nn.Module):
    """One policy per agent.

    To use your own, pass modules whose parameters have the runs as their leading axis to `Trainer(policies=...)`:

        class Linear(nn.Module):
            noise_size = 1  # uniform numbers per action

            def __init__(self, num_runs, inputs, actions):
                super().__init__()
                self.weights = nn.Parameter(torch.zeros(num_runs, inputs, actions))

            def forward(self, observations, mask=None, given=()):
                return Categorical((observations @ self.weights).log_softmax(-1))

        policies = IndependentPolicies({"left": Linear(5, 4, 2), "right": Linear(5, 4, 2)})

    Args:
        policies: by agent, in the env's order; each maps encoded observations, and what it is given, to a distribution.
    """

    num_signals = 1
    """Number of values K of the shared signal; 1 means no signal."""

    def __init__(self, policies: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.policies = nn.ModuleDict(policies)
        self.agents = list(policies)
        self.noise_sizes: list[int] = [policy.noise_size for policy in policies.values()]  # type: ignore[misc]
        """Number of uniform numbers per action, for each agent."""

    def given(self, agent: str, signal: Tensor | None, actions: Mapping[str, Tensor]) -> Given:
        """What an agent sees besides its observation: the signal, or the actions of the agents before it."""
        raise NotImplementedError

    def signal(self, num_episodes: int) -> Categorical | None:
        """The distribution of each episode's signal, `[R, E]`; None without a signal."""
        return None

    def draw_signal(self, noise: RunNoise, num_episodes: int) -> Int[Tensor, "R E"] | None:
        """Sample a signal for each episode; without a signal return None and leave `noise` untouched."""
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
        """The action distribution of each agent.

        Args:
            observations: `[R, B, ...]` by agent.
            masks: the allowed actions, for agents with action masks.
            signal: the shared signal of each sample, for policies that see one.
            actions: the agents' actions, for policies that see those of the agents before them.
        """
        return {
            agent: self._distribution(agent, observations, masks or {}, self.given(agent, signal, actions or {}))
            for agent in self.agents
        }

    def in_batch(self, batch: Batch) -> dict[str, Distribution]:
        """The action distributions for a batch."""
        return self(batch.observations, batch.masks, signal=batch.signal, actions=batch.actions)

    def act(
        self,
        observations: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        *,
        signal: Int[Tensor, "R B"] | None,
        uniform: Sequence[Float[Tensor, "R B _"]] | None,
    ) -> dict[str, Tensor]:
        """Choose the agents' actions, one agent after another.

        Args:
            observations: `[R, B, ...]` by agent.
            masks: the allowed actions, for agents with action masks.
            signal: the shared signal of each sample, for policies that see one.
            uniform: `noise_sizes` numbers in [0, 1) per agent to sample with; None for each agent's likeliest action.
        """
        actions: dict[str, Tensor] = {}
        for index, agent in enumerate(self.agents):
            distribution = self._distribution(agent, observations, masks, self.given(agent, signal, actions))
            drawn = distribution.mode() if uniform is None else distribution.sample(uniform[index])
            if agent in masks:  # policies of a run that diverges draw action 0, be it allowed or not
                allowed = masks[agent].gather(-1, drawn.unsqueeze(-1)).squeeze(-1)
                drawn = torch.where(allowed, drawn, masks[agent].int().argmax(-1))
            actions[agent] = drawn
        return actions

    def _distribution(
        self, agent: str, observations: Mapping[str, Tensor], masks: Mapping[str, Tensor], given: Given
    ) -> Distribution:
        return self.policies[agent](observations[agent], masks.get(agent), given)

    def fit_normalizers(self, batch: Batch) -> None:
        """Fit each normaliser to the observations of the agents that share it; tables have none."""
        sharing: dict[Normalizer, list[str]] = {}
        for agent, policy in self.policies.items():
            if isinstance(policy, NeuralPolicy):
                sharing.setdefault(policy.normalizer, []).append(agent)
        for normalizer, agents in sharing.items():
            weights = [batch.weight_of(agent) / len(agents) for agent in agents]
            features = [batch.observations[agent] for agent in agents]
            normalizer.fit(torch.cat(features, dim=1), torch.cat(weights, dim=1))


class IndependentPolicies(Policies):
    """Given the observations, the agents' actions are independent, as MAGAIL assumes."""

    def given(self, agent: str, signal: Tensor | None, actions: Mapping[str, Tensor]) -> Given:
        """Nothing."""
        return ()


class SharedSignalPolicies(Policies):
    """All agents see the same random signal, drawn per episode from learnable weights.

    Given the signal and the observations, actions are independent; averaged over the signal they are correlated: the
    joint distribution is a mixture of K products, as in Aumann's (1974) correlated equilibrium with a public signal.
    For decentralised execution the agents need only share the signal, for instance a seed agreed on in advance.

    Args:
        policies: see `Policies`; each sees its observation and the signal.
        initial_logits: `[R, K]` logits of the signal's values.
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
        """The learnt distribution of the signal, the same in every episode."""
        first_row = torch.zeros_like(self.signal_logits[:, :1], dtype=torch.int64)
        return Categorical(self.signal_logits.log_softmax(-1).unsqueeze(1), first_row.expand(-1, num_episodes))


class AutoregressivePolicies(Policies):
    """Each agent also sees the actions that the agents before it, in the env's order, are about to take.

    π(a|o) = Π_i π_i(a_i | o_i, a_1, …, a_{i-1}) can represent any joint distribution, but rules out decentralised
    execution: at every step the later agents must know the earlier ones' actions.
    """

    def given(self, agent: str, signal: Tensor | None, actions: Mapping[str, Tensor]) -> Given:
        """The actions of the agents before this one."""
        return [actions[other] for other in self.agents[: self.agents.index(agent)]]


def checked_policies(own: Any, codes: Codes, *, num_runs: int, name: str) -> Policies:
    """A user's policies, tried on observations of zeros.

    Raises:
        InputError: they are of other agents, runs or actions, or fail.
    """
    agents = list(codes.actions)
    if not isinstance(own, Policies) or own.agents != agents:
        of = ", ".join(own.agents) if isinstance(own, Policies) else type(own).__name__
        raise InputError(f"The policies {name} are of {of}; expected Policies of {', '.join(agents)}.")
    for parameter, values in own.named_parameters():
        if values.shape[:1] != (num_runs,):
            shape = list(values.shape)
            raise InputError(f"The policies {name} have {parameter} of shape {shape}; expected {num_runs} runs first.")
    device = next((values.device for values in own.parameters()), torch.device("cpu"))
    observations = {
        agent: torch.zeros(num_runs, 2, dtype=torch.int64, device=device)
        if isinstance(code, FiniteSpace)
        else torch.zeros(num_runs, 2, code.size, device=device)
        for agent, code in codes.observations.items()
    }
    try:
        with torch.no_grad():
            signal = None
            if own.signal(2) is not None:
                signal = torch.zeros(num_runs, 2, dtype=torch.int64, device=device)
            actions = own.act(observations, {}, signal=signal, uniform=None)
            distributions = own(observations, signal=signal, actions=actions)
    except Exception as error:  # user code may raise anything
        raise InputError(f"The policies {name} cannot be used: {error}") from error
    for agent, code in codes.actions.items():
        distribution = distributions[agent]
        if isinstance(code, FiniteSpace) and isinstance(distribution, Categorical):
            count = distribution.probs.shape[-1]
            if count != code.size:
                raise InputError(f"The policies {name} have {count} actions for {agent}; expected {code.size}.")
    return own


def make_policies(codes: Codes, runs: Runs, config: PoliciesConfig) -> Policies:
    """One policy per agent, initialised from each run's own random stream; a shared signal starts uniform.

    Raises:
        InputError: `share_parameters` names unknown agents, or groups agents with different spaces.
    """
    given = {agent: _given(agent, codes, config) for agent in codes.actions}
    by_agent: dict[str, nn.Module] = {}
    if config.family == "tabular":
        by_agent |= {agent: table_policy(agent, codes, runs, config, given[agent]) for agent in codes.actions}
    else:
        for group in sharing_groups(codes, config):
            by_agent |= neural_policies(group, codes, runs, config, given[group[0]])
    policies = {agent: by_agent[agent] for agent in codes.actions}
    match config.policy:
        case "independent":
            return IndependentPolicies(policies)
        case "shared_signal":
            return SharedSignalPolicies(policies, torch.zeros(len(runs), config.signals))
        case "autoregressive":
            return AutoregressivePolicies(policies)


def sharing_groups(codes: Codes, config: PoliciesConfig) -> list[list[str]]:
    """Groups of agents that share a network; see `PoliciesConfig.share_parameters`.

    Raises:
        InputError: an agent is unknown, is named twice, or has other spaces than its group.
    """
    agents, share = list(codes.actions), config.share_parameters
    kinds = {agent: _kind(agent, codes, config) for agent in agents}
    match share:
        case "none":
            groups = [[agent] for agent in agents]
        case "auto":
            groups = [[agent for agent in agents if kinds[agent] == kind] for kind in dict.fromkeys(kinds.values())]
        case "all":
            groups = [agents]
        case _:
            groups = [part.split(",") for part in share.split(":")]
            named = [agent for group in groups for agent in group]
            for agent in named:
                if agent not in agents or named.count(agent) > 1:
                    raise InputError(
                        f"--share_parameters names {agent!r}; expected auto, none, all, or each of "
                        f"{', '.join(agents)} at most once, such as {','.join(agents[:2])}."
                    )
            groups += [[agent] for agent in agents if agent not in named]
    for group in groups:
        for agent in group:
            if kinds[agent] != kinds[group[0]]:
                raise InputError(f"{group[0]} and {agent} cannot share parameters: what they see or do differs.")
    return groups


def _kind(agent: str, codes: Codes, config: PoliciesConfig) -> tuple:
    observation, action = codes.observations[agent], codes.actions[agent]
    given = sum(code.size for code in _given(agent, codes, config))
    return observation.size, action.size, type(observation), type(action), getattr(action, "sizes", ()), given


def _given(agent: str, codes: Codes, config: PoliciesConfig) -> list[ActionCode]:
    """What an agent sees besides its observation; see `Policies.given`."""
    if config.policy == "shared_signal":
        return [FiniteSpace(spaces.Discrete(config.signals), "shared signal")]
    before = list(codes.actions)[: list(codes.actions).index(agent)]
    return [codes.actions[other] for other in before] if config.policy == "autoregressive" else []
