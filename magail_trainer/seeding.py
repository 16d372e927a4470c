"""Named random streams: every use of chance in a run draws from its own stream, keyed by (seed, purpose)."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def stream(seed: int, *purpose: str) -> np.random.Generator:
    """The generator for one purpose of one seed; streams of different purposes are independent.

    Raises:
        ValueError: `seed` is negative.
    """
    return np.random.default_rng([seed, *(ord(letter) for letter in "/".join(purpose))])


class RunNoise:
    """Uniform noise for R runs at once, in which runs of one seed get the same numbers.

    Runs that differ only in β are therefore paired. The numbers of a run depend on its seed and on the draws made so
    far, never on which other runs there are. They are made on the CPU, in blocks, so that a thousand seeds do not cost
    a thousand calls per draw.
    """

    _BLOCK_DRAWS = 64
    _MAX_BLOCK_NUMBERS = 2**22

    def __init__(self, seeds: Sequence[int], *purpose: str) -> None:
        unique, self._row_of_run = np.unique(np.asarray(seeds, dtype=np.int64), return_inverse=True)
        self._streams = [stream(int(seed), *purpose) for seed in unique]
        self._drawn = 0
        self._buffer = np.empty((len(unique), 0), dtype=np.float32)

    def uniform(self, *shape: int) -> Float[np.ndarray, "R *shape"]:
        """The next numbers in [0, 1), `[R, *shape]`."""
        size = math.prod(shape)
        if self._buffer.shape[1] < size:
            self._refill(size)
        draw, self._buffer = self._buffer[:, :size], self._buffer[:, size:]
        self._drawn += size
        return draw[self._row_of_run].reshape(-1, *shape)

    @property
    def drawn(self) -> int:
        """How many numbers each run has had: all there is to know of the state of its stream."""
        return self._drawn

    def skip(self, numbers: int) -> None:
        """Go on after so many numbers, from the start."""
        for rng in self._streams:
            rng.bit_generator.advance(numbers // 2)  # type: ignore[attr-defined]  # one step makes two numbers
            rng.random(numbers % 2, dtype=np.float32)
        self._drawn = numbers

    def _refill(self, size: int) -> None:
        # What is left over is used first: the numbers do not depend on the size of the blocks.
        block = max(1, min(self._BLOCK_DRAWS, self._MAX_BLOCK_NUMBERS // (size * len(self._streams)))) * size
        fresh = np.stack([rng.random(block, dtype=np.float32) for rng in self._streams])
        self._buffer = np.concatenate([self._buffer, fresh], axis=1)


class StepNoise:
    """`RunNoise` for rollouts, in which some runs play longer episodes than others.

    The numbers of step t of the n-th rollout depend on the seed, n and t: a run whose episodes are over does not
    notice how long the others go on.
    """

    def __init__(self, seeds: Sequence[int], *purpose: str) -> None:
        self._seeds, self._purpose, self._number = seeds, purpose, 0
        self._first = self._later = RunNoise(seeds, *purpose)

    @property
    def drawn(self) -> tuple[int, int]:
        """The rollouts so far, and the numbers that their first steps have had."""
        return self._number, self._first.drawn

    def skip(self, rollouts: int, numbers: int) -> None:
        """Go on after so many rollouts, from the start."""
        self._number = rollouts
        self._first.skip(numbers)

    def uniform(self, step: int, *shape: int) -> Float[np.ndarray, "R *shape"]:
        """The numbers of a step, `[R, *shape]`. Steps come in order; step 0 begins the next rollout."""
        if step == 0:
            self._number += 1
            return self._first.uniform(*shape)
        if step == 1:
            self._later = RunNoise(self._seeds, *self._purpose, str(self._number))
        return self._later.uniform(*shape)
