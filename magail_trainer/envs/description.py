"""What an env is, as plain JSON and in words."""

from collections.abc import Mapping
from typing import Any

from magail_trainer.files import plain_json

ENTRIES = {"env.id": str, "env.kwargs": dict, "env.max_episode_steps?": (int, type(None))}
"""What a folder says of its env: entries for `Sealed.expect`."""


def describe_env(env_id: str, kwargs: Mapping[str, Any], max_episode_steps: int | None) -> dict[str, Any]:
    """An env as plain JSON: `id`, `kwargs`, and `max_episode_steps` if there is such a limit."""
    limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
    return {"id": env_id, "kwargs": plain_json(kwargs), **limit}


def name_env(described: Mapping[str, Any]) -> str:
    """An env that is described as JSON, in words."""
    limit = described.get("max_episode_steps")
    cut = "" if limit is None else f"with max_episode_steps={limit}"
    return " ".join(str(part) for part in (described["id"], described["kwargs"] or "", cut) if part)
