"""Adam with one learning rate per run."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from magail_trainer.learn.state import copy_into


class RunAdam:
    """Adam (Kingma & Ba 2015, algorithm 1) with one learning rate per run.

    The updates are those of `torch.optim.Adam`, which has one learning rate per tensor, takes four times as long on
    small tables, and 1.3 CPU-seconds to import.

    Args:
        parameters: tensors with the runs R as their leading axis; they are updated in place.
        lr: `[R]`, the learning rate of each run.
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root of the latter.
        weight_decay: decoupled weight decay (Loshchilov & Hutter 2019).
        max_norm: maximum Euclidean norm of a run's gradient over all its parameters; 0 for no limit.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: Float[Tensor, " R"],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        max_norm: float = 0.0,
    ) -> None:
        self._parameters = list(parameters)
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._lr, self._betas, self._eps, self._steps = lr, betas, eps, 0
        self._weight_decay, self._max_norm = weight_decay, max_norm

    def state_dict(self) -> dict[str, Tensor]:
        """The number of steps and both running means of every parameter."""
        return {"steps": torch.tensor(self._steps), **self._running}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            KeyError: something is missing.
            ValueError: something has another shape or type, or there are fewer than no steps.
        """
        self._steps = int(state["steps"])
        if self._steps < 0:
            raise ValueError(f"it has taken {self._steps} steps")
        copy_into(self._running, state)

    @property
    def _running(self) -> dict[str, Tensor]:
        means = {f"mean/{number}": mean for number, mean in enumerate(self._means)}
        return means | {f"square/{number}": square for number, square in enumerate(self._squares)}

    def descend(self, loss: Float[Tensor, " R"], *, lr_scale: float = 1.0) -> None:
        """One gradient step on each run's own loss, at `lr_scale` times its learning rate."""
        # The sum keeps runs independent: no parameter of one run is in the loss of another.
        gradients = torch.autograd.grad(loss.sum(), self._parameters)
        if self._max_norm > 0:
            gradients = clip_per_run(gradients, self._max_norm)
        decay_mean, decay_square = self._betas
        self._steps += 1
        # Both running means start at zero; dividing by 1 - decay^t corrects for that.
        correct_mean, correct_root = 1 - decay_mean**self._steps, (1 - decay_square**self._steps) ** 0.5
        lr = self._lr if lr_scale == 1 else self._lr * lr_scale
        step_size = lr * (correct_root / correct_mean)
        with torch.no_grad():
            for parameter, gradient, mean, square in zip(
                self._parameters, gradients, self._means, self._squares, strict=True
            ):
                mean.lerp_(gradient, 1 - decay_mean)
                square.mul_(decay_square).addcmul_(gradient, gradient, value=1 - decay_square)
                direction = mean / square.sqrt().add_(self._eps * correct_root)
                if self._weight_decay > 0:
                    parameter.mul_(1 - self._weight_decay * _per_run(lr, parameter))
                parameter.sub_(direction.mul_(_per_run(step_size, parameter)))


def clip_per_run(gradients: Sequence[Tensor], max_norm: float) -> tuple[Tensor, ...]:
    """Scale each run's gradient, over all tensors `[R, ...]`, to a norm of at most `max_norm`.

    One norm for all runs would couple them and spread a NaN from one run to all.
    """
    square = torch.stack([gradient.square().reshape(len(gradient), -1).sum(1) for gradient in gradients]).sum(0)
    scale = (max_norm / (square.sqrt() + 1e-6)).clamp(max=1.0)
    return tuple(gradient * _per_run(scale, gradient) for gradient in gradients)


def _per_run(values: Float[Tensor, " R"], tensor: Float[Tensor, "R *rest"]) -> Float[Tensor, "R *ones"]:
    return values.view(-1, *[1] * (tensor.ndim - 1))
