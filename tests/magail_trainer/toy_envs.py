"""Environments and joint policies of the tests' own making. The package has never heard of them."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Space
from pettingzoo import ParallelEnv

Step = tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict]]


class RandomLengthEnv(ParallelEnv):
    """Episodes of 1 to 5 steps, by chance, ended by termination or truncation, by chance.

    An observation is (a number drawn for the episode, the step). As some envs do, it hands out one array and changes
    it in place. The rewards are what was observed, plus the action.
    """

    metadata = {"name": "random_length_v0"}  # noqa: RUF012

    def __init__(self, *, nested: bool = False) -> None:
        self.possible_agents = ["left", "right"]
        self.agents: list[str] = []
        self._nested = nested
        self._rng = np.random.default_rng()
        self._seen = {agent: np.zeros(2, dtype=np.float32) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> Space:
        box = Box(0, 10, (2,), np.float32)
        return Dict({"seen": box}) if self._nested else box

    def action_space(self, agent: str) -> Space:
        return Discrete(2) if agent == "left" else Box(-1, 1, (3,), np.float32)

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, dict]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self._step, self._length = self.possible_agents[:], 0, int(self._rng.integers(1, 6))
        self._truncates = bool(self._rng.integers(2))
        number = self._rng.random()
        for seen in self._seen.values():
            seen[:] = number, 0
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Step:
        agents = self.agents
        rewards = {agent: float(self._seen[agent].sum() + np.sum(actions[agent])) for agent in agents}
        self._step += 1
        for seen in self._seen.values():
            seen[1] = self._step
        ended = self._step == self._length
        if ended:
            self.agents = []
        terminations = dict.fromkeys(agents, ended and not self._truncates)
        return (
            self._observe(),
            rewards,
            terminations,
            dict.fromkeys(agents, ended and self._truncates),
            {agent: {} for agent in agents},
        )

    def _observe(self) -> dict[str, Any]:
        return {agent: {"seen": seen} if self._nested else seen for agent, seen in self._seen.items()}


class EarlyExitEnv(RandomLengthEnv):
    """`right` leaves after the first step, `left` plays on."""

    def step(self, actions: dict[str, Any]) -> Step:
        self._length = 5
        observations, rewards, _, truncations, infos = super().step(actions)
        self.agents = ["left"]
        return observations, rewards, {"left": False, "right": True}, truncations, infos


class StillListedEnv(RandomLengthEnv):
    """Forgets to empty `agents` when an episode ends."""

    def step(self, actions: dict[str, Any]) -> Step:
        result = super().step(actions)
        self.agents = self.possible_agents[:]
        return result


class SignallingEnv(ParallelEnv):
    """The speaker sees one of three states and sends one of three messages; then the listener names the state.

    Two steps. The speaker observes the state, then `SPOKEN`; the listener observes nothing yet, then 1 + message, and
    may also pass (action 0). Both earn 1 if the listener's second action is 1 + state. Unlike agents: 3 and 4 actions.
    """

    metadata = {"name": "signalling_v0"}  # noqa: RUF012
    SPOKEN = 3

    def __init__(self) -> None:
        self.possible_agents = ["speaker", "listener"]
        self.agents: list[str] = []
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> Space:
        return Discrete(4)

    def action_space(self, agent: str) -> Space:
        return Discrete(3 if agent == "speaker" else 4)

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, dict]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self._state, self._message = self.possible_agents[:], int(self._rng.integers(3)), None
        return {"speaker": self._state, "listener": 0}, {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Step:
        agents, ended = self.agents, self._message is not None
        right = ended and int(actions["listener"]) == 1 + self._state
        self._message = int(actions["speaker"]) if self._message is None else self._message
        self.agents = [] if ended else agents
        return (
            {"speaker": self.SPOKEN, "listener": 1 + self._message},
            dict.fromkeys(agents, float(right)),
            dict.fromkeys(agents, ended),
            dict.fromkeys(agents, False),
            {agent: {} for agent in agents},
        )


class Signallers:
    """The message is state + `shift`, modulo 3; the listener understands. Whoever has nothing to say plays 0."""

    name = "signallers"

    def __init__(self, env: ParallelEnv, *, shift: int = 1) -> None:
        assert env.possible_agents == ["speaker", "listener"]
        self.parameters = {"shift": shift}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        shift, heard = self.parameters["shift"], observations["listener"]
        speaks = (observations["speaker"] + shift) % 3
        understands = 1 + (heard - 1 - shift) % 3
        return {"speaker": np.where(step == 0, speaks, 0), "listener": np.where(heard == 0, 0, understands)}


def parallel_env() -> SignallingEnv:
    return SignallingEnv()


def signalling(**kwargs: Any) -> SignallingEnv:
    return SignallingEnv(**kwargs)


EXPERTS = {"signallers": Signallers}
not_an_env = "a text"


def no_env() -> str:
    return not_an_env


class Speechless:
    """Not a joint policy: it cannot act."""

    name = "speechless"

    def __init__(self, env: ParallelEnv) -> None:
        self.parameters: dict[str, Any] = {}
