"""Adam with the runs as an axis."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RunAdam:
    """Adam (Kingma & Ba 2015, algorithm 1) with one learning rate per run.

    `torch.optim.Adam` has one learning rate for a whole tensor, and for tensors as small as a table most of its time
    goes into its own bookkeeping: it takes four times as long, and 1.3 CPU-seconds to import. The updates are the same.

    Args:
        parameters: tensors with the runs R as their leading axis; they are updated in place.
        lr: the learning rate of each run, `[R]`.
        betas: decay of the running mean of the gradient and of its square.
        eps: added to the root of the latter.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: Float[Tensor, " R"],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self._parameters = list(parameters)
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._lr, self._betas, self._eps, self._steps = lr, betas, eps, 0

    def descend(self, loss: Float[Tensor, " R"]) -> None:
        """One step down the gradient of each run's own loss."""
        # The sum over runs keeps them apart: no parameter of one run is in the loss of another.
        gradients = torch.autograd.grad(loss.sum(), self._parameters)
        decay_mean, decay_square = self._betas
        self._steps += 1
        # Both running means start at zero; dividing by 1 - decay^t corrects for that.
        correct_mean, correct_root = 1 - decay_mean**self._steps, (1 - decay_square**self._steps) ** 0.5
        step_size = self._lr * (correct_root / correct_mean)
        with torch.no_grad():
            for parameter, gradient, mean, square in zip(
                self._parameters, gradients, self._means, self._squares, strict=True
            ):
                mean.lerp_(gradient, 1 - decay_mean)
                square.mul_(decay_square).addcmul_(gradient, gradient, value=1 - decay_square)
                direction = mean / square.sqrt().add_(self._eps * correct_root)
                parameter.sub_(direction.mul_(step_size.view(-1, *[1] * (parameter.ndim - 1))))
