"""The fixed-horizon check.

If episodes differ in length, the sign of an adversarial reward alone favours long or short ones, whatever the expert
does (Kostrikov et al. 2019, arXiv 1809.02925). So all episodes of expert and learner must have the same number of
steps, and each agent must stay for the same number of steps in all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from magail_trainer.data.trajectories import Trajectories
from magail_trainer.errors import InputError
from magail_trainer.learn.batch import Batch

EPISODES = "the episodes"
"""The key of the episodes' own length, beside those of agents."""


@dataclass(frozen=True)
class FixedHorizon:
    """The length of the expert's episodes, and of each agent's part in them."""

    steps: Mapping[str, int]
    """By agent, for agents that leave before the others; and under `EPISODES`."""

    @classmethod
    def of(cls, trajectories: Trajectories) -> "FixedHorizon":
        """The horizon of the demonstrations.

        Raises:
            InputError: their lengths differ.
        """
        lives = {EPISODES: trajectories.lengths}
        for agent, active in trajectories.active.items():
            if not active.all():
                lives[agent] = np.add.reduceat(active.astype(np.int64), trajectories.episode_starts)
        for part, steps in lives.items():
            if steps.min() < steps.max():
                raise _refusal(part, f"from {steps.min()} to {steps.max()} steps for the expert")
        return cls({part: int(steps[0]) for part, steps in lives.items()})

    def check(self, played: Batch, *, but: Bool[Tensor, " R"] | None = None) -> None:
        """Refuse learner episodes of another length, but not of the runs `but`.

        Raises:
            InputError: a length differs from the expert's.
        """
        if played.num_steps == self.steps[EPISODES] == 1:  # enumerated episodes may have weight 0
            return
        present = played.weight > 0
        for part in dict.fromkeys([EPISODES, *self.steps, *played.active]):
            there = present & played.active[part] if part in played.active else present
            lives = there.unflatten(1, (-1, played.num_steps)).sum(-1)
            self._compare(part, lives if but is None else lives[~but])

    def _compare(self, part: str, lives: Tensor) -> None:
        if not len(lives):  # all runs are excepted
            return
        expected = self.steps.get(part, self.steps[EPISODES])
        shortest, longest = int(lives.min()), int(lives.max())
        if not shortest == expected == longest:
            lengths = f"from {shortest} to {longest}" if shortest < longest else str(shortest)
            raise _refusal(part, f"{lengths} steps for the learner and {expected} for the expert")


def _refusal(part: str, lengths: str) -> InputError:
    what = f"The episodes last {lengths}" if part == EPISODES else f"{part} is there for {lengths}"
    return InputError(
        f"{what}. Adversarial imitation then rewards the length by itself: a reward that is always positive tells the "
        "policies to live long, a negative one to end soon. Make the env's episodes equally long, or add "
        "--allow_variable_horizon."
    )
