"""Critics, and who shares a network with whom."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from magail_trainer.errors import InputError
from magail_trainer.learn.agent_policies import NeuralPolicy
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.critics import CentralisedCritic, DecentralisedCritics, make_critic
from magail_trainer.learn.discriminators import make_discriminator
from magail_trainer.learn.encoders import Codes, ContinuousSpace, FeatureSpace, FiniteSpace
from magail_trainer.learn.networks import Normalizer, Perceptron
from magail_trainer.learn.policies import make_policies, sharing_groups
from magail_trainer.seeding import stream
from tests.magail_trainer.clock_env import AGENTS, SMALL, clock, generator, seeded

torch.set_num_threads(1)


def five() -> Codes:
    """Two pairs of agents with the same spaces, and one of its own."""
    narrow, wide = FeatureSpace(Box(0, 1, (2,), np.float32), "x"), FeatureSpace(Box(0, 1, (3,), np.float32), "x")
    few, number = FiniteSpace(Discrete(3), "x"), ContinuousSpace(Box(0, 1, (3,), np.float32), "x")
    return Codes(
        {"a": narrow, "b": wide, "c": narrow, "d": wide, "e": narrow},
        {"a": few, "b": few, "c": few, "d": few, "e": number},
    )


@pytest.mark.parametrize(
    ("share", "groups"),
    [
        ("none", ["a", "b", "c", "d", "e"]),
        ("auto", ["ac", "bd", "e"]),
        ("a,c", ["ac", "b", "d", "e"]),
        ("c,a:d,b", ["ca", "db", "e"]),
        ("a:c", ["a", "c", "b", "d", "e"]),
    ],
)
def test_groups(share: str, groups: list[str]) -> None:
    assert sharing_groups(five(), MagailConfig(network="mlp", share_parameters=share)) == [
        list(group) for group in groups
    ]
    assert sharing_groups(Codes.of(clock(), network="mlp"), replace(SMALL, share_parameters="all")) == [["a", "b"]]


@pytest.mark.parametrize(
    ("share", "message"),
    [
        ("all", "a and b cannot share parameters: what they see or do differs."),
        ("c,e", "c and e cannot share parameters: what they see or do differs."),
        (
            "a,f",
            "--share_parameters names 'f'; expected auto, none, all, or each of a, b, c, d, e at most once, "
            "such as a,b.",
        ),
        (
            "a,c:c",
            "--share_parameters names 'c'; expected auto, none, all, or each of a, b, c, d, e at most once, "
            "such as a,b.",
        ),
        (
            "a,,c",
            "--share_parameters names ''; expected auto, none, all, or each of a, b, c, d, e at most once, "
            "such as a,b.",
        ),
    ],
)
def test_groups_that_make_no_sense_are_refused_in_one_sentence(share: str, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        sharing_groups(five(), MagailConfig(network="mlp", share_parameters=share))
    assert str(refusal.value) == message


def test_agents_of_a_group_have_one_network_and_the_env_its_order() -> None:
    config = replace(SMALL, share_parameters="c,a")
    policies = make_policies(five(), seeded(0, 1), config)
    networks = {agent: policy.network for agent, policy in policies.policies.items()}
    assert policies.agents == list("abcde")
    assert networks["a"] is networks["c"]
    assert len({id(network) for network in networks.values()}) == 4
    assert policies.policies["c"].identity.tolist() == [1, 0]  # type: ignore[union-attr]
    assert policies.policies["a"].identity.tolist() == [0, 1]  # type: ignore[union-attr]
    assert policies.policies["b"].identity is None
    assert policies.noise_sizes == [1, 1, 1, 1, 3]
    out = policies({agent: torch.zeros(2, 4, code.size) for agent, code in five().observations.items()})
    assert out["a"].entropy().shape == (2, 4)


def test_perceptrons_start_near_uniform_or_uniform() -> None:
    codes, features = Codes.of(clock(), network="mlp"), torch.randn(2, 50, 3, generator=generator())
    observations = dict.fromkeys(AGENTS, features)
    near = make_policies(codes, seeded(0, 1), SMALL)(observations)["a"].probs  # type: ignore[attr-defined]
    assert 0 < (near - 1 / 3).abs().max() < 0.02
    uniform = make_policies(codes, seeded(0, 1), replace(SMALL, policy_init_uniform=True))(observations)["a"]
    torch.testing.assert_close(uniform.probs, torch.full((2, 50, 3), 1 / 3))  # type: ignore[attr-defined]


@pytest.mark.parametrize("share", ["auto", "none"])
@pytest.mark.parametrize("critic", ["centralised", "decentralised"])
def test_more_runs_do_not_change_the_first_parameters_of_any(share: str, critic: str) -> None:
    config = replace(SMALL, share_parameters=share, critic=critic, discriminator="per_agent")
    codes = Codes.of(clock(), network="mlp")
    many = seeded(5, 0, 9, 2)
    for make in (make_policies, make_discriminator, make_critic):
        alone, together = make(codes, seeded(9), config), make(codes, many, config)
        assert alone is not None
        assert together is not None
        for (name, ours), (other, theirs) in zip(alone.named_parameters(), together.named_parameters(), strict=True):
            assert name == other
            assert torch.equal(ours[0], theirs[2])
            assert not ours.any() or not torch.equal(theirs[0], theirs[2])


def test_networks_of_one_run_start_differently() -> None:
    codes = Codes.of(clock(), network="mlp")
    policies = make_policies(codes, seeded(0), replace(SMALL, share_parameters="none"))
    a, b = (policy.network.weights[0] for policy in policies.policies.values())  # type: ignore[union-attr, index]
    assert not torch.equal(a, b)
    judges = make_discriminator(codes, seeded(0), replace(SMALL, discriminator="per_agent")).judges
    a, b = (judge.network.weights[0] for judge in judges.values())  # type: ignore[union-attr, index]
    assert not torch.equal(a, b)


def observed() -> dict[str, torch.Tensor]:
    return {"a": torch.randn(2, 5, 3, generator=generator(1)), "b": torch.randn(2, 5, 3, generator=generator(2))}


def test_a_centralised_critic_sees_all_and_has_a_value_for_each_agent() -> None:
    critic = CentralisedCritic(
        Perceptron((6, 2), [stream(0, "x"), stream(1, "x")], last_scale=1.0),
        {agent: Normalizer(2, 3) for agent in AGENTS},
    )
    out, weight = critic(observed()), critic.network.weights[0]  # type: ignore[union-attr, index]
    by_hand = torch.bmm(torch.cat(list(observed().values()), dim=-1), weight)  # type: ignore[arg-type]
    torch.testing.assert_close(out["a"], by_hand[..., 0])
    torch.testing.assert_close(out["b"], by_hand[..., 1])
    # The order of the dict that comes in does not matter.
    torch.testing.assert_close(critic(dict(reversed(observed().items())))["b"], out["b"])


def test_decentralised_critics_see_their_own_observation() -> None:
    critics = make_critic(Codes.of(clock(), network="mlp"), seeded(0, 1), replace(SMALL, critic="decentralised"))
    assert isinstance(critics, DecentralisedCritics)
    out = critics(observed())
    changed = critics({**observed(), "b": torch.zeros(2, 5, 3)})
    assert torch.equal(out["a"], changed["a"])
    assert not torch.equal(out["b"], changed["b"])
    assert out["a"].shape == (2, 5)


def test_there_is_a_critic_only_where_one_is_asked_for() -> None:
    assert make_critic(Codes.of(clock(), network="mlp"), seeded(0), replace(SMALL, critic="none")) is None


def test_policies_of_an_mlp_are_neural() -> None:
    policies = make_policies(Codes.of(clock(continuous=True), network="mlp"), seeded(0, 1), SMALL)
    for policy in policies.policies.values():
        assert isinstance(policy, NeuralPolicy)
        assert policy.log_std is not None
        assert policy.log_std.shape == (2, 1, 1)
