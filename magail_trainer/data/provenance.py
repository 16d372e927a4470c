"""The origin of a dataset: env, spaces and policy, as in its manifest."""

from dataclasses import dataclass, field, replace
from typing import Any

from magail_trainer.envs.description import describe_env, name_env
from magail_trainer.errors import InputError
from magail_trainer.files import plain_json


@dataclass(frozen=True)
class Origin:
    """The origin of episodes, converted to plain JSON for the manifest.

    Raises:
        InputError: something cannot be written as JSON.
    """

    env_id: str
    env_kwargs: dict[str, Any]
    spaces: dict[str, dict[str, Any]]
    """`{agent: {"observation": description, "action": description}}`, in the env's order of agents."""
    policy: dict[str, Any]
    """`name` and `parameters` of the joint policy that played."""
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    """Package -> version at the time of recording."""
    augmentation: dict[str, Any] = field(default_factory=dict)
    """The arguments of `augmentation.augment`: `symmetries`, `of` how many, `copies` and `seed`; empty if the dataset
    was not augmented."""
    max_episode_steps: int | None = None
    """Where episodes were cut off; see `EnvEntry`."""
    own: bool = field(default=True, compare=False)
    """Whether it was this user who named the env; not so if a stranger's dataset names it, see `trust`."""

    def __post_init__(self) -> None:
        for name in ("env_kwargs", "spaces", "policy", "augmentation"):
            object.__setattr__(self, name, plain_json(getattr(self, name)))

    @property
    def env(self) -> dict[str, Any]:
        """The env, as `EnvEntry.description` has it."""
        return describe_env(self.env_id, self.env_kwargs, self.max_episode_steps)

    @property
    def episodes_of_each(self) -> int:
        """Episodes made from each demonstration, including itself."""
        return 1 + self.augmentation.get("copies", 0)


def joint_origin(first: Origin, second: Origin) -> Origin:
    """The origin of two concatenated datasets.

    Raises:
        InputError: they differ in env or spaces, or were augmented differently.
    """
    if (first.env, first.spaces) != (second.env, second.spaces):
        raise InputError(
            f"Trajectories of {name_env(first.env)} and of {name_env(second.env)} do not go together; "
            "expected one env with the same spaces."
        )
    if first == second:
        return first if second.own else second
    if first.augmentation or second.augmentation:
        raise InputError("Augmented trajectories go together with none but such as were augmented with them.")
    parts = [first.policy, second.policy]
    policy = {"name": "concatenated", "parameters": {"parts": parts}}
    versions, own = {**first.versions, **second.versions}, first.own and second.own
    return replace(first, policy=policy, seed=None, versions=versions, own=own)
