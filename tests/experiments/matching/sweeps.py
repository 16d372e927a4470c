"""Small sweeps of the coordination experiment."""

from dataclasses import replace
from typing import Any

from experiments.matching.settings import FLAGS, CoordinationConfig
from magail_trainer.learn.config import MagailConfig

SMALL = CoordinationConfig(
    betas=(0.0, 2.0),
    seeds=(7, 3, 5),
    training=MagailConfig(network="tabular", epochs=25),
    eval_episodes=450,
    no_plots=True,
)


def changed(config: CoordinationConfig, **flags: Any) -> CoordinationConfig:
    """The sweep with the values of these flags, as the command line has them."""
    training = {name: flags.pop(name) for name in FLAGS if name in flags}
    return replace(config, **flags, training=replace(config.training, **training))
