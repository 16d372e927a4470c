"""RunAdam against torch's own Adam."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from magail_trainer.learn.optimizers import RunAdam, clip_per_run

torch.set_num_threads(1)

R = 5
SHAPES = [(R, 4, 1), (R, 3), (R,)]


def random_gradients(steps: int = 50) -> list[list[Tensor]]:
    """By step and parameter, of very different sizes, and some exactly 0."""
    generator = torch.Generator().manual_seed(0)
    gradients = []
    for _ in range(steps):
        sizes = 10 ** (torch.rand(R, generator=generator) * 12 - 9)  # from 1e-9, where Adam's eps matters, to 1e3
        step = [torch.randn(shape, generator=generator) for shape in SHAPES]
        step = [gradient * sizes.view(-1, *[1] * (gradient.ndim - 1)) for gradient in step]
        gradients.append([gradient * (torch.rand(gradient.shape, generator=generator) > 0.1) for gradient in step])
    return gradients


def initial() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def run_adam(gradients: list[list[Tensor]], lr: Tensor, *, lr_scale: float = 1.0, **settings: Any) -> list[Tensor]:
    parameters = initial()
    optimizer = RunAdam(parameters, lr, **settings)  # type: ignore[arg-type]
    for step in gradients:
        # A loss with these very gradients.
        terms = [
            (parameter * gradient).reshape(R, -1).sum(-1) for parameter, gradient in zip(parameters, step, strict=True)
        ]
        optimizer.descend(torch.stack(terms).sum(0), lr_scale=lr_scale)
    return [parameter.detach() for parameter in parameters]


@pytest.mark.parametrize("settings", [{}, {"betas": (0.5, 0.9), "eps": 1e-3}])
def test_equals_a_torch_adam_for_each_run_with_its_own_learning_rate(settings: dict[str, Any]) -> None:
    gradients, lr = random_gradients(), torch.tensor([0.01, 0.001, 0.3, 0.05, 1e-5])
    ours = run_adam(gradients, lr, **settings)
    for run in range(R):
        alone = [nn.Parameter(parameter.detach()[run : run + 1].clone()) for parameter in initial()]
        adam = torch.optim.Adam(alone, lr=lr[run].item(), **settings)  # type: ignore[arg-type]
        for step in gradients:
            for parameter, gradient in zip(alone, step, strict=True):
                parameter.grad = gradient[run : run + 1].clone()
            adam.step()
        for mine, theirs in zip(ours, alone, strict=True):
            torch.testing.assert_close(mine[run : run + 1], theirs.detach(), rtol=2e-6, atol=2e-6)


def test_the_first_step_is_the_learning_rate_whatever_the_gradient() -> None:
    parameter = nn.Parameter(torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
    RunAdam([parameter], torch.tensor([0.1, 0.2])).descend((parameter * torch.tensor([[5.0, -0.01], [9.0, 0]])).sum(-1))
    torch.testing.assert_close(parameter.detach(), torch.tensor([[0.9, 1.1], [0.8, 1.0]]))


def test_a_nan_in_one_run_leaves_the_others_bit_identical() -> None:
    lr, healthy = torch.full((R,), 0.01), random_gradients()
    broken = [[gradient.clone() for gradient in step] for step in healthy]
    for gradient in broken[10]:
        gradient[2] = torch.nan
    others = [0, 1, 3, 4]
    for ours, theirs in zip(run_adam(broken, lr), run_adam(healthy, lr), strict=True):
        assert ours[2].isnan().all()
        assert torch.equal(ours[others], theirs[others])


def test_clipping_and_decay_equal_torchs_adamw_and_clip_grad_norm_run_by_run() -> None:
    gradients, lr = random_gradients(30), torch.tensor([0.01, 0.001, 0.3, 0.05, 1e-5])
    ours = run_adam(gradients, lr, weight_decay=0.2, max_norm=0.5)
    clipped = 0
    for run in range(R):
        alone = [nn.Parameter(parameter.detach()[run : run + 1].clone()) for parameter in initial()]
        adam = torch.optim.AdamW(alone, lr=lr[run].item(), weight_decay=0.2)
        for step in gradients:
            for parameter, gradient in zip(alone, step, strict=True):
                parameter.grad = gradient[run : run + 1].clone()
            clipped += bool(nn.utils.clip_grad_norm_(alone, 0.5) > 0.5)
            adam.step()
        for mine, theirs in zip(ours, alone, strict=True):
            torch.testing.assert_close(mine[run : run + 1], theirs.detach(), rtol=5e-6, atol=5e-6)
    assert 20 < clipped < 30 * R - 20  # some were, and some were not


def test_clipping_by_hand_goes_over_all_parameters_of_a_run() -> None:
    clipped = clip_per_run([torch.tensor([[3.0], [0.3]]), torch.tensor([[4.0], [0.4]])], 1.0)
    torch.testing.assert_close(torch.cat(clipped, dim=1), torch.tensor([[0.6, 0.8], [0.3, 0.4]]))


@pytest.mark.parametrize("settings", [{"max_norm": 0.5, "weight_decay": 0.1}])
def test_a_nan_in_one_run_does_not_spread_through_the_norm(settings: dict[str, float]) -> None:
    lr, healthy = torch.full((R,), 0.01), random_gradients(20)
    broken = [[gradient.clone() for gradient in step] for step in healthy]
    broken[3][0][2] = torch.nan
    others = [0, 1, 3, 4]
    for ours, theirs in zip(run_adam(broken, lr, **settings), run_adam(healthy, lr, **settings), strict=True):
        assert ours[2].isnan().all()
        assert torch.equal(ours[others], theirs[others])


def test_the_scale_multiplies_the_learning_rate_the_decays_too() -> None:
    gradients, lr = random_gradients(10), torch.full((R,), 0.02)
    scaled = run_adam(gradients, lr, lr_scale=0.25, weight_decay=0.1)
    for ours, theirs in zip(scaled, run_adam(gradients, lr / 4, weight_decay=0.1), strict=True):
        assert torch.equal(ours, theirs)
    still = run_adam(gradients, lr, lr_scale=0.0, weight_decay=0.1)
    assert all(torch.equal(ours, start.detach()) for ours, start in zip(still, initial(), strict=True))
