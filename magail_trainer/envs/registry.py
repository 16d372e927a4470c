"""From the name of an environment to the environment: `module:namespace/name-v0`, `module.with.parallel_env`, …

`vmas:simple_spread` and the like name the scenarios of VMAS; see `envs.vmas`.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import ModuleType
from typing import Any

import pettingzoo
from gymnasium.spaces import Space
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.env_registry.exceptions import PettingZooRegistryError
from pettingzoo.utils import aec_to_parallel

from magail_trainer.envs.checked_vector_env import CheckedVectorEnv
from magail_trainer.envs.description import describe_env, name_env
from magail_trainer.envs.env_calls import EnvCall, close_env
from magail_trainer.envs.env_copy import Spaces, ask_spaces
from magail_trainer.envs.flatten_observations import plain
from magail_trainer.envs.observations import short
from magail_trainer.envs.processes import ProcessVectorEnv
from magail_trainer.envs.spaces import describe_space
from magail_trainer.envs.time_limit import TimeLimit
from magail_trainer.envs.vector_env import ParallelEnvCopies, VectorEnv, check_same_spaces
from magail_trainer.errors import EnvError, InputError, in_one_line, with_arguments
from magail_trainer.importing import import_named

EXPECTED = (
    "expected an id registered with PettingZoo, with its module in front where it must be imported first "
    "(coordination_env:coordination/matching-v0), a module with parallel_env (mpe2.simple_spread_v3), "
    "module:callable, or vmas:scenario"
)


@dataclass(frozen=True)
class EnvEntry:
    """An environment: what it is, and how one copy or many are made.

    Its agents and spaces are taken from one copy, which is made when they are first asked for and closed again.

    Raises:
        InputError: that copy cannot be made; see `make`.
    """

    id: str
    """The name under which datasets and runs remember it."""
    make_parallel: Callable[..., Any]
    kwargs: dict[str, Any] = field(default_factory=dict)
    module: ModuleType | None = None
    """The module of `make_parallel`; `vector_env` and `EXPERTS` are looked up there."""
    make_native: Callable[..., VectorEnv] | None = None
    """Called with the number of copies and `kwargs`, in place of the module's `vector_env`."""
    max_episode_steps: int | None = None
    """Where episodes are cut off, if the env does not end them before. Its native vector env, which cannot be cut off,
    is then not used."""
    timeout: float | None = None
    """Seconds that a worker process has for a reset or a step; see `ProcessVectorEnv`."""
    _said: set[str] = field(default_factory=set, repr=False, compare=False)
    """The agents whose observations were said to leave their space."""

    def limited(self, *, max_episode_steps: Any = None, timeout: float | None = None) -> "EnvEntry":
        """This env with limits of time; None leaves a limit as it is.

        Args:
            max_episode_steps: cut episodes off after so many steps; a whole number, checked here, for files hold some.
            timeout: seconds that a worker process has for a reset or a step. With it there is always one.

        Raises:
            InputError: a limit is not above 0.
        """
        limits: dict[str, Any] = {}
        if max_episode_steps is not None:
            if not isinstance(max_episode_steps, int) or max_episode_steps < 1:
                raise InputError(f"max_episode_steps must be a whole number of at least 1, not {max_episode_steps!r}.")
            limits["max_episode_steps"] = max_episode_steps
        if timeout is not None:
            if not timeout > 0:
                raise InputError(f"The timeout must be a number of seconds above 0, not {timeout}.")
            limits["timeout"] = timeout
        return replace(self, **limits) if limits else self

    @property
    def description(self) -> dict[str, Any]:
        """What the env is, as plain JSON, for `config.json` and manifests."""
        return describe_env(self.id, self.kwargs, self.max_episode_steps)

    @property
    def name(self) -> str:
        """The env in error messages: its id and arguments."""
        return f"{self.id}{with_arguments(self.kwargs)}"

    @property
    def possible_agents(self) -> list[str]:
        """The agents, in the env's order."""
        return list(self._spaces)

    def observation_space(self, agent: str) -> Space:
        """What an agent observes: the plain observations of `flatten_observations`."""
        return self._spaces[agent][0]

    def action_space(self, agent: str) -> Space:
        """What an agent plays."""
        return self._spaces[agent][1]

    def describe_spaces(self) -> dict[str, dict[str, Any]]:
        """`{agent: {"observation": ..., "action": ...}}` as plain JSON, in the order of the agents.

        Raises:
            InputError: the values of a space are not plain arrays.
        """
        described = {}
        for agent, spaces in self._spaces.items():
            described[agent] = {}
            for what, space in zip(("observation", "action"), spaces, strict=True):
                try:
                    described[agent][what] = describe_space(space)
                except InputError as error:
                    raise InputError(f"The {what} space of {agent} is {short(space)}. {error}") from error
        return described

    @cached_property
    def _spaces(self) -> Spaces:
        with self._one_copy() as env:
            return ask_spaces(env, self.name)

    @contextmanager
    def opened(self) -> Iterator[ParallelEnv]:
        """One copy to look at, closed in the end; what the entry does not know yet, it takes from this one.

        Raises:
            InputError: see `make`.
        """
        with self._one_copy() as env:
            self.__dict__.setdefault("_spaces", ask_spaces(env, self.name))
            yield env

    @contextmanager
    def _one_copy(self) -> Iterator[ParallelEnv]:
        env = self.make()
        try:
            yield env
        except BaseException:
            self._close_refused(env)
            raise
        close_env(env, self.name, begun=False)

    def _close_refused(self, env: Any) -> None:
        """Close an env that is not used; what was wrong before is what is said."""
        with suppress(EnvError):
            close_env(env, self.name, begun=False)

    def make(self) -> ParallelEnv:
        """One copy, with plain observations (`flatten_observations`); to be closed by the caller.

        An AEC env whose agents act at the same time is made parallel.

        Raises:
            InputError: the environment refuses the arguments.
            EnvError: it raises an error, is turn-based, or is no PettingZoo env.
        """
        env = self._call(self.make_parallel)
        try:
            with EnvCall(self.name, "when it was made"):
                env = self._as_parallel(env)
                ask_spaces(env, self.name)  # some envs know them only once they have been reset
                made = plain(env)
                return made if self.max_episode_steps is None else TimeLimit(made, self.max_episode_steps)
        except BaseException:
            self._close_refused(env)
            raise

    def _as_parallel(self, env: Any) -> ParallelEnv:
        if isinstance(env, AECEnv):
            if not env.metadata.get("is_parallelizable"):
                raise EnvError(
                    f"{self.id} is turn-based (its metadata does not say is_parallelizable); "
                    "expected an env whose agents act at the same time."
                )
            env = aec_to_parallel(env)
        if not isinstance(env, ParallelEnv):
            raise EnvError(f"{self.id} makes a {type(env).__name__}; expected a PettingZoo ParallelEnv.")
        return env

    @property
    def has_native_vector_env(self) -> bool:
        """Whether there is a `make_native`, or the module has `vector_env(num_envs, ...)` beside `parallel_env`.

        With `max_episode_steps` there is none.
        """
        return self._native is not None

    @property
    def _native(self) -> Callable[..., VectorEnv] | None:
        if self.max_episode_steps is not None:
            return None
        beside = self.module is not None and self.make_parallel is getattr(self.module, "parallel_env", None)
        return self.make_native or (getattr(self.module, "vector_env", None) if beside else None)

    def make_vector(self, num_envs: int, *, processes: int = 1) -> CheckedVectorEnv:
        """Many copies at once: the module's own vector env where it has one, else copies stepped one by one.

        Args:
            num_envs: how many copies.
            processes: over how many worker processes to spread them, unless there is a native vector env. What is
                played does not depend on it.

        Raises:
            InputError: the environment refuses the arguments, or `processes` is below 1.
            EnvError: it raises an error, or the copies have other agents or spaces than a single one.
        """
        if processes < 1:
            raise InputError(f"The number of processes must be at least 1, not {processes}.")
        if self._native is None:
            return self.make_copies(num_envs, processes=processes)
        return self._checked(self._call(self._native, num_envs), f"The vector_env of {self.id}", "its parallel_env")

    def make_copies(
        self, num_envs: int, *, processes: int = 1, say: Callable[[str], None] | None = None
    ) -> CheckedVectorEnv:
        """Copies of the single env, whether or not there is a native vector env; see `make_vector`.

        Args:
            num_envs: how many copies.
            processes: over how many worker processes to spread them.
            say: takes what is said of their observations, in place of stderr; see `CheckedVectorEnv`.
        """
        make_copies = partial(ParallelEnvCopies, self.make, name=self.name)
        if processes == 1 and self.timeout is None:
            copies = make_copies(num_envs)
        else:
            copies = ProcessVectorEnv(make_copies, num_envs, processes, name=self.name, timeout=self.timeout)
        return self._checked(copies, f"A copy of {self.id}", "another copy", say=say)

    def _checked(
        self, vector_env: VectorEnv, who: str, than: str, *, say: Callable[[str], None] | None = None
    ) -> CheckedVectorEnv:
        """A vector env that is of this env: what is learnt in the one is played in the other."""
        try:
            check_same_spaces(spaces_of(vector_env), self._spaces, who, than)
            if say is not None:
                return CheckedVectorEnv(vector_env, self.name, say=say)
            return CheckedVectorEnv(vector_env, self.name, said=self._said)
        except BaseException:
            with suppress(EnvError):
                close_env(vector_env, self.name)
            raise

    def _call(self, factory: Callable[..., Any], *args: Any) -> Any:
        """Call what makes the env. Arguments that it refuses are the user's mistake; all else is the env's.

        Raises:
            InputError: the former.
            EnvError: the latter.
        """
        with EnvCall(self.name, "when it was made"):
            try:
                return factory(*args, **self.kwargs)
            except (TypeError, ValueError, AssertionError) as error:
                if not self.kwargs or isinstance(error, InputError):
                    raise
                raise InputError(
                    f"{self.id} cannot be made{with_arguments(self.kwargs)}: {in_one_line(error)}"
                ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        """Worker processes are sent how to make the env, not the spaces."""
        made_by = (self.id, self.make_parallel, self.kwargs, self.module, self.make_native)
        return type(self), (*made_by, self.max_episode_steps, self.timeout)

    def difference(self, described: Mapping[str, Any]) -> tuple[str, str] | None:
        """The names of another env and of this one; None if both are the same, made with the same arguments.

        Args:
            described: what a dataset or a run says its env is; see `description`.
        """
        own = self.description
        return None if described == own else (name_env(described), name_env(own))

    @property
    def experts(self) -> dict[str, Callable[..., Any]]:
        """The joint policies that the env's module offers: name -> factory(env, **arguments)."""
        return dict(getattr(self.module, "EXPERTS", {}))


def spaces_of(env: VectorEnv) -> Spaces:
    """The observation space and the action space of each agent, in the env's order."""
    return {agent: (env.observation_space(agent), env.action_space(agent)) for agent in env.possible_agents}


def make_env(env: "str | Callable[..., Any] | EnvEntry", **kwargs: Any) -> EnvEntry:
    """An environment to record, train and evaluate in, from its name or from what makes it.

    Args:
        env: a name, see `resolve`; or a function or class that makes a PettingZoo env.
        **kwargs: the env's own arguments.

    Raises:
        InputError: there is no env of that name, or `env` has no name to remember it by, such as an env that is made.
    """
    if isinstance(env, EnvEntry):
        return replace(env, kwargs={**env.kwargs, **kwargs}) if kwargs else env
    if isinstance(env, str):
        return resolve(env, kwargs)
    if not (callable(env) and hasattr(env, "__qualname__")):
        raise InputError(f"An env is given by its name, or by a function or class that makes it, not as {env!r}.")
    if "." in env.__qualname__ or "<" in env.__qualname__:
        raise InputError(f"{env.__qualname__} cannot be found again by its name; expected one at the top of a module.")
    return EnvEntry(f"{env.__module__}:{env.__qualname__}", env, kwargs, sys.modules[env.__module__])


def resolve(
    env_id: str,
    kwargs: dict[str, Any] | None = None,
    *,
    import_module: Callable[[str], ModuleType] = import_named,
) -> EnvEntry:
    """Find an environment by its name.

    Args:
        env_id: a PettingZoo registry id, with `module:` in front to import that first; a module that has
            `parallel_env` or else `env`; `module:callable`; or `vmas:scenario`.
        kwargs: the arguments to make it with.
        import_module: imports every module that is needed.

    Raises:
        InputError: there is no such module, id or callable.
        EnvError: the module raises an error.
    """
    with EnvCall(env_id, "when it was imported"):
        return _found(env_id, kwargs or {}, import_module)


def _found(env_id: str, kwargs: dict[str, Any], import_module: Callable[[str], ModuleType]) -> EnvEntry:
    module_name, colon, name = env_id.rpartition(":")
    if module_name == "vmas":
        return _vmas(env_id, name, kwargs)
    if colon:
        module = _import(module_name, env_id, import_module)
        make = _import(name, env_id, lambda name: getattr(module, name, None))  # some modules import theirs only now
        if callable(make):
            return EnvEntry(env_id, make, kwargs, module)
        return _registered(env_id, module_name, name, kwargs, import_module)
    try:
        return _registered(env_id, "", env_id, kwargs, import_module)
    except EnvError:
        raise
    except InputError:
        if "/" in env_id:
            raise
    module = _import(env_id, env_id, import_module)
    make = getattr(module, "parallel_env", getattr(module, "env", None))
    if not callable(make):
        raise InputError(f"The module {env_id!r} has no parallel_env or env: {EXPECTED}.")
    return EnvEntry(env_id, make, kwargs, module)


def _vmas(env_id: str, scenario: str, kwargs: dict[str, Any]) -> EnvEntry:
    vmas_env = importlib.import_module("magail_trainer.envs.vmas")  # needs torch: 2 seconds that nobody else should pay
    vmas_env.check_scenario(scenario)
    return EnvEntry(
        env_id,
        partial(vmas_env.VmasParallelEnv, scenario),
        {**vmas_env.DEFAULTS, **kwargs},
        make_native=partial(vmas_env.VmasVectorEnv, scenario),
    )


def _import(name: str, env_id: str, import_one: Callable[[str], Any]) -> Any:
    try:
        return import_one(name)
    except ModuleNotFoundError as error:
        if f"{name}.".startswith(f"{error.name or name}."):
            raise InputError(f"{env_id!r} names no environment ({error}): {EXPECTED}.") from error
        raise EnvError(f"{env_id!r} needs {error.name}, which is not installed.") from error
    except (ValueError, TypeError) as error:
        if name and not name.startswith("."):  # the module raised it
            raise
        raise InputError(f"{env_id!r} names no environment ({error}): {EXPECTED}.") from error


def _registered(
    env_id: str,
    module_name: str,
    registry_id: str,
    kwargs: dict[str, Any],
    import_module: Callable[[str], ModuleType],
) -> EnvEntry:
    try:
        spec = _spec(registry_id)
    except PettingZooRegistryError as error:
        hint = str(error).partition(" Available environments")[0].strip().rstrip(".")  # there are dozens
        raise InputError(f"{env_id!r} names no environment ({hint}): {EXPECTED}.") from error
    entry_point = spec.entry_point
    if isinstance(entry_point, str):
        entry_module, _, attribute = entry_point.partition(":")
        module = _import(entry_module, env_id, import_module)
        make = getattr(module, attribute)
    else:
        assert callable(entry_point)
        make, module = entry_point, _import(entry_point.__module__, env_id, import_module)
    cycles = {} if spec.max_cycles is None else {"max_cycles": spec.max_cycles}
    canonical = f"{module_name}:{spec.id}" if module_name else spec.id
    return EnvEntry(canonical, make, {**cycles, **spec.kwargs, **kwargs}, module)


def _spec(registry_id: str) -> Any:
    """The registry's entry for a parallel env, or else for an AEC env.

    Raises:
        PettingZooRegistryError: it has neither; what is said is about parallel envs.
    """
    try:
        return pettingzoo.spec("parallel", registry_id)
    except PettingZooRegistryError:
        with suppress(PettingZooRegistryError):
            return pettingzoo.spec("aec", registry_id)
        raise
