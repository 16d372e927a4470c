"""Trained policies as a joint policy: to be recorded, or to play against others. Torch is imported when one is made."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magail_trainer.data.run_folder import open_run
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.errors import InputError
from magail_trainer.files import read_bytes, sha256_of

if TYPE_CHECKING:
    from magail_trainer.play.load_runs import TrainedRuns


class TrainedJointPolicy:
    """One run of a run folder plays all agents.

    Args:
        entry: the env to play in; the one that the run was trained in.
        runs: the run folder, or what `load_runs` made of it.
        run: which of its runs, from 0, in the order of `runs.csv`.
        greedy: play the likeliest action of each agent in place of a drawn one.
        trust: import whatever the folder names; see `load_runs`.

    Raises:
        InputError: there is no such folder or run, or it was trained in another env.
    """

    name = "trained"
    takes_action_masks = True

    def __init__(
        self,
        entry: EnvEntry,
        runs: "str | Path | TrainedRuns",
        *,
        run: int = 0,
        greedy: bool = False,
        trust: bool = False,
    ) -> None:
        if isinstance(runs, str | Path):
            from magail_trainer.play.load_runs import load_runs

            runs = load_runs(runs, entry=entry, trust=trust)
        trained, path = runs, runs.path
        if not 0 <= run < len(trained.runs):
            raise InputError(f"{str(path)!r} has runs 0 to {len(trained.runs) - 1}, and no run {run}.")
        self._codes, self._policies, self._greedy = trained.codes, trained.alone(run), greedy
        self.parameters: dict[str, Any] = {
            "env": entry.description,
            "run": run,
            "seed": int(trained.runs.seed[run]),
            "beta": float(trained.runs.beta[run]),
            "greedy": greedy,
            "checkpoint_sha256": sha256_of(read_bytes(open_run(path) / "checkpoint/policies.npz")),
        }

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Draw all actions from `rng`, and first the signal of each episode, where the agents share one."""
        import torch

        self._rng, self._signal, signal = rng, None, self._policies.signal(num_episodes)
        if signal is not None:
            uniform = torch.from_numpy(rng.random((1, num_episodes, 1), dtype=np.float32))
            self._signal = signal.sample(uniform)

    def act(
        self,
        observations: dict[str, Any],
        *,
        episode: np.ndarray,
        step: np.ndarray,
        action_masks: dict[str, np.ndarray] | None = None,
    ) -> dict[str, Any]:
        """Actions `[E, ...]` by agent, of those allowed by `action_masks`, `[E, n]` by agent."""
        import torch

        encoded = {
            agent: torch.from_numpy(code.encode(observations[agent])).unsqueeze(0)
            for agent, code in self._codes.observations.items()
        }
        masks = {
            agent: torch.from_numpy(mask.astype(bool)).unsqueeze(0) for agent, mask in (action_masks or {}).items()
        }
        signal = None if self._signal is None else self._signal[:, torch.from_numpy(episode)]
        with torch.no_grad():
            drawn = self._policies.act(encoded, masks, signal=signal, uniform=self._uniform(len(episode)))
        return {agent: self._codes.actions[agent].decode(values.squeeze(0).numpy()) for agent, values in drawn.items()}

    def _uniform(self, copies: int) -> list[Any] | None:
        import torch

        if self._greedy:
            return None
        shapes = [(1, copies, size) for size in self._policies.noise_sizes]
        return [torch.from_numpy(self._rng.random(shape, dtype=np.float32)) for shape in shapes]
