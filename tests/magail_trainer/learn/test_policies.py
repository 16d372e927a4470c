"""Distributions and policies: exact draws, and torch's own Categorical as the slow twin."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from magail_trainer.learn.agent_policies import TabularPolicy
from magail_trainer.learn.distributions import Categorical
from magail_trainer.learn.policies import IndependentPolicies

torch.set_num_threads(1)

shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6))  # R, S, A, B


def random_case(shape: tuple[int, int, int, int], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities `[R, S, A]`, rows and actions `[R, B]`."""
    generator = torch.Generator().manual_seed(seed)
    runs, rows, actions, samples = shape
    log_probs = (2 * torch.randn(runs, rows, actions, generator=generator)).log_softmax(-1)
    pick = torch.randint(rows, (runs, samples), generator=generator)
    return log_probs, pick, torch.randint(actions, (runs, samples), generator=generator)


@given(shapes, st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_agrees_with_torchs_categorical_in_every_sample(shape: tuple[int, int, int, int], seed: int) -> None:
    log_probs, rows, actions = random_case(shape, seed)
    ours = Categorical(log_probs, rows)
    runs, _, _, samples = shape
    log_prob, entropy = ours.log_prob(actions), ours.entropy()
    for run in range(runs):
        for sample in range(samples):
            theirs = torch.distributions.Categorical(logits=log_probs[run, rows[run, sample]])
            torch.testing.assert_close(ours.probs[run, sample], theirs.probs)
            torch.testing.assert_close(log_prob[run, sample], theirs.log_prob(actions[run, sample]))
            torch.testing.assert_close(entropy[run, sample], theirs.entropy())


def test_draws_where_the_cumulative_distribution_passes_the_noise() -> None:
    log_probs = torch.tensor([[[0.25, 0.5, 0.25], [0.0, 1.0, 0.0]]]).log()
    noise = torch.tensor([[0.0, 0.2499, 0.25, 0.7499, 0.75, 0.9999, 0.0, 0.9999]]).unsqueeze(-1)
    rows = torch.tensor([[0, 0, 0, 0, 0, 0, 1, 1]])
    assert Categorical(log_probs, rows).sample(noise).tolist() == [[0, 0, 1, 1, 2, 2, 1, 1]]


def test_draws_each_action_as_often_as_its_probability_says() -> None:
    size = 40_000
    probs = torch.tensor([[[0.1, 0.2, 0.7]], [[0.5, 0.0, 0.5]]])
    rows = torch.zeros(2, size, dtype=torch.int64)
    drawn = Categorical(probs.log(), rows).sample(torch.rand(2, size, 1, generator=torch.Generator().manual_seed(0)))
    frequencies = torch.stack([(drawn == action).double().mean(-1) for action in range(3)], dim=-1)
    standard_error = (probs * (1 - probs) / size).sqrt().squeeze(1)
    assert ((frequencies - probs.squeeze(1)).abs() <= 4 * standard_error).all()


def test_every_run_has_its_own_distributions() -> None:
    log_probs = torch.tensor([[[1.0, 1e-9]], [[1e-9, 1.0]]]).log()
    assert Categorical(log_probs, torch.zeros(2, 1, dtype=torch.int64)).sample(torch.full((2, 1, 1), 0.5)).tolist() == [
        [0],
        [1],
    ]


def test_entropy_of_a_nearly_certain_policy_and_its_gradient_are_finite() -> None:
    policy = TabularPolicy(torch.tensor([[[300.0, 0.0]]]))
    entropy = policy(torch.zeros(1, 1, dtype=torch.int64)).entropy()
    (gradient,) = torch.autograd.grad(entropy.sum(), policy.logits)
    assert entropy.item() == 0
    assert gradient.isfinite().all()


def test_the_gradient_of_the_entropy_by_hand() -> None:
    policy = TabularPolicy(torch.tensor([[[0.0, math.log(3)]]]))
    (gradient,) = torch.autograd.grad(policy(torch.zeros(1, 1, dtype=torch.int64)).entropy().sum(), policy.logits)
    # dH/dx_i = -p_i (log p_i + H)
    probs = [1 / 4, 3 / 4]
    entropy = -sum(p * math.log(p) for p in probs)
    torch.testing.assert_close(gradient, torch.tensor([[[-p * (math.log(p) + entropy) for p in probs]]]))


def test_a_tabular_policy_is_the_softmax_of_its_row_and_copies_what_it_starts_from() -> None:
    initial = torch.tensor([[[0.0, math.log(3)], [0.0, 0.0]]])
    policy = TabularPolicy(initial)
    initial.fill_(7)
    probs = policy(torch.tensor([[1, 0, 1]])).probs
    torch.testing.assert_close(probs, torch.tensor([[[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]]]))


def test_independent_policies_give_each_agent_its_own_observations_in_order() -> None:
    tables: dict[str, nn.Module] = {
        "walker": TabularPolicy(torch.tensor([[[9.0, 0.0], [0.0, 9.0]]])),
        "agent": TabularPolicy(torch.tensor([[[0.0, 0.0, 9.0]]])),
    }
    policies = IndependentPolicies(tables)
    out = policies({"agent": torch.tensor([[0]]), "walker": torch.tensor([[1]])})
    assert policies.agents == list(out) == ["walker", "agent"]
    assert {agent: distribution.probs.argmax(-1).item() for agent, distribution in out.items()} == {
        "walker": 1,
        "agent": 2,
    }
    assert len(list(policies.parameters())) == 2
