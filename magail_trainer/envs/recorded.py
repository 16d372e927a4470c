"""From the env that a folder names to the env: of a known package without a question, of any other only by leave."""

from typing import Any

from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.importing import KNOWN, NotKnown, import_known, installed_only, is_part
from magail_trainer.trust import Recorded


def resolve_recorded(recorded: Recorded) -> EnvEntry:
    """The env that a dataset or a run folder names.

    An env of a known package is taken from where the package is installed, never from the working directory. Nothing of
    any other package is imported before the reader has agreed.

    Raises:
        InputError: the folder names none, it is not there, or the folder is a stranger's and the env not of a known
            package; see `Recorded.ask`.
    """
    env = recorded.content.get("env")
    names = ("id", "kwargs", "max_episode_steps")
    env_id, kwargs, limit = (env.get(name) if isinstance(env, dict) else None for name in names)
    if not (isinstance(env_id, str) and isinstance(kwargs, dict)):
        raise InputError(f"{str(recorded.folder)!r} is not as it was written: it does not say in which env.")
    if not recorded.trust:
        known = _resolve_known(env_id, kwargs)
        if known is not None:
            return known.limited(max_episode_steps=limit)
        recorded.ask(env_id, kwargs)
    return resolve(env_id, kwargs).limited(max_episode_steps=limit)


def _resolve_known(env_id: str, kwargs: dict[str, Any]) -> EnvEntry | None:
    """The env if it is one of a known package.

    The arguments are a stranger's. So what is called with them must be a scenario, or the `parallel_env` or `env` of a
    module, and not just any function or class.
    """
    try:
        with installed_only():
            entry = resolve(env_id, kwargs, import_module=import_known)
    except NotKnown:
        return None
    if entry.module is None:  # VMAS has been asked for the scenario
        return entry
    make = entry.make_parallel
    is_maker = any(make is getattr(entry.module, name, None) for name in ("parallel_env", "env"))
    return entry if is_maker and is_part(str(make.__module__), KNOWN) else None
