"""One agent's policy: a table of logits, or a network.

It sees the agent's own observation and whatever else it is *given*: nothing, a shared signal, or the actions of the
agents before it.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from magail_trainer.errors import InputError
from magail_trainer.learn.config import PoliciesConfig
from magail_trainer.learn.distributions import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from magail_trainer.learn.encoders import ActionCode, Codes, ContinuousSpace, FactoredSpace, joint_row
from magail_trainer.learn.networks import Normalizer, check_table_size, make_network
from magail_trainer.learn.runs import Runs

_INITIAL_LOG_STD = -0.5  # for continuous actions in [-1, 1]

Given = Sequence[Shaped[Tensor, "R B ..."]]
"""What an agent sees besides its observation: integers `[R, B]`, or vectors `[R, B, A]`."""


class TabularPolicy(nn.Module):
    """A softmax policy with a row of A logits for each of S values of its observation and what it is given.

    Args:
        initial_logits: `[R, S, A]`
        given: encodings of what it sees besides the observation.
    """

    noise_size = 1

    def __init__(self, initial_logits: Float[Tensor, "R S A"], *, given: Sequence[ActionCode] = ()) -> None:
        super().__init__()
        self.logits = nn.Parameter(initial_logits.clone())
        self._given_sizes = [code.size for code in given]

    def forward(
        self, rows: Int[Tensor, "R B"], mask: Bool[Tensor, "R B A"] | None = None, given: Given = ()
    ) -> Categorical:
        """The action distribution in the observations with these row numbers."""
        if self._given_sizes:
            rows = joint_row([rows, *given], [self.logits.shape[1], *self._given_sizes])
        if mask is not None:
            logits = self.logits.gather(1, rows.unsqueeze(-1).expand(-1, -1, self.logits.shape[-1]))
            return Categorical(_allowed(logits, mask).log_softmax(-1))
        return Categorical(self.logits.log_softmax(-1), rows)


class NeuralPolicy(nn.Module):
    """A network over observation features; agents may share it.

    Args:
        network: `[R, B, O (+ G + G O)]` to `[R, B, A]`: logits, or the mean of a Gaussian.
        normalizer: of the features.
        identity: `[G]` one-hot of the agent among the G that share the network; see `own_place`.
        log_std: `[R, 1, A]` for continuous actions.
        given: encodings of what it sees besides the observation, appended as features.
        sizes: sizes of the components of a MultiDiscrete action, which are drawn independently; they sum to A.
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
        """The action distribution in the observations with these features."""
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
    """The agent's one-hot and its halved features in the agent's slot among zeros: `[R, B, G + G O]`.

    The first layer of a shared network thus has shared weights and weights for each agent. The one-hot alone adds only
    a bias for each agent: agents that attend to different features then needed a larger network. Halving lets the
    shared weights, which all agents train, dominate.
    """
    own = (identity.unsqueeze(-1) * features.unsqueeze(-2) / 2).flatten(-2)
    return torch.cat([identity.expand(*features.shape[:2], -1), own], dim=-1)


def table_policy(
    agent: str, codes: Codes, runs: Runs, config: PoliciesConfig, given: Sequence[ActionCode]
) -> TabularPolicy:
    """A table for one agent; its logits start at 0.1 times a standard normal, or at 0.

    Raises:
        InputError: the table would be too large.
    """
    rows = codes.observations[agent].size * math.prod(code.size for code in given)
    shape = (rows, codes.actions[agent].size)
    check_table_size(f"policy of {agent}", math.prod(shape), num_runs=len(runs))
    if config.policy_init_uniform:
        initial = np.zeros((len(runs), *shape), dtype=np.float32)
    else:
        normal = [rng.standard_normal(shape, dtype=np.float32) for rng in runs.streams("initial policy", agent)]
        initial = np.stack([0.1 * values for values in normal])
    return TabularPolicy(torch.from_numpy(initial), given=given)


def neural_policies(
    group: Sequence[str], codes: Codes, runs: Runs, config: PoliciesConfig, given: Sequence[ActionCode]
) -> dict[str, NeuralPolicy]:
    """Policies of agents with the same spaces that share a network; `own_place` distinguishes them."""
    width, code = codes.observations[group[0]].size, codes.actions[group[0]]
    identities = torch.eye(len(group)) if len(group) > 1 else None
    inputs = width + (0 if identities is None else len(group) * (width + 1)) + sum(code.size for code in given)
    scale = 0.0 if config.policy_init_uniform else 0.01
    network = make_network(inputs, code.size, runs.streams("initial policy", group[0]), config, last_scale=scale)
    normalizer, log_std = Normalizer(len(runs), width), None
    if isinstance(code, ContinuousSpace):
        log_std = nn.Parameter(torch.full((len(runs), 1, code.size), _INITIAL_LOG_STD))
    return {
        agent: NeuralPolicy(
            network,
            normalizer,
            identity=None if identities is None else identities[index],
            log_std=log_std,
            given=given,
            sizes=code.sizes if isinstance(code, FactoredSpace) else (),
        )
        for index, agent in enumerate(group)
    }


def _allowed(logits: Float[Tensor, "R B A"], mask: Bool[Tensor, "R B A"]) -> Float[Tensor, "R B A"]:
    """Logits that give forbidden actions probability 0 and no share of the entropy."""
    return logits.masked_fill(~mask, -1e9)
