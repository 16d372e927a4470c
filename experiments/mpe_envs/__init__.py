"""The particle environments of mpe2, with vector envs that step many copies at once, and experts for them.

Each module has mpe2's own `parallel_env`, a `vector_env` that agrees with it number for number, and `EXPERTS`.
"""

import os
from collections.abc import Callable
from importlib import import_module

from pettingzoo import ParallelEnv

from magail_trainer.errors import InputError


def find_parallel_env(module: str) -> Callable[..., ParallelEnv]:
    """The `parallel_env` of one of mpe2's modules, such as `simple_spread_v3`.

    Raises:
        InputError: mpe2 is not installed.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # pygame would greet on our standard output
    try:
        return import_module(f"mpe2.{module}").parallel_env
    except ModuleNotFoundError as error:
        raise InputError(
            f"The particle environments need mpe2 ({error}): install the extra `mpe`, "
            "python -m pip install 'magail-coordination[mpe]'."
        ) from error
