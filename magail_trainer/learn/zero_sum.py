"""The two batches that a discriminator learns to distinguish: expert and learner, or two mixtures of both."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from magail_trainer.errors import InputError
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.policies import Policies
from magail_trainer.seeding import RunNoise

Sides = tuple[tuple[str, ...], tuple[str, ...]]


@runtime_checkable
class Contrast(Protocol):
    """Makes the two batches of a discriminator update."""

    def __call__(self, policies: Policies, expert: Batch, learner: Batch) -> tuple[Batch, Batch]:
        """The batch that should get a high logit, and the one that should get a low logit."""
        ...


def expert_against_learner(policies: Policies, expert: Batch, learner: Batch) -> tuple[Batch, Batch]:
    """The expert's minibatch against the learner's (Song et al. 2018, equation 8)."""
    return expert, learner


class MixedPlay:
    """The zero-sum discriminator's batches: expert against learner, and learner against expert.

    Song et al. 2018, section 4, take the prior r₁ = −r₂ for the two sides of a zero-sum game. An expert in equilibrium
    has v(E₁, π₂) ≥ v(E₁, E₂) ≥ v(π₁, E₂) for any π, where v is side one's return. So a high logit should mean that
    side one is better off: D goes up where the expert plays side one and the learner side two, and down where they
    have swapped sides. Side one's reward is that of the logit of actual learner against learner play, side two's its
    negative.

    We have only recordings of the expert, so as in the authors' code (ermongroup/multiagent-gail,
    `irl/mack/com_gail.py`, discriminator `competitive_single`) both mixtures use the *expert's* observations and
    replace one side's actions by the learner's. That code differs in three ways: it has exactly two agents; it also
    trains D on the expert's own play with label ½; and its only reward is 2D − 1. Ours supports sides of several agents
    and every reward style (only `airl` and `symmetric`, odd functions of the logit, treat both sides alike), and uses
    one minibatch with the same draws for both mixtures.

    With E for the expert's probabilities of a side's actions in an observation, the optimal logit is
    log E₁/π₁ − log E₂/π₂. With the `airl` reward each side thus descends KL(π‖E) of its own actions, in the learner's
    observations as far as D generalises to them. Neither the correlation between the sides nor the expert's returns
    matter. If D learns as slowly as the policies, the odd rewards circle around the expert's mixture; with ten times
    their learning rate they stay near it.

    Args:
        sides: the agents of each side.
        seeds: the runs' seeds.
    """

    def __init__(self, sides: Sides, *, seeds: Sequence[int]) -> None:
        self._first, _ = sides
        self._noise, self._signal_noise = RunNoise(seeds, "mixed play"), RunNoise(seeds, "mixed play", "signal")

    def state_dict(self) -> dict[str, Tensor]:
        """How far the random streams have come."""
        return {"drawn": torch.tensor((self._noise.drawn, self._signal_noise.drawn))}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` returned."""
        noise, signal = state["drawn"].tolist()
        self._noise.skip(noise)
        self._signal_noise.skip(signal)

    @torch.no_grad()
    def __call__(self, policies: Policies, expert: Batch, learner: Batch) -> tuple[Batch, Batch]:
        """(E₁, π₂), for a high logit, and (π₁, E₂).

        Raises:
            InputError: the env has action masks, which recordings lack.
        """
        if learner.masks:
            raise InputError(
                f"--discriminator zero_sum lets the learner act in the expert's observations, but which actions "
                f"{next(iter(learner.masks))} was allowed there is not recorded; expected an env without action masks."
            )
        sizes = policies.noise_sizes
        noise = torch.from_numpy(self._noise.uniform(expert.weight.shape[1], sum(sizes)))
        uniform = noise.to(expert.weight.device).split(sizes, dim=-1)
        signal = policies.draw_signal(self._signal_noise, expert.num_episodes)
        signal = None if signal is None else signal.repeat_interleave(expert.num_steps, dim=1)
        drawn = policies.act(expert.observations, {}, signal=signal, uniform=uniform)
        recorded = expert.actions
        high = {agent: (recorded if agent in self._first else drawn)[agent] for agent in policies.agents}
        low = {agent: (drawn if agent in self._first else recorded)[agent] for agent in policies.agents}
        return replace(expert, actions=high), replace(expert, actions=low)


def two_sides(agents: Sequence[str], sides: str) -> Sides:
    """The agents of each side.

    Args:
        agents: of the env.
        sides: such as `adversary_0,adversary_1:agent_0`; empty for two agents, or for agents whose names without
            trailing numbers are two different ones.

    Raises:
        InputError: `sides` does not name every agent once in two groups, or is empty but the sides are ambiguous.
    """
    if sides:
        groups = [tuple(part.split(",")) for part in sides.split(":")]
        if len(groups) != 2 or sorted(agent for group in groups for agent in group) != sorted(agents):
            raise InputError(f"--sides is {sides!r}; expected two groups that name each of {_example(agents)}.")
        return groups[0], groups[1]
    kinds = {agent: agent.rstrip("0123456789") for agent in agents} if len(agents) > 2 else {one: one for one in agents}
    groups = [tuple(agent for agent in agents if kinds[agent] == kind) for kind in dict.fromkeys(kinds.values())]
    if len(groups) != 2:
        raise InputError(
            f"--discriminator zero_sum needs two sides, which the names {', '.join(agents)} do not tell; "
            + (f"name with --sides each of {_example(agents)}." if len(agents) > 1 else "there is one agent.")
        )
    return groups[0], groups[1]


def _example(agents: Sequence[str]) -> str:
    return f"{', '.join(agents)} once, such as {agents[0]}:{','.join(agents[1:])}"
