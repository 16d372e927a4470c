"""Multi-agent generative adversarial imitation learning on PettingZoo environments.

    import magail_trainer as mt

    env = mt.make_env("coordination_env:coordination/matching-v0", num_actions=3)
    demonstrations = mt.record(env, "bimodal", episodes=200, seed=0)
    mt.train(env, demonstrations, config=mt.MagailConfig(epochs=50), output="run")
    print(mt.evaluate("run", episodes=100).table())

Each name is imported when it is first used: reading a dataset needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magail_trainer.data.trajectories import Trajectories
    from magail_trainer.envs.registry import make_env
    from magail_trainer.learn.config import MagailConfig
    from magail_trainer.learn.trainer import Trainer
    from magail_trainer.learn.training import clone, train
    from magail_trainer.play.check_env import check_env
    from magail_trainer.play.evaluate_run import evaluate_run as evaluate
    from magail_trainer.play.load_runs import load_runs
    from magail_trainer.play.players import record_expert as record

__all__ = [
    "MagailConfig",
    "Trainer",
    "Trajectories",
    "check_env",
    "clone",
    "evaluate",
    "load_runs",
    "make_env",
    "record",
    "train",
]

_HOMES = {
    "make_env": "envs.registry:make_env",
    "record": "play.players:record_expert",
    "Trajectories": "data.trajectories:Trajectories",
    "MagailConfig": "learn.config:MagailConfig",
    "train": "learn.training:train",
    "check_env": "play.check_env:check_env",
    "clone": "learn.training:clone",
    "evaluate": "play.evaluate_run:evaluate_run",
    "load_runs": "play.load_runs:load_runs",
    "Trainer": "learn.trainer:Trainer",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    globals()[name] = value = getattr(import_module(f"{__name__}.{module}"), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
