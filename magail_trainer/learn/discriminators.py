"""Discriminators map observations and actions to a logit. A high logit means expert.

One discriminator serves all agents, or each agent has its own. To use your own, pass anything that implements the
protocol `Discriminator` to `Trainer(discriminator=...)`, or name a function that makes it with
`--discriminator module:callable`. This one is linear in all observations and actions:

    def linear(codes, runs, config):
        view = View(list(codes.actions), list(codes.actions))  # whose observations, whose actions
        network = Perceptron((view_size(view, codes), 1), runs.streams("linear"), last_scale=0.1)
        part = NeuralDiscriminator(network, view, codes, make_normalizers(codes, len(runs)))
        return Discriminators({"linear": part}, dict.fromkeys(codes.actions, "linear"))
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from magail_trainer.errors import InputError
from magail_trainer.importing import import_callable
from magail_trainer.learn.batch import Batch, equal_weights
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.encoders import Codes, joint_row
from magail_trainer.learn.losses import gradient_penalty
from magail_trainer.learn.networks import Normalizer, Table, check_table_size, make_network, make_normalizers
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.zero_sum import two_sides


@runtime_checkable
class Discriminator(Protocol):
    """One or more named discriminators, each with its own logit; every agent is rewarded by one of them.

    For example a `torch.nn.Module` whose parameters have the runs as their leading axis.
    """

    rewarded_by: Mapping[str, str]
    """agent -> the name of the discriminator whose logit rewards it"""
    opposed: Collection[str]
    """Agents whose reward is negated."""

    def parameters(self) -> Iterable[nn.Parameter]:
        """The parameters to train."""
        ...

    def __call__(self, batch: Batch) -> dict[str, Float[Tensor, "R B"]]:
        """Logits that the transitions are the expert's, by discriminator."""
        ...

    def gradient_penalty(self, expert: Batch, learner: Batch) -> Float[Tensor, " R"]:
        """E[(|gradient| − 1)²] between the expert's inputs and the learner's; called if its weight is above 0."""
        ...


def weight_for(discriminator: Discriminator, name: str, batch: Batch) -> Float[Tensor, "R B"]:
    """A discriminator's sample weights: 0 at steps where no agent that it rewards is active."""
    return batch.weight_of(*(agent for agent, by in discriminator.rewarded_by.items() if by == name))


@dataclass(frozen=True)
class View:
    """The agents whose observations and actions a discriminator sees, in the env's order."""

    observations_of: Sequence[str]
    actions_of: Sequence[str]


def views(style: str, agents: Sequence[str]) -> tuple[dict[str, View], dict[str, str]]:
    """The views of a style's discriminators, by name, and the discriminator that rewards each agent.

    `joint` is the centralised discriminator of Song et al. 2018 (section 4) and sees everything; `per_agent` is the
    decentralised one: each sees its agent's own observation and action, and so no correlation between agents.
    With `own_view_joint_action` each sees its agent's own observation and all actions.
    `zero_sum` sees everything but is trained on other batches; see `zero_sum.MixedPlay`.
    """
    if style in ("joint", "zero_sum"):
        return {style: View(agents, agents)}, dict.fromkeys(agents, style)
    sees_actions = {agent: (agent,) if style == "per_agent" else agents for agent in agents}
    return {agent: View((agent,), sees_actions[agent]) for agent in agents}, {agent: agent for agent in agents}


class Discriminators(nn.Module):
    """Discriminators that each see a `View`.

    Args:
        parts: by name, a `TableDiscriminator` or a `NeuralDiscriminator`.
        rewarded_by: agent -> the name of the part that rewards it.
        opposed: agents whose reward is negated.
    """

    def __init__(
        self, parts: Mapping[str, nn.Module], rewarded_by: Mapping[str, str], *, opposed: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.judges = nn.ModuleDict(parts)  # the parameters' name in checkpoints
        self.rewarded_by, self.opposed = rewarded_by, opposed

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, "R B"]]:
        """The logit of each transition, by discriminator."""
        return {name: part(part.inputs(batch)) for name, part in self.judges.items()}  # type: ignore[operator]

    def gradient_penalty(self, expert: Batch, learner: Batch) -> Float[Tensor, " R"]:
        """Σ E[(|∂logit/∂input| − 1)²] at points between the expert's inputs and the learner's; not for tables."""
        samples = min(expert.weight.shape[1], learner.weight.shape[1])
        # Interpolation weights evenly spread by the golden ratio; the pairing is random enough.
        share = (torch.arange(samples, device=expert.weight.device) * 0.6180339887 % 1).view(1, -1, 1)
        penalty = torch.zeros_like(expert.weight[:, 0])
        for name, part in self.judges.items():
            there = [weight_for(self, name, batch)[:, :samples] > 0 for batch in (expert, learner)]
            from_expert, from_learner = (part.inputs(batch)[:, :samples] for batch in (expert, learner))  # type: ignore[operator]
            between = torch.lerp(from_expert, from_learner, share).requires_grad_()
            (gradients,) = torch.autograd.grad(part(between).sum(), between, create_graph=True)
            penalty = penalty + gradient_penalty(gradients, equal_weights(there[0] & there[1]))
        return penalty


class TableDiscriminator(nn.Module):
    """A logit for each joint value of what it sees, so it can detect correlation between agents.

    Args:
        network: `[R, B]` joint row numbers to `[R, B]` logits.
        view: what it sees.
        observation_sizes: number of observations, by agent.
        action_sizes: number of actions, by agent.
    """

    def __init__(
        self, network: nn.Module, view: View, observation_sizes: Mapping[str, int], action_sizes: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.network, self._view = network, view
        self._sizes = [observation_sizes[agent] for agent in view.observations_of]
        self._sizes += [action_sizes[agent] for agent in view.actions_of]

    def inputs(self, batch: Batch) -> Shaped[Tensor, "R B"]:
        """The joint row number of each transition."""
        rows = [batch.observations[agent] for agent in self._view.observations_of]
        for agent in self._view.actions_of:
            active = batch.active.get(agent)  # agents that have left get action 0
            rows.append(batch.actions[agent] if active is None else batch.actions[agent] * active)
        return joint_row(rows, self._sizes)

    def forward(self, rows: Shaped[Tensor, "R B"]) -> Float[Tensor, "R B"]:
        """The logit of each row."""
        return self.network(rows)


class NeuralDiscriminator(nn.Module):
    """A network over normalised observations and actions, one-hot or scaled to [−1, 1].

    Args:
        network: `[R, B, F]` features to `[R, B, 1]` logits.
        view: what it sees.
        codes: encodings of the env's spaces.
        normalizers: observation normalisers, by agent.
    """

    def __init__(self, network: nn.Module, view: View, codes: Codes, normalizers: Mapping[str, Normalizer]) -> None:
        super().__init__()
        self.network, self._view, self._codes = network, view, codes
        self.normalizers = nn.ModuleDict({agent: normalizers[agent] for agent in view.observations_of})

    def inputs(self, batch: Batch) -> Float[Tensor, "R B F"]:
        """The features of each transition."""
        seen = [self.normalizers[agent](batch.observations[agent]) for agent in self._view.observations_of]
        done = [self._codes.actions[agent].features(batch.actions[agent]) for agent in self._view.actions_of]
        for index, agent in enumerate(self._view.actions_of):
            if agent in batch.active:  # agents that have left get features of 0
                done[index] = done[index] * batch.active[agent].unsqueeze(-1)
        return torch.cat([*seen, *done], dim=-1)

    def forward(self, features: Float[Tensor, "R B F"]) -> Float[Tensor, "R B"]:
        """The logit of each transition."""
        return self.network(features).squeeze(-1)


def view_size(view: View, codes: Codes) -> int:
    """The number of features F in a view."""
    return sum(codes.observations[agent].size for agent in view.observations_of) + sum(
        codes.actions[agent].size for agent in view.actions_of
    )


def own_discriminator(codes: Codes, runs: Runs, config: MagailConfig) -> Discriminator:
    """The discriminator made by the user's function `config.discriminator`; see the top of this file.

    Raises:
        InputError: the function fails, or makes something else.
    """
    factory = import_callable(config.discriminator, what="--discriminator")
    try:
        own = factory(codes, runs, config)
    except Exception as error:  # user code may raise anything
        raise InputError(f"--discriminator {config.discriminator} cannot be used: {error}") from error
    return checked_discriminator(own, codes, name=config.discriminator)


def checked_discriminator(own: Any, codes: Codes, *, name: str) -> Discriminator:
    """Check a user's discriminator and return it.

    Raises:
        InputError: it does not implement the protocol, or does not reward each agent of the env.
    """
    if not isinstance(own, Discriminator) or set(own.rewarded_by) != set(codes.actions):
        raise InputError(
            f"--discriminator {name} is a {type(own).__name__}; expected a Discriminator whose rewarded_by names "
            f"{', '.join(codes.actions)} (see magail_trainer.learn.discriminators)."
        )
    return own


def make_discriminator(codes: Codes, runs: Runs, config: MagailConfig) -> Discriminators:
    """The discriminators of the style `config.discriminator`; tables start at 0.

    Raises:
        InputError: a table would be too large, or a zero-sum discriminator has no two sides.
    """
    agents = list(codes.actions)
    seen, rewarded_by = views(config.discriminator, agents)
    opposed = two_sides(agents, config.sides)[1] if config.discriminator == "zero_sum" else ()
    if config.family == "tabular":
        parts: dict[str, nn.Module] = {name: _table(view, codes, len(runs)) for name, view in seen.items()}
        return Discriminators(parts, rewarded_by, opposed=opposed)
    normalizers, parts = make_normalizers(codes, len(runs)), {}
    for name, view in seen.items():
        streams = runs.streams("initial discriminator", name)
        network = make_network(view_size(view, codes), 1, streams, config, last_scale=0.1)
        parts[name] = NeuralDiscriminator(network, view, codes, normalizers)
    return Discriminators(parts, rewarded_by, opposed=opposed)


def _table(view: View, codes: Codes, num_runs: int) -> TableDiscriminator:
    observation_sizes = {agent: code.size for agent, code in codes.observations.items()}
    action_sizes = {agent: code.size for agent, code in codes.actions.items()}
    sizes = [observation_sizes[agent] for agent in view.observations_of]
    rows = math.prod([*sizes, *(action_sizes[agent] for agent in view.actions_of)])
    check_table_size("discriminator", rows, num_runs=num_runs)
    return TableDiscriminator(Table(torch.zeros(num_runs, rows)), view, observation_sizes, action_sizes)
