"""What the commands of `experiments` share: how they start, their flags, and the command that repeats a run."""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import datetime
from importlib import import_module
from typing import Any, NoReturn

from magail_trainer.cli.command_line import run_command
from magail_trainer.files import plain_json

NOT_SETTINGS = ("output", "overwrite", "jobs", "no_plots", "device", "dataset")
"""Flags that say where and how something is done, and not what."""


def run_door(config: type, room: str, *, name: str) -> NoReturn:
    """Run one of the commands of `experiments`: read its flags, then import what does the work.

    `--help` and a mistake in a flag thus need neither torch nor matplotlib.

    Args:
        config: a dataclass whose fields are the flags.
        room: the module whose `main` gets the parsed dataclass.
        name: what comes after `python -m experiments.`
    """

    def execute(settings: Any) -> int | None:
        import torch

        torch.set_num_threads(1)  # the fastest for small tensors
        return import_module(room).main(settings)

    run_command(config, execute, prog=f"python -m experiments.{name}")


def with_defaults(config: Any, others: Mapping[str, Any]) -> Any:
    """`config` with other defaults: values in the place of those flags that were not given.

    A flag that was given just its own default cannot be told from one that was not given.

    Args:
        config: a dataclass.
        others: name -> value.
    """
    given = {setting.name for setting in fields(config) if getattr(config, setting.name) != setting.default}
    return replace(config, **{name: value for name, value in others.items() if name not in given})


def command_of(module: str, config: Any) -> str:
    """The command whose flags make a dataclass of settings: those that differ from the defaults.

    Where it is saved and how many processes there are does not matter, and is left out.

    Args:
        module: of `experiments`.
        config: not settled yet, where that fills in defaults.
    """
    words = ["python", "-m", f"experiments.{module}"]
    for name, value, default in _flags_of(config):
        if name in NOT_SETTINGS or value == default:
            continue
        words.append(f"--{name}")
        if value is not True:
            words += [str(item) for item in (value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)


def _flags_of(config: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, value and default of each flag; a field may hold the values of several, which its metadata names."""
    for setting in fields(config):
        value = getattr(config, setting.name)
        for name in setting.metadata.get("flags", ()):
            yield name, getattr(value, name), getattr(setting.default, name)
        if "flags" not in setting.metadata:
            yield setting.name, value, setting.default


def fresh_name(start: str) -> str:
    """The name of a folder that no other experiment picks, not even one started in the same second."""
    return f"{start}_{datetime.now():%Y-%m-%d_%H%M%S_%f}_{os.getpid()}"


def settings_of(config: Any) -> dict[str, Any]:
    """All settings of a dataclass that make a difference, as plain JSON; `quick` makes none once it is settled."""
    left_out = (*NOT_SETTINGS, "quick")
    return plain_json({name: value for name, value, _ in _flags_of(config) if name not in left_out})
