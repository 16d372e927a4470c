"""From the name of an environment to the environment: `module:namespace/name-v0`, `module.with.parallel_env`, …"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pettingzoo
from pettingzoo import ParallelEnv
from pettingzoo.env_registry.exceptions import PettingZooRegistryError

from magail_trainer.errors import InputError
from magail_trainer.vector_env import ParallelEnvCopies, VectorEnv

EXPECTED = (
    "expected an id registered with PettingZoo, with its module in front where it must be imported first "
    "(coordination_env:coordination/matching-v0), a module with parallel_env (mpe2.simple_spread_v3), "
    "or module:callable"
)


@dataclass(frozen=True)
class EnvEntry:
    """An environment that can be made any number of times, one copy or many."""

    id: str
    """The name under which datasets and runs remember it."""
    make_parallel: Callable[..., ParallelEnv]
    kwargs: dict[str, Any] = field(default_factory=dict)
    module: ModuleType | None = None
    """The module of `make_parallel`; `vector_env` and `EXPERTS` are looked up there."""

    def make(self) -> ParallelEnv:
        """One copy.

        Raises:
            InputError: the environment refuses the arguments, or is not a `ParallelEnv`.
        """
        env = self._call(self.make_parallel)
        if not isinstance(env, ParallelEnv):
            raise InputError(f"{self.id} makes a {type(env).__name__}; expected a PettingZoo ParallelEnv.")
        return env

    @property
    def has_native_vector_env(self) -> bool:
        """Whether the module offers `vector_env(num_envs, ...)` beside its `parallel_env(...)`."""
        return (
            self.module is not None
            and hasattr(self.module, "vector_env")
            and self.make_parallel is getattr(self.module, "parallel_env", None)
        )

    def make_vector(self, num_envs: int) -> VectorEnv:
        """Many copies at once: the module's own vector env where it has one, else copies stepped one by one."""
        if self.has_native_vector_env:
            assert self.module is not None
            return self._call(self.module.vector_env, num_envs)
        return ParallelEnvCopies(self.make, num_envs)

    def _call(self, factory: Callable[..., Any], *args: Any) -> Any:
        try:
            return factory(*args, **self.kwargs)
        except (TypeError, ValueError, AssertionError) as error:
            raise InputError(f"{self.id} cannot be made with {self.kwargs}: {error}") from error

    @property
    def experts(self) -> dict[str, Callable[..., Any]]:
        """The joint policies that the env's module offers: name -> factory(env, **arguments)."""
        return dict(getattr(self.module, "EXPERTS", {}))


def resolve(env_id: str, kwargs: dict[str, Any] | None = None) -> EnvEntry:
    """Find an environment by its name.

    Args:
        env_id: a PettingZoo registry id, with `module:` in front to import that first; a module that has
            `parallel_env`; or `module:callable`.
        kwargs: the arguments to make it with.

    Raises:
        InputError: there is no such module, id or callable.
    """
    kwargs = kwargs or {}
    module_name, colon, name = env_id.rpartition(":")
    if colon:
        module = _import(module_name, env_id)
        if callable(getattr(module, name, None)):
            return EnvEntry(env_id, getattr(module, name), kwargs, module)
        return _registered(env_id, module_name, name, kwargs)
    try:
        return _registered(env_id, "", env_id, kwargs)
    except InputError:
        if "/" in env_id:
            raise
    module = _import(env_id, env_id)
    if not hasattr(module, "parallel_env"):
        raise InputError(f"The module {env_id!r} has no parallel_env: {EXPECTED}.")
    return EnvEntry(env_id, module.parallel_env, kwargs, module)


def _import(module_name: str, env_id: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except (ImportError, ValueError, TypeError) as error:
        raise InputError(f"{env_id!r} names no environment ({error}): {EXPECTED}.") from error


def _registered(env_id: str, module_name: str, registry_id: str, kwargs: dict[str, Any]) -> EnvEntry:
    try:
        spec = pettingzoo.spec("parallel", registry_id)
    except PettingZooRegistryError as error:
        hint = str(error).partition(" Available environments")[0].strip().rstrip(".")  # there are dozens
        raise InputError(f"{env_id!r} names no environment ({hint}): {EXPECTED}.") from error
    entry_point = spec.entry_point
    if isinstance(entry_point, str):
        entry_module, _, attribute = entry_point.partition(":")
        module = _import(entry_module, env_id)
        make = getattr(module, attribute)
    else:
        assert callable(entry_point)
        make, module = entry_point, importlib.import_module(entry_point.__module__)
    cycles = {} if spec.max_cycles is None else {"max_cycles": spec.max_cycles}
    canonical = f"{module_name}:{spec.id}" if module_name else spec.id
    return EnvEntry(canonical, make, {**cycles, **spec.kwargs, **kwargs}, module)
