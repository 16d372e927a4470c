"""Masks and shared networks of policies."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from magail_trainer.learn.agent_policies import NeuralPolicy, TabularPolicy
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.distributions import Categorical
from magail_trainer.learn.networks import Normalizer, Perceptron
from magail_trainer.learn.policies import IndependentPolicies
from magail_trainer.seeding import stream
from tests.magail_trainer.clock_env import generator

torch.set_num_threads(1)

JUST_BELOW_1 = 1 - 2**-24


def neural(actions: int, *, runs: int = 2) -> NeuralPolicy:
    network = Perceptron((3, actions), [stream(seed, "x") for seed in range(runs)], last_scale=2.0)
    return NeuralPolicy(network, Normalizer(runs, 3))


def of_policy(policy: nn.Module, seed: int, mask: Tensor | None) -> Categorical:
    """The distribution of ten samples in each of two runs, of features or of rows."""
    features = torch.randn(2, 10, 3, generator=generator(seed))
    if isinstance(policy, TabularPolicy):
        features = torch.randint(4, (2, 10), generator=generator(seed))
    return policy(features) if mask is None else policy(features, mask)


def some_mask(seed: int, actions: int) -> Tensor:
    """At least one action is allowed in each sample."""
    mask = torch.rand(2, 10, actions, generator=generator(seed)) < 0.5
    return mask.scatter(2, torch.randint(actions, (2, 10, 1), generator=generator(seed)), value=True)


@pytest.mark.parametrize("kind", ["table", "network"])
@given(seed=st.integers(0, 50), actions=st.integers(2, 5))
@settings(deadline=None, max_examples=15)
def test_a_mask_leaves_the_distribution_over_the_allowed_actions(kind: str, seed: int, actions: int) -> None:
    table = TabularPolicy(torch.randn(2, 4, actions, generator=generator(seed)))
    policy, mask = neural(actions) if kind == "network" else table, some_mask(seed, actions)
    free, masked = of_policy(policy, seed, None), of_policy(policy, seed, mask)
    kept = free.probs * mask
    expected = kept / kept.sum(-1, keepdim=True)
    torch.testing.assert_close(masked.probs, expected)
    assert not masked.probs[~mask].any()
    entropy = torch.distributions.Categorical(probs=expected).entropy()
    torch.testing.assert_close(masked.entropy(), entropy, atol=1e-5, rtol=1e-5)
    assert torch.equal(masked.mode(), expected.argmax(-1))
    drawn = masked.sample(torch.rand(2, 10, 1, generator=generator(seed)))
    assert mask.gather(2, drawn.unsqueeze(-1)).all()
    torch.testing.assert_close(masked.log_prob(drawn), expected.log().gather(2, drawn.unsqueeze(-1)).squeeze(-1))


def test_a_masked_policy_learns_from_allowed_actions_alone_and_its_gradient_is_finite() -> None:
    policy = TabularPolicy(torch.tensor([[[0.0, 1.0, 2.0]]]))
    masked = policy(torch.zeros(1, 1, dtype=torch.int64), torch.tensor([[[True, False, True]]]))
    (gradient,) = torch.autograd.grad((masked.entropy() + masked.log_prob(torch.tensor([[0]]))).sum(), policy.logits)
    assert gradient.isfinite().all()
    assert gradient[0, 0, 1] == 0
    assert gradient[0, 0, 0] > 0 > gradient[0, 0, 2]


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_forbidden_action_is_not_drawn_at_either_end_of_the_others(noise: float) -> None:
    forbidden = torch.tensor([[[0.0, 0.5, 0.0, 0.5, 0.0]]]).log()
    assert Categorical(forbidden).sample(torch.full((1, 1, 1), noise)).item() == (1 if noise < 0.5 else 3)


def test_a_forbidden_last_action_is_not_drawn_by_the_largest_noise() -> None:
    mask = torch.ones(1, 1, 12, dtype=torch.bool)
    mask[..., -1] = False
    for seed in range(30):
        policy = TabularPolicy(torch.randn(1, 1, 12, generator=generator(seed)))
        masked = policy(torch.zeros(1, 1, dtype=torch.int64), mask)
        assert masked.sample(torch.full((1, 1, 1), JUST_BELOW_1)).item() < 11


def test_agents_that_share_a_network_are_told_apart_by_their_identity() -> None:
    network = Perceptron((3 + 2 * (3 + 1), 4), [stream(0, "x")], last_scale=1.0)
    normalizer, identities = Normalizer(1, 3), torch.eye(2)
    shared: dict[str, nn.Module] = {
        name: NeuralPolicy(network, normalizer, identity=identities[index]) for index, name in enumerate("ab")
    }
    policies = IndependentPolicies(shared)
    features = torch.randn(1, 6, 3, generator=generator())
    out = policies({"a": features, "b": features})
    weight = network.weights[0][0]
    for index, agent in enumerate("ab"):
        of_all, bias, own = weight[:3], weight[3 + index], weight[5 + 3 * index : 8 + 3 * index]
        logits = features[0] @ (of_all + own / 2) + bias
        torch.testing.assert_close(out[agent].probs[0], logits.softmax(-1))  # type: ignore[attr-defined]
    assert len(list(policies.parameters())) == 2  # one network: its weights and biases


def test_a_shared_normaliser_is_fitted_to_what_all_its_agents_observe() -> None:
    normalizer, own = Normalizer(1, 1), Normalizer(1, 1)
    network = Perceptron((1, 2), [stream(0, "x")], last_scale=1.0)
    policies = IndependentPolicies(
        {
            "a": NeuralPolicy(network, normalizer),
            "b": NeuralPolicy(network, normalizer),
            "c": NeuralPolicy(network, own),
        }
    )
    observations = {"a": torch.zeros(1, 2, 1), "b": torch.full((1, 2, 1), 4.0), "c": torch.tensor([[[6.0], [8.0]]])}
    policies.fit_normalizers(Batch(observations, {}, torch.full((1, 2), 0.5)))
    assert (normalizer.mean.item(), normalizer.scale.item()) == (2, 0.5)
    assert (own.mean.item(), own.scale.item()) == (7, 1)


def test_masks_reach_the_agents_that_have_them() -> None:
    tables: dict[str, nn.Module] = {name: TabularPolicy(torch.zeros(1, 1, 2)) for name in "ab"}
    rows = torch.zeros(1, 1, dtype=torch.int64)
    out = IndependentPolicies(tables)({"a": rows, "b": rows}, {"b": torch.tensor([[[False, True]]])})
    probs = {agent: distribution.probs.flatten().tolist() for agent, distribution in out.items()}  # type: ignore[attr-defined]
    assert probs == {"a": [0.5, 0.5], "b": [0, 1]}
