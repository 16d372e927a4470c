"""Makes policies, discriminator and critic for an env's spaces, as tables or as perceptrons."""

import math
from collections.abc import Sequence
from importlib import import_module

import numpy as np
import torch
from torch import nn

from magail_trainer.errors import InputError
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.critics import CentralisedCritic, DecentralisedCritics
from magail_trainer.learn.discriminators import (
    Discriminators,
    NeuralJudge,
    TableJudge,
    View,
    view_size,
    views,
)
from magail_trainer.learn.encoders import ActionCode, Codes, ContinuousSpace, FactoredSpace
from magail_trainer.learn.networks import Normalizer, Perceptron, StackedModules, Table
from magail_trainer.learn.policies import (
    AutoregressivePolicies,
    IndependentPolicies,
    NeuralPolicy,
    Policies,
    SharedSignalPolicies,
    TabularPolicy,
    signal_code,
)
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.zero_sum import two_sides
from magail_trainer.seeding import stream

_MAX_TABLE_ROWS = 10_000_000
_INITIAL_LOG_STD = -0.5  # of a continuous action, whose bounds are -1 and 1


def make_policies(codes: Codes, runs: Runs, config: MagailConfig) -> Policies:
    """One policy per agent, from each run's own random stream.

    Tables of logits start at 0.1 times a standard normal, or all zero; perceptrons start near uniform. The weights of a
    shared signal start equal.

    Raises:
        InputError: `share_parameters` names agents that there are not, or that differ in their spaces.
    """
    given = {agent: _given(agent, codes, config) for agent in codes.actions}
    if config.network == "tabular":
        for name in ("own_network", "share_parameters", "hidden", "signal_starts"):
            if getattr(config, name) != getattr(MagailConfig(network="tabular"), name):
                raise InputError(f"--{name} needs --network mlp; each agent has a table of its own.")
        policies = {agent: _table_policy(agent, codes, runs, config, given[agent]) for agent in codes.actions}
    else:
        made: dict[str, nn.Module] = {}
        for group in sharing_groups(codes, config):
            made |= _neural_policies(group, codes, runs, config, given[group[0]])
        policies = {agent: made[agent] for agent in codes.actions}
    match config.policy:
        case "independent":
            return IndependentPolicies(policies)
        case "shared_signal":
            return SharedSignalPolicies(policies, torch.zeros(len(runs), config.signals))
        case "autoregressive":
            return AutoregressivePolicies(policies)


def _given(agent: str, codes: Codes, config: MagailConfig) -> list[ActionCode]:
    """What an agent sees besides its observation; see `Policies.given`."""
    if config.policy == "shared_signal":
        return [signal_code(config.signals)]
    before = list(codes.actions)[: list(codes.actions).index(agent)]
    return [codes.actions[other] for other in before] if config.policy == "autoregressive" else []


def make_discriminator(codes: Codes, runs: Runs, config: MagailConfig) -> Discriminators:
    """The judges of a style; tables start at zero: no opinion.

    Raises:
        InputError: a table would be too large, or is to have a gradient penalty; or there are no two sides.
    """
    agents = list(codes.actions)
    seen, judge_of = views(config.discriminator, agents)
    opposed = two_sides(agents, config.sides)[1] if config.discriminator == "zero_sum" else ()
    if config.network == "tabular":
        if config.gradient_penalty > 0:
            raise InputError(
                f"--gradient_penalty {config.gradient_penalty:g} needs --network mlp; a table has no gradient."
            )
        tables = {name: _table_judge(view, codes, len(runs)) for name, view in seen.items()}
        return Discriminators(tables, judge_of, opposed=opposed)
    normalizers = _normalizers(codes, runs)
    judges = {}
    for name, view in seen.items():
        streams = _streams(runs, "initial discriminator", name)
        network = _network(view_size(view, codes), 1, streams, config, last_scale=0.1)
        judges[name] = NeuralJudge(network, view, codes, normalizers)
    return Discriminators(judges, judge_of, opposed=opposed)


def make_critic(codes: Codes, runs: Runs, config: MagailConfig) -> nn.Module | None:
    """The critic, a perceptron, or none."""
    if config.critic == "none":
        return None
    if config.network == "tabular":
        raise InputError(f"--critic {config.critic} needs --network mlp; tables train without a critic.")
    normalizers = _normalizers(codes, runs)
    widths = {agent: code.size for agent, code in codes.observations.items()}
    if config.critic == "centralised":
        streams = _streams(runs, "initial critic")
        network = _network(sum(widths.values()), len(widths), streams, config, last_scale=1.0)
        return CentralisedCritic(network, normalizers)
    networks = {
        agent: _network(width, 1, _streams(runs, "initial critic", agent), config, last_scale=1.0)
        for agent, width in widths.items()
    }
    return DecentralisedCritics(networks, normalizers)


def fit_normalizers(module: nn.Module, batch: Batch) -> None:
    """Fit the normalisers of a discriminator or a critic to what each agent observes; see `Normalizer`."""
    for part in module.modules():
        if isinstance(part, CentralisedCritic | DecentralisedCritics | NeuralJudge):
            for agent, normalizer in part.normalizers.items():
                assert isinstance(normalizer, Normalizer)
                normalizer.fit(batch.observations[agent], batch.weight_of(agent))


def sharing_groups(codes: Codes, config: MagailConfig) -> list[list[str]]:
    """Which agents share a network; see `MagailConfig.share_parameters`.

    Raises:
        InputError: an agent that there is not, or is named twice, or whose spaces differ from its group's.
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


def _kind(agent: str, codes: Codes, config: MagailConfig) -> tuple:
    observation, action = codes.observations[agent], codes.actions[agent]
    given = sum(code.size for code in _given(agent, codes, config))
    return observation.size, action.size, type(observation), type(action), getattr(action, "sizes", ()), given


def _table_policy(
    agent: str, codes: Codes, runs: Runs, config: MagailConfig, given: Sequence[ActionCode]
) -> TabularPolicy:
    rows = codes.observations[agent].size * math.prod(code.size for code in given)
    shape = (rows, codes.actions[agent].size)
    _check_table_size(f"policy of {agent}", math.prod(shape), len(runs))
    if config.policy_init_uniform:
        initial = np.zeros((len(runs), *shape), dtype=np.float32)
    else:
        normal = [rng.standard_normal(shape, dtype=np.float32) for rng in _streams(runs, "initial policy", agent)]
        initial = np.stack([0.1 * values for values in normal])
    return TabularPolicy(torch.from_numpy(initial), given=given)


def _neural_policies(
    group: Sequence[str], codes: Codes, runs: Runs, config: MagailConfig, given: Sequence[ActionCode]
) -> dict[str, NeuralPolicy]:
    """One network for a group of agents with the same spaces, told apart by `own_place` where there are several."""
    width, code = codes.observations[group[0]].size, codes.actions[group[0]]
    identities = torch.eye(len(group)) if len(group) > 1 else None
    inputs = width + (0 if identities is None else len(group) * (width + 1)) + sum(code.size for code in given)
    scale = 0.0 if config.policy_init_uniform else 0.01
    network = _network(inputs, code.size, _streams(runs, "initial policy", group[0]), config, last_scale=scale)
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


def _network(
    inputs: int, outputs: int, streams: Sequence[np.random.Generator], config: MagailConfig, *, last_scale: float
) -> nn.Module:
    """A perceptron for each run, or a module of the user's own, which starts as it likes."""
    if config.own_network and config.policy_init_uniform:
        raise InputError("--policy_init_uniform cannot be had with --own_network, which starts as it likes.")
    if not config.own_network:
        return Perceptron((inputs, *config.hidden, outputs), streams, last_scale=last_scale)
    module_name, _, attribute = config.own_network.partition(":")
    modules = []
    try:
        factory = getattr(import_module(module_name), attribute)
        with torch.random.fork_rng(devices=[]):
            for rng in streams:  # torch initialises from its global state on the CPU alone
                torch.default_generator.manual_seed(int(rng.integers(2**63)))
                modules.append(factory(inputs, outputs))
        network = StackedModules(modules)
        shape = tuple(network(torch.zeros(len(streams), 2, inputs)).shape)
    except Exception as error:  # whatever the user's own code raises
        raise InputError(f"--own_network {config.own_network} cannot be used: {error}") from error
    if shape != (len(streams), 2, outputs):
        raise InputError(
            f"--own_network {config.own_network} turns [2, {inputs}] into {list(shape[1:])}, not [2, {outputs}]."
        )
    return network


def _table_judge(view: View, codes: Codes, num_runs: int) -> TableJudge:
    observation_sizes = {agent: code.size for agent, code in codes.observations.items()}
    action_sizes = {agent: code.size for agent, code in codes.actions.items()}
    rows = math.prod(
        [*(observation_sizes[agent] for agent in view.observations_of), *(action_sizes[a] for a in view.actions_of)]
    )
    _check_table_size("discriminator", rows, num_runs)
    return TableJudge(Table(torch.zeros(num_runs, rows)), view, observation_sizes, action_sizes)


def _check_table_size(whose: str, rows: int, num_runs: int) -> None:
    if rows * num_runs > _MAX_TABLE_ROWS:
        raise InputError(
            f"A table for the {whose} needs {rows:,} numbers in each run, {rows * num_runs:,} in all; "
            f"expected at most {_MAX_TABLE_ROWS:,}."
        )


def _normalizers(codes: Codes, runs: Runs) -> dict[str, Normalizer]:
    return {agent: Normalizer(len(runs), code.size) for agent, code in codes.observations.items()}


def _streams(runs: Runs, *purpose: str) -> list[np.random.Generator]:
    return [stream(seed, *purpose) for seed in runs.seed.tolist()]
