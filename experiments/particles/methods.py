"""The methods that the particle benchmark compares, as data, and the trainer's settings for each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from experiments.particles.settings import MethodName
from experiments.particles.tasks import Task
from magail_trainer.learn.config import (
    DEFAULT_BETA,
    DiscriminatorStyle,
    MagailConfig,
    PolicyStyle,
    as_run,
    cloning_updates,
)

SCRATCH_FACTOR = 3
"""Training from scratch takes so many times the epochs."""
COPIES = 47
"""Images of each demonstration, or all if there are fewer."""


@dataclass(frozen=True)
class Method:
    """A way to learn from demonstrations, and how figures show it."""

    algorithm: Literal["cloning", "magail"]
    color: str
    marker: str
    label: str
    discriminator: DiscriminatorStyle = "joint"
    symmetric: bool = False
    """Learn from the images of the demonstrations under the task's symmetries as well."""
    scratch: bool = False
    """Learn from the discriminator's rewards alone: no cloning before or during MAGAIL."""
    signal: bool = False
    """Let the agents share a signal, with as many values as `MagailConfig.signals` has by default."""

    @property
    def policy(self) -> PolicyStyle:
        """The class of the policies."""
        return "shared_signal" if self.signal else "independent"

    @property
    def beta(self) -> float:
        """The weight of the entropy bonus."""
        return DEFAULT_BETA["mlp"] if self.algorithm == "magail" else 0.0

    @property
    def baseline(self) -> MethodName:
        """Cloning of the same episodes."""
        return "cloning_symmetric" if self.symmetric else "cloning"


METHODS: Mapping[str, Method] = {
    "cloning": Method("cloning", "#E69F00", "s", "behavioural cloning"),
    "magail_joint": Method("magail", "#0072B2", "o", "MAGAIL, joint discriminator"),
    "magail_per_agent": Method("magail", "#009E73", "^", "MAGAIL, a discriminator per agent", "per_agent"),
    "cloning_symmetric": Method("cloning", "#D55E00", "D", "behavioural cloning, augmented", symmetric=True),
    "magail_joint_symmetric": Method(
        "magail", "#56B4E9", "v", "MAGAIL, joint, augmented by symmetries", symmetric=True
    ),
    "magail_per_agent_symmetric": Method(
        "magail", "#CC79A7", "P", "MAGAIL, per agent, augmented", "per_agent", symmetric=True
    ),
    "magail_joint_scratch": Method("magail", "#332288", "<", "MAGAIL, joint, no cloning", scratch=True),
    "magail_per_agent_scratch": Method(
        "magail", "#44AA99", ">", "MAGAIL, per agent, no cloning", "per_agent", scratch=True
    ),
    "cloning_signal": Method("cloning", "#999933", "*", "behavioural cloning, shared signal", signal=True),
    "magail_signal": Method("magail", "#882255", "X", "MAGAIL, joint, shared signal", signal=True),
}


def training_settings(
    method: Method, task: Task, *, episodes: int, epochs: int | None = None, updates: int | None = None
) -> tuple[MagailConfig, int]:
    """The trainer's settings, those of `magail clone` or `magail train`, and the number of cloning updates.

    Args:
        method: how the learners learn.
        task: what they learn.
        episodes: of the dataset.
        epochs: of MAGAIL; None for as many as `magail train` takes, times `SCRATCH_FACTOR` from scratch.
        updates: of cloning, and the most in MAGAIL's warm start; None for as many as `magail clone` and `train` take.
    """
    own = {"policy": method.policy, "share_parameters": task.share_parameters, "discriminator": method.discriminator}
    config = MagailConfig(network="mlp", **own)
    if method.algorithm == "cloning":
        config = as_run(config, "cloning")
        return config, updates or cloning_updates(config, episodes=episodes)
    if method.scratch:
        own = {"warm_start": 0, "warm_passes": 0, "warm_critic": 0, "cloning": 0.0}
        return replace(config, epochs=epochs or config.epochs * SCRATCH_FACTOR, **own), 0
    config = replace(config, epochs=epochs or config.epochs)
    if updates:
        config = replace(config, warm_start=min(config.warm_start, updates), warm_passes=0)
    return config, config.warm_start
