"""Tables, perceptrons, stacked modules and normalisers, against the plain ones run by run."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from magail_trainer.learn.networks import Normalizer, Perceptron, StackedModules, Table
from magail_trainer.seeding import stream

torch.set_num_threads(1)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_a_table_gives_the_row_of_the_samples_own_run(runs: int, size: int, samples: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(runs, size, generator=generator)
    rows = torch.randint(size, (runs, samples), generator=generator)
    out = Table(values)(rows)
    for run in range(runs):
        for sample in range(samples):
            assert out[run, sample] == values[run, rows[run, sample]]


def test_a_table_learns_the_rows_that_were_looked_up_and_no_others() -> None:
    initial = torch.zeros(2, 3)
    table = Table(initial)
    loss = table(torch.tensor([[0, 0], [2, 1]])).sum()
    (gradient,) = torch.autograd.grad(loss, table.values)
    assert gradient.tolist() == [[2, 0, 0], [0, 1, 1]]
    initial.fill_(1)
    assert table.values.sum() == 0  # the table has its own copy


def perceptron(sizes: Sequence[int], runs: int, *, last_scale: float = 1.0) -> Perceptron:
    return Perceptron(sizes, [stream(seed, "x") for seed in range(runs)], last_scale=last_scale)


def plain_perceptron(network: Perceptron, run: int) -> nn.Sequential:
    """The same with torch's own layers."""
    layers: list[nn.Module] = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[2])
        linear.weight.data, linear.bias.data = weight[run].T.clone(), bias[run, 0].clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def some_features(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("sizes", [(3, 2), (3, 5, 2), (4, 6, 6, 1)])
def test_a_perceptron_is_a_plain_one_for_each_run_its_gradient_too(sizes: tuple[int, ...]) -> None:
    network, features = perceptron(sizes, 3), some_features(3, 7, sizes[0])
    with torch.no_grad():
        for bias in network.biases:
            bias.copy_(some_features(*bias.shape))
    out = network(features)
    gradients = torch.autograd.grad(out.square().sum(), list(network.weights))
    for run in range(3):
        plain = plain_perceptron(network, run)
        theirs = plain(features[run])
        torch.testing.assert_close(out[run], theirs)
        theirs.square().sum().backward()
        linears = [layer for layer in plain if isinstance(layer, nn.Linear)]
        for gradient, linear in zip(gradients, linears, strict=True):
            assert linear.weight.grad is not None
            torch.testing.assert_close(gradient[run].T, linear.weight.grad)


def test_weights_start_orthogonal_in_their_scale_and_biases_at_0() -> None:
    network = perceptron((3, 8, 8, 2), 2, last_scale=0.01)
    for weight, square in zip(network.weights, (2.0, 2.0, 0.0001), strict=True):
        wide = weight if weight.shape[1] <= weight.shape[2] else weight.mT
        product = torch.bmm(wide, wide.mT)
        torch.testing.assert_close(product, square * torch.eye(wide.shape[1]).expand_as(product), atol=1e-6, rtol=1e-5)
    assert not any(bias.any() for bias in network.biases)
    assert not torch.equal(network.weights[0][0], network.weights[0][1])
    assert not perceptron((3, 4), 1, last_scale=0.0).weights[0].any()


def test_a_runs_first_weights_are_its_own_whatever_the_company() -> None:
    alone = Perceptron((3, 4, 2), [stream(1, "x")], last_scale=1.0)
    for ours, theirs in zip(alone.parameters(), perceptron((3, 4, 2), 3).parameters(), strict=True):
        assert torch.equal(ours[0], theirs[1])


def test_stacked_modules_are_the_modules_one_by_one_gradient_too() -> None:
    torch.manual_seed(0)
    modules = [nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)) for _ in range(3)]
    stacked = StackedModules(modules)
    features = some_features(3, 5, 3)
    out = stacked(features)
    parameters = list(stacked.parameters())
    gradients = torch.autograd.grad(out.square().sum(), parameters)
    assert len(parameters) == 4
    for run, module in enumerate(modules):
        theirs = module(features[run])
        torch.testing.assert_close(out[run], theirs)
        slow = torch.autograd.grad(theirs.square().sum(), list(module.parameters()))
        for gradient, one in zip(gradients, slow, strict=True):
            torch.testing.assert_close(gradient[run], one)


def test_stacked_modules_refuse_buffers() -> None:
    with pytest.raises(ValueError, match="buffers"):
        StackedModules([nn.BatchNorm1d(3), nn.BatchNorm1d(3)])


def test_a_normaliser_fitted_by_hand() -> None:
    normalizer = Normalizer(2, 2)
    features = torch.tensor([[[0.0, 7.0], [4.0, 7.0], [99.0, 99.0]], [[1.0, 0.0], [1.0, 3.0], [1.0, 3.0]]])
    torch.testing.assert_close(normalizer(features / 10), features / 10)  # the identity before it is fitted
    normalizer.fit(features, torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]]))  # what pads has weight 0
    out = normalizer(features)
    # Run 0: mean 2 and deviation 2; a constant 7 stays in its unit. Run 1: a constant; mean 1.5, deviation 1.5.
    torch.testing.assert_close(out[0], torch.tensor([[-1.0, 0.0], [1.0, 0.0], [10.0, 10.0]]))  # 48.5 and 92 are cut off
    torch.testing.assert_close(out[1], torch.tensor([[0.0, -1.0], [0.0, 1.0], [0.0, 1.0]]))
    assert set(normalizer.state_dict()) == {"mean", "scale"}


def test_a_normaliser_keeps_the_runs_apart() -> None:
    features, weight = some_features(3, 6, 2), torch.full((3, 6), 1 / 6)
    healthy, broken = Normalizer(3, 2), Normalizer(3, 2)
    healthy.fit(features, weight)
    spoilt = features.clone()
    spoilt[1] = torch.nan
    broken.fit(spoilt, weight)
    for run in (0, 2):
        assert torch.equal(healthy(features)[run], broken(features)[run])


def test_a_perceptron_of_known_weights_by_hand() -> None:
    network = perceptron((2, 2, 1), 1)
    with torch.no_grad():
        network.weights[0].copy_(torch.tensor([[[1.0, -1.0], [2.0, 0.5]]]))
        network.biases[0].copy_(torch.tensor([[[0.5, 0.0]]]))
        network.weights[1].copy_(torch.tensor([[[3.0], [10.0]]]))
        network.biases[1].fill_(-1.0)
    # (1, 1) -> (1 + 2 + 0.5, -1 + 0.5) = (3.5, -0.5) -> (3.5, 0) -> 10.5 - 1
    np.testing.assert_allclose(network(torch.ones(1, 1, 2)).detach().numpy(), [[[9.5]]])
