"""Discriminators: what all agents observed and did in, a judge's logit out. A high logit means expert."""

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from magail_trainer.batch import Batch
from magail_trainer.encoding import joint_row


@runtime_checkable
class Discriminator(Protocol):
    """One or more judges, each with a logit of its own; every agent is rewarded by one of them."""

    judge_of: Mapping[str, str]
    """agent -> the judge that rewards it"""

    def parameters(self) -> Iterable[nn.Parameter]:
        """What is trained."""
        ...

    def __call__(self, batch: Batch) -> dict[str, Float[Tensor, "R B"]]:
        """The logit of "an expert did this", by judge."""
        ...


class JointDiscriminator(nn.Module):
    """D(o_1..o_N, a_1..a_N): a single judge, `joint`, which sees what all agents do together and rewards all alike.

    This is the centralised discriminator of MAGAIL (Song et al. 2018, section 4). Its network has a row for each
    joint value, so it can tell correlated from independent behaviour.

    Args:
        network: `[R, B]` joint row numbers to `[R, B]` logits.
        observation_sizes: how many values each agent's observation has, in the env's order of agents.
        action_sizes: the same for the actions.
    """

    def __init__(
        self, network: nn.Module, observation_sizes: Mapping[str, int], action_sizes: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.network = network
        self.judge_of: Mapping[str, str] = dict.fromkeys(action_sizes, "joint")
        self._sizes = [*observation_sizes.values(), *action_sizes.values()]

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, "R B"]]:
        """The logit of each transition."""
        rows = [batch.observations[agent] for agent in self.judge_of] + [
            batch.actions[agent] for agent in self.judge_of
        ]
        return {"joint": self.network(joint_row(rows, self._sizes))}
