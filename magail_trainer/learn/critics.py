"""Critics: observations by agent in, values by agent out."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.networks import Normalizer, make_network, make_normalizers
from magail_trainer.learn.runs import Runs


class CentralisedCritic(nn.Module):
    """V_i(o_1..o_N): one network that sees all observations and has an output for each agent.

    Used only in training; the policies act without it (Lowe et al. 2017, Yu et al. 2022).

    Args:
        network: `[R, B, ΣO]` to `[R, B, N]`.
        normalizers: observation normalisers by agent, in the env's order.
    """

    def __init__(self, network: nn.Module, normalizers: Mapping[str, Normalizer]) -> None:
        super().__init__()
        self.network, self.normalizers = network, nn.ModuleDict(normalizers)

    def forward(self, observations: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "R B"]]:
        """The value for each agent."""
        seen = [normalizer(observations[agent]) for agent, normalizer in self.normalizers.items()]
        values = self.network(torch.cat(seen, dim=-1))
        return dict(zip(self.normalizers, values.unbind(-1), strict=True))


class DecentralisedCritics(nn.Module):
    """V_i(o_i): a network for each agent, which sees that agent's observation.

    Args:
        networks: `[R, B, O]` to `[R, B, 1]`, by agent.
        normalizers: observation normalisers, by agent.
    """

    def __init__(self, networks: Mapping[str, nn.Module], normalizers: Mapping[str, Normalizer]) -> None:
        super().__init__()
        self.networks, self.normalizers = nn.ModuleDict(networks), nn.ModuleDict(normalizers)

    def forward(self, observations: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "R B"]]:
        """The value for each agent."""
        return {
            agent: network(self.normalizers[agent](observations[agent])).squeeze(-1)
            for agent, network in self.networks.items()
        }


def make_critic(codes: Codes, runs: Runs, config: MagailConfig) -> nn.Module | None:
    """The critic named by `config.critic`; None for `none`."""
    if config.critic == "none":
        return None
    normalizers = make_normalizers(codes, len(runs))
    sizes = {agent: code.size for agent, code in codes.observations.items()}
    if config.critic == "centralised":
        streams = runs.streams("initial critic")
        return CentralisedCritic(
            make_network(sum(sizes.values()), len(sizes), streams, config, last_scale=1.0), normalizers
        )
    networks = {
        agent: make_network(size, 1, runs.streams("initial critic", agent), config, last_scale=1.0)
        for agent, size in sizes.items()
    }
    return DecentralisedCritics(networks, normalizers)
