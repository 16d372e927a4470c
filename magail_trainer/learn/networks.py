"""Run-stacked networks: the leading axis of every parameter is the runs R, so that R networks train as one."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from magail_trainer.errors import InputError
from magail_trainer.importing import import_callable
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.config import PoliciesConfig
from magail_trainer.learn.encoders import Codes, FiniteSpace

_MAX_TABLE_ROWS = 10_000_000
_CONSTANT = 1e-3  # features with a smaller std count as constant


class Table(nn.Module):
    """Maps row numbers `[R, B]` to outputs `[R, B]`.

    Args:
        initial: `[R, S]` initial outputs of the S rows.
    """

    def __init__(self, initial: Float[Tensor, "R S"]) -> None:
        super().__init__()
        self.values = nn.Parameter(initial.clone())

    def forward(self, rows: Int[Tensor, "R B"]) -> Float[Tensor, "R B"]:
        """Look up `rows`."""
        return self.values.gather(1, rows)


class Perceptron(nn.Module):
    """R multi-layer perceptrons with ReLU: `[R, B, I]` features to `[R, B, O]` outputs.

    Weights start orthogonal (Saxe et al. 2014), scaled by √2 before a ReLU and by `last_scale` in the last layer;
    biases start at 0.

    Args:
        sizes: I, the widths of the hidden layers, O.
        streams: the random stream of each run.
        last_scale: small for a policy, which then starts near uniform.
    """

    def __init__(self, sizes: Sequence[int], streams: Sequence[np.random.Generator], *, last_scale: float) -> None:
        super().__init__()
        scales = [2**0.5] * (len(sizes) - 2) + [last_scale]
        layers = list(zip(sizes[:-1], sizes[1:], scales, strict=True))
        self.weights = nn.ParameterList(
            torch.from_numpy(np.stack([scale * _orthogonal(rng, rows, columns) for rng in streams]))
            for rows, columns, scale in layers
        )
        self.biases = nn.ParameterList(torch.zeros(len(streams), 1, columns) for _, columns, _ in layers)

    def forward(self, features: Float[Tensor, "R B I"]) -> Float[Tensor, "R B O"]:
        """Apply each run's network to its samples."""
        # Samples come last inside: products with few rows are several times faster than products with few columns,
        # and the last layer has few outputs.
        values = features.mT
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.baddbmm(bias.mT, weight.mT, values if layer == 0 else values.relu())
        return values.mT


class StackedModules(nn.Module):
    """A user's own network, one copy per run: `[R, B, ...]` to `[R, B, ...]` through plain modules `[B, ...]`.

    Parameters are stacked along the runs and the module is called functionally (`torch.func`). Modules with buffers
    or dropout are not supported.

    Args:
        modules: one per run, identical except for the values of their parameters.

    Raises:
        ValueError: the modules have buffers.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        if list(modules[0].buffers()):
            raise ValueError("A module with buffers cannot be stacked along the runs; expected parameters alone.")
        self._names = [name for name, _ in modules[0].named_parameters()]
        stacked = torch.func.stack_module_state(list(modules))[0]
        self.stacked = nn.ParameterList(stacked[name].detach() for name in self._names)
        self._one = [modules[0]]  # in a list, so that its own parameters are not registered here

    def forward(self, features: Tensor) -> Tensor:
        """Apply each run's module to its samples."""
        parameters = dict(zip(self._names, self.stacked, strict=True))
        return torch.func.vmap(lambda one, batch: torch.func.functional_call(self._one[0], one, (batch,)))(
            parameters, features
        )


class Normalizer(nn.Module):
    """Standardises features per run; the identity until it is fitted.

    The statistics come from the demonstrations, or else from the first rollout, and then stay fixed, so that they never
    change a policy.

    Args:
        num_runs: R
        size: O
    """

    def __init__(self, num_runs: int, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_runs, 1, size))
        self.register_buffer("scale", torch.ones(num_runs, 1, size))
        self.mean: Tensor
        self.scale: Tensor

    @torch.no_grad()
    def fit(self, features: Float[Tensor, "R B O"], weight: Float[Tensor, "R B"]) -> None:
        """Fit the weighted mean and std of each feature; constant features keep their scale."""
        weight = weight.unsqueeze(-1)
        self.mean = (weight * features).sum(1, keepdim=True)
        deviation = (weight * (features - self.mean).square()).sum(1, keepdim=True).sqrt()
        self.scale = torch.where(deviation < _CONSTANT, torch.ones_like(deviation), 1 / deviation.clamp(min=_CONSTANT))

    def forward(self, features: Float[Tensor, "R B O"]) -> Float[Tensor, "R B O"]:
        """Standardise and clip to ±10."""
        return ((features - self.mean) * self.scale).clamp(-10, 10)


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> Float[np.ndarray, "{rows} {columns}"]:
    normal = rng.standard_normal((max(rows, columns), min(rows, columns)))
    basis, triangle = np.linalg.qr(normal)
    basis = basis * np.sign(np.diag(triangle))  # makes it uniform over the orthogonal matrices
    return np.ascontiguousarray(basis if rows >= columns else basis.T, dtype=np.float32)


def make_network(
    inputs: int, outputs: int, streams: Sequence[np.random.Generator], config: PoliciesConfig, *, last_scale: float
) -> nn.Module:
    """A perceptron for each run, `[R, B, inputs]` to `[R, B, outputs]`, or the user's own network.

    `--network module:callable` names a function like this one:

        def two_layers(inputs, outputs):
            return nn.Sequential(nn.Linear(inputs, 32), nn.Tanh(), nn.Linear(32, outputs))

    Args:
        inputs: number of features.
        outputs: number of outputs.
        streams: the random stream of each run.
        config: `hidden`, and `network`.
        last_scale: see `Perceptron`.

    Raises:
        InputError: the user's network cannot be made, or has other shapes.
    """
    if ":" not in config.network:
        return Perceptron((inputs, *config.hidden, outputs), streams, last_scale=last_scale)
    factory, modules = import_callable(config.network, what="--network"), []
    try:
        with torch.random.fork_rng(devices=[]):
            for rng in streams:  # torch initialises from its global state on the CPU alone
                torch.default_generator.manual_seed(int(rng.integers(2**63)))
                modules.append(factory(inputs, outputs))
                if not isinstance(modules[-1], nn.Module):
                    kind = type(modules[-1]).__name__
                    raise InputError(f"--network {config.network} makes a {kind}; expected a torch module.")
        network = StackedModules(modules)
        shape = tuple(network(torch.zeros(len(streams), 2, inputs)).shape)
    except InputError:
        raise
    except Exception as error:  # user code may raise anything
        raise InputError(f"--network {config.network} cannot be used: {error}") from error
    if shape != (len(streams), 2, outputs):
        raise InputError(f"--network {config.network} turns [2, {inputs}] into {list(shape[1:])}, not [2, {outputs}].")
    return network


def check_table_size(owner: str, rows: int, *, num_runs: int) -> None:
    """Refuse a table that is too large for memory.

    Raises:
        InputError: it has more than ten million entries over all runs.
    """
    if rows * num_runs > _MAX_TABLE_ROWS:
        raise InputError(
            f"A table for the {owner} needs {rows:,} numbers in each run, {rows * num_runs:,} in all; "
            f"expected at most {_MAX_TABLE_ROWS:,}."
        )


def make_normalizers(codes: Codes, num_runs: int) -> dict[str, Normalizer]:
    """A normaliser for each agent's observations.

    Raises:
        InputError: the observations are encoded for tables.
    """
    if any(isinstance(code, FiniteSpace) for code in codes.observations.values()):
        raise InputError(
            "Tables number their observations, which have no features to normalise: it needs --network mlp."
        )
    return {agent: Normalizer(num_runs, code.size) for agent, code in codes.observations.items()}


def fit_normalizers(module: nn.Module, batch: Batch) -> None:
    """Fit the `normalizers` (by agent) in every part of a discriminator or critic to the agents' observations."""
    for part in module.modules():
        for agent, normalizer in getattr(part, "normalizers", {}).items():
            cast(Normalizer, normalizer).fit(batch.observations[agent], batch.weight_of(agent))
