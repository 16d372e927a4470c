"""From the name of a joint policy to the policy: a scripted expert, a trained one, or one of the user's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from magail_trainer.data.joint_policies import JointPolicy, RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry, make_env
from magail_trainer.errors import InputError, with_arguments
from magail_trainer.importing import import_callable
from magail_trainer.play.trained_policy import TrainedJointPolicy


def make_joint_policy(expert: str, entry: EnvEntry, arguments: dict[str, Any], *, trust: bool = False) -> JointPolicy:
    """Make a joint policy from its name.

    Args:
        expert: `random`; a name in the `EXPERTS` of the env's module; a run folder; or `module:callable`, a factory of
            your own.
        entry: the env. A factory is called with one copy of it, and with `arguments` as keywords.
        arguments: what is set about the policy; of a run folder, `run` and `greedy`, see `TrainedJointPolicy`.
        trust: import whatever a run folder names; see `load_runs`.

    Raises:
        InputError: there is no such policy, or it refuses the arguments.
    """
    offered: dict[str, Callable[..., Any]] = {"random": RandomJointPolicy, **entry.experts}
    if expert not in offered and Path(expert).is_dir():
        return _trained(expert, entry, arguments, trust=trust)
    factory = _find_factory(expert, entry, offered)
    for name, value in getattr(factory, "keywords", {}).items():  # a functools.partial would let itself be overruled
        if name in arguments:
            raise InputError(f"The expert {expert!r} is the one with {name}={value}, not {name}={arguments[name]}.")
    with entry.opened() as env:
        try:
            policy = factory(env, **arguments)
        except (TypeError, ValueError) as error:
            raise InputError(f"The expert {expert!r} cannot be made{with_arguments(arguments)}: {error}") from error
    missing = [name for name in ("name", "parameters", "begin", "act") if not hasattr(policy, name)]
    if missing:
        raise InputError(f"The expert {expert!r} makes a {type(policy).__name__} without {', '.join(missing)}.")
    return policy


def record_expert(
    env: str | Callable[..., Any] | EnvEntry,
    expert: str | JointPolicy = "random",
    *,
    episodes: int,
    seed: int = 0,
    output: str | Path | None = None,
    overwrite: bool = False,
    processes: int = 1,
    max_episode_steps: int | None = None,
    timeout: float | None = None,
    trust: bool = False,
    **arguments: Any,
) -> Trajectories:
    """Play an expert and keep what happens: what `magail record` does.

    Args:
        env: an environment, as for `make_env`.
        expert: a joint policy, or its name as for `make_joint_policy`.
        episodes: how many, whole.
        seed: decides all chance.
        output: the folder to save them in, if any.
        overwrite: replace a dataset that is already there.
        processes: how many step the copies of an env that has no vectorised form of its own.
        max_episode_steps: cut episodes off after so many steps.
        timeout: seconds that a worker process has for a reset or a step.
        trust: import whatever a run folder names that is the expert; see `load_runs`.
        **arguments: to make a named expert with.

    Raises:
        InputError: there is no such env or expert, a number is out of range, or the folder cannot be made.
    """
    entry = make_env(env).limited(max_episode_steps=max_episode_steps, timeout=timeout)
    if isinstance(expert, type):
        raise InputError(f"The expert {expert.__name__} is a class; expected a name or a joint policy that is made.")
    if isinstance(expert, str):
        expert = make_joint_policy(expert, entry, arguments, trust=trust)
    elif arguments:
        raise InputError(f"An expert that is made takes no arguments, such as {next(iter(arguments))!r}.")
    trajectories = record(entry, expert, episodes=episodes, seed=seed, processes=processes)
    if output is not None:
        trajectories.save(output, overwrite=overwrite)
    return trajectories


def _trained(folder: str, entry: EnvEntry, arguments: dict[str, Any], *, trust: bool) -> JointPolicy:
    for name in arguments:
        if name not in ("run", "greedy"):
            raise InputError(f"A run folder takes the arguments run and greedy, not {name!r}.")
    run, greedy = arguments.get("run", 0), arguments.get("greedy", False)
    if not isinstance(run, int) or isinstance(run, bool):
        raise InputError(f"A run is named by its row in runs.csv, from 0, not run={run!r}.")
    if not isinstance(greedy, bool):
        raise InputError(f"A run folder takes greedy=true or greedy=false, not {greedy!r}.")
    return TrainedJointPolicy(entry, folder, **arguments, trust=trust)


def _find_factory(expert: str, entry: EnvEntry, offered: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    if expert in offered:
        return offered[expert]
    if ":" not in expert:
        raise InputError(
            f"{entry.id} has no expert {expert!r}; expected one of {', '.join(offered)}, module:callable, "
            "or a run folder."
        )
    return import_callable(expert, what="The expert")
