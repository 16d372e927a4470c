"""The guard of the fixed horizon.

Where lives differ in length, the sign of an adversarial reward alone tells the policies to live long or to end soon,
whatever the expert does (Kostrikov et al. 2019, arXiv 1809.02925). So all episodes of expert and learner must have the
same number of steps, and each agent must be there for the same number of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from magail_trainer.data.trajectories import Trajectories
from magail_trainer.errors import InputError
from magail_trainer.learn.batch import Batch

EPISODES = "the episodes"
"""What stands beside the agents among what has a length."""


@dataclass(frozen=True)
class FixedHorizon:
    """How long the expert's episodes are, and how long each agent is there."""

    steps: Mapping[str, int]
    """By agent, for those who leave before the others; and of `EPISODES`."""

    @classmethod
    def of(cls, trajectories: Trajectories) -> "FixedHorizon":
        """The one that all demonstrations have.

        Raises:
            InputError: they differ.
        """
        lives = {EPISODES: trajectories.lengths}
        for agent, active in trajectories.active.items():
            if not active.all():
                lives[agent] = np.add.reduceat(active.astype(np.int64), trajectories.episode_starts)
        for whose, steps in lives.items():
            if steps.min() < steps.max():
                raise _refusal(whose, f"from {steps.min()} to {steps.max()} steps for the expert")
        return cls({whose: int(steps[0]) for whose, steps in lives.items()})

    def check(self, played: Batch) -> None:
        """Refuse episodes of the learner that are of another length.

        Raises:
            InputError: one of them is.
        """
        if played.num_steps == self.steps[EPISODES] == 1:  # enumerated ones may have no weight
            return
        present = played.weight > 0
        for whose in dict.fromkeys([EPISODES, *self.steps, *played.active]):
            there = present & played.active[whose] if whose in played.active else present
            self._compare(whose, there.unflatten(1, (-1, played.num_steps)).sum(-1))

    def _compare(self, whose: str, lives: Tensor) -> None:
        expected = self.steps.get(whose, self.steps[EPISODES])
        shortest, longest = int(lives.min()), int(lives.max())
        if not shortest == expected == longest:
            said = f"from {shortest} to {longest}" if shortest < longest else str(shortest)
            raise _refusal(whose, f"{said} steps for the learner and {expected} for the expert")


def _refusal(whose: str, lengths: str) -> InputError:
    what = f"The episodes last {lengths}" if whose == EPISODES else f"{whose} is there for {lengths}"
    return InputError(
        f"{what}. Adversarial imitation then rewards the length by itself: a reward that is always positive tells the "
        "policies to live long, a negative one to end soon. Make the env's episodes equally long, or add "
        "--allow_variable_horizon."
    )
