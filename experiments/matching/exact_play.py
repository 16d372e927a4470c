"""The joint distribution of learned policies in a one-step game, computed exactly; agent i of N has A_i actions."""

import copy
import math
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from magail_trainer.learn.rollout import EnumeratedRollouts
from magail_trainer.learn.trainer import Trainer


@torch.no_grad()
def exact_joint(trainer: Trainer) -> np.ndarray:
    """The probability of every joint action in each run, `[R, A_1..A_N]` float64, for any class of policies.

    Computed in double precision, so that independent policies have no mutual information beyond rounding.

    Raises:
        InputError: the env has more than one observation or step.
    """
    sizes = [code.size for code in trainer.codes.finite_actions.values()]
    with closing(trainer.entry.make_vector(math.prod(sizes))) as vector_env:
        every_action = EnumeratedRollouts(vector_env, trainer.codes, num_runs=len(trainer.runs), device=trainer.device)
    weight = every_action.joint(_in_double(trainer.policies)).double().cpu().numpy()
    return (weight / weight.sum(axis=-1, keepdims=True)).reshape(-1, *sizes)


def _in_double(policies: Any) -> Any:
    """A copy with float64 parameters that takes float32 observations."""
    double: nn.Module = copy.deepcopy(policies).double()
    double.register_forward_pre_hook(lambda _, args: (_floats_in_double(args[0]), *args[1:]))
    return double


def _floats_in_double(observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {agent: values.double() if values.is_floating_point() else values for agent, values in observations.items()}
