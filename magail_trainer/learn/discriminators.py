"""Discriminators: what agents observed and did in, a judge's logit out. A high logit means expert."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from magail_trainer.learn.batch import Batch, equal_weights
from magail_trainer.learn.config import DiscriminatorStyle
from magail_trainer.learn.encoders import Codes, joint_row
from magail_trainer.learn.losses import gradient_penalty
from magail_trainer.learn.networks import Normalizer


@runtime_checkable
class Discriminator(Protocol):
    """One or more judges, each with a logit of its own; every agent is rewarded by one of them."""

    judge_of: Mapping[str, str]
    """agent -> the judge that rewards it"""
    opposed: Collection[str]
    """Agents that are paid the negative of what the judge's logit is worth."""

    def parameters(self) -> Iterable[nn.Parameter]:
        """What is trained."""
        ...

    def __call__(self, batch: Batch) -> dict[str, Float[Tensor, "R B"]]:
        """The logit of "an expert did this", by judge."""
        ...

    def gradient_penalty(self, expert: Batch, learner: Batch) -> Float[Tensor, " R"]:
        """How far the judges' gradients are from 1 between the expert's inputs and the learner's."""
        ...


def rewarded_agents(discriminator: Discriminator, judge: str) -> list[str]:
    """The agents that a judge rewards. It learns from the steps at which at least one of them is active."""
    return [agent for agent, name in discriminator.judge_of.items() if name == judge]


@dataclass(frozen=True)
class View:
    """What one judge sees of a transition."""

    observations_of: Sequence[str]
    """The agents whose observations it sees, in the env's order."""
    actions_of: Sequence[str]
    """The agents whose actions it sees."""


def views(style: DiscriminatorStyle, agents: Sequence[str]) -> tuple[dict[str, View], dict[str, str]]:
    """The judges of a style with what they see, and the judge of each agent.

    `joint` is the centralised discriminator of Song et al. 2018, section 4, and sees all; `per_agent` the decentralised
    one, a judge for each agent that sees its own observation and action, and so no correlation between agents;
    `own_view_joint_action` a judge for each agent that sees its own observation and all actions.
    `zero_sum` sees all, as `joint` does; what it is trained on is another matter, see `contrasts.MixedPlay`.
    """
    if style in ("joint", "zero_sum"):
        return {style: View(agents, agents)}, dict.fromkeys(agents, style)
    sees_actions = {agent: (agent,) if style == "per_agent" else agents for agent in agents}
    return {agent: View((agent,), sees_actions[agent]) for agent in agents}, {agent: agent for agent in agents}


class Discriminators(nn.Module):
    """A network for each judge, over what its view shows it.

    Args:
        judges: by name, a `TableJudge` or a `NeuralJudge`.
        judge_of: agent -> the judge that rewards it.
        opposed: agents that are paid the negative.
    """

    def __init__(
        self, judges: Mapping[str, nn.Module], judge_of: Mapping[str, str], *, opposed: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.judges = nn.ModuleDict(judges)
        self.judge_of, self.opposed = judge_of, opposed

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, "R B"]]:
        """The logit of each transition, by judge."""
        return {name: judge(judge.inputs(batch)) for name, judge in self.judges.items()}  # type: ignore[operator]

    def gradient_penalty(self, expert: Batch, learner: Batch) -> Float[Tensor, " R"]:
        """Σ_judges E[(|∂logit/∂input| − 1)²] on the way from the expert's inputs to the learner's; not for tables."""
        samples = min(expert.weight.shape[1], learner.weight.shape[1])
        # Where between the two: evenly spread by the golden ratio. Chance is in which ones are paired.
        share = (torch.arange(samples, device=expert.weight.device) * 0.6180339887 % 1).view(1, -1, 1)
        penalty = torch.zeros_like(expert.weight[:, 0])
        for name, judge in self.judges.items():
            agents = rewarded_agents(self, name)
            there = [batch.weight_of(*agents)[:, :samples] > 0 for batch in (expert, learner)]
            from_expert, from_learner = (judge.inputs(batch)[:, :samples] for batch in (expert, learner))  # type: ignore[operator]
            between = torch.lerp(from_expert, from_learner, share).requires_grad_()
            (gradients,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
            penalty = penalty + gradient_penalty(gradients, equal_weights(there[0] & there[1]))
        return penalty


class TableJudge(nn.Module):
    """A judge with a row for each joint value that it sees; so it can tell correlated from independent behaviour.

    Args:
        network: `[R, B]` joint row numbers to `[R, B]` logits.
        view: what it sees.
        observation_sizes: how many values each agent's observation has.
        action_sizes: the same for the actions.
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
            there = batch.active.get(agent)  # who has left does nothing, whatever was drawn
            rows.append(batch.actions[agent] if there is None else batch.actions[agent] * there)
        return joint_row(rows, self._sizes)

    def forward(self, rows: Shaped[Tensor, "R B"]) -> Float[Tensor, "R B"]:
        """The logit of each row."""
        return self.network(rows)


class NeuralJudge(nn.Module):
    """A judge over features: observations, normalised, and actions, one-hot or scaled to [-1, 1].

    Args:
        network: `[R, B, F]` features to `[R, B, 1]` logits.
        view: what it sees.
        codes: of the env's spaces.
        normalizers: of each agent's observations.
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
            if agent in batch.active:  # who has left does nothing, whatever was drawn
                done[index] = done[index] * batch.active[agent].unsqueeze(-1)
        return torch.cat([*seen, *done], dim=-1)

    def forward(self, features: Float[Tensor, "R B F"]) -> Float[Tensor, "R B"]:
        """The logit of each transition."""
        return self.network(features).squeeze(-1)


def view_size(view: View, codes: Codes) -> int:
    """How many features a judge sees, F."""
    return sum(codes.observations[agent].size for agent in view.observations_of) + sum(
        codes.actions[agent].size for agent in view.actions_of
    )
