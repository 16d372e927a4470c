"""Environments and joint policies of the tests' own making. The package has never heard of them."""

import warnings
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


class SenselessEnv(RandomLengthEnv):
    """Takes a number without looking at it."""

    def __init__(self, *, number: float = 1.0) -> None:
        super().__init__()
        self._number = number

    def step(self, actions: dict[str, Any]) -> Step:
        return super().step({agent: action * float(self._number > 0) for agent, action in actions.items()})


class StillListedEnv(RandomLengthEnv):
    """Forgets to empty `agents` when an episode ends."""

    def step(self, actions: dict[str, Any]) -> Step:
        result = super().step(actions)
        self.agents = self.possible_agents[:]
        return result


class DyingEnv(ParallelEnv):
    """Agent i leaves at step `lengths[i]`: agent_0 by termination, the others by truncation.

    Agent i observes (1 + i, the step, a number from 1 to 2 drawn for the episode), and earns 10 i + the step + its
    action. As PettingZoo asks, only agents that are still there may act, and nothing is returned for the others.
    """

    metadata = {"name": "dying_v0"}  # noqa: RUF012

    def __init__(self, lengths: tuple[int, ...] = (2, 4, 3)) -> None:
        self.possible_agents = [f"agent_{index}" for index in range(len(lengths))]
        self.agents: list[str] = []
        self._lengths = dict(zip(self.possible_agents, lengths, strict=True))
        self._index = {agent: index for index, agent in enumerate(self.possible_agents)}
        self._box, self._actions = Box(0, 100, (3,), np.float32), Discrete(2)
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> Space:
        return self._box

    def action_space(self, agent: str) -> Space:
        return self._actions

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, dict]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self._step, self._number = self.possible_agents[:], 0, 1 + self._rng.random()
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Step:
        acting = self.agents
        assert list(actions) == acting, f"{list(actions)} act, not {acting}"
        self._step += 1
        left = {agent: self._lengths[agent] == self._step for agent in acting}
        results = (
            self._observe(),
            {agent: 10.0 * self._index[agent] + self._step + int(actions[agent]) for agent in acting},
            {agent: left[agent] and agent == "agent_0" for agent in acting},
            {agent: left[agent] and agent != "agent_0" for agent in acting},
            {agent: {} for agent in acting},
        )
        self.agents = [agent for agent in acting if not left[agent]]
        return results

    def _observe(self) -> dict[str, Any]:
        return {
            agent: np.array([1 + self._index[agent], self._step, self._number], np.float32) for agent in self.agents
        }


class MaskedEnv(ParallelEnv):
    """Three steps. At step t agent_0 may play anything but t of its 4 actions; agent_1 may play all of its 2.

    agent_0 observes (the step, its last action), with its mask in the observation or in the infos. At an action that
    is not allowed the env breaks down, unless it is `lenient`.
    """

    metadata = {"name": "masked_v0"}  # noqa: RUF012

    def __init__(self, *, in_infos: bool = False, lenient: bool = False) -> None:
        self.possible_agents = ["agent_0", "agent_1"]
        self.agents: list[str] = []
        self._in_infos, self._lenient = in_infos, lenient
        seen = Box(0, 10, (2,), np.float32)
        masked = Dict({"observation": seen, "action_mask": Box(0, 1, (4,), np.int8)})
        self._spaces = {"agent_0": seen if in_infos else masked, "agent_1": Discrete(4)}
        self._actions = {"agent_0": Discrete(4), "agent_1": Discrete(2)}

    def observation_space(self, agent: str) -> Space:
        return self._spaces[agent]

    def action_space(self, agent: str) -> Space:
        return self._actions[agent]

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, dict]]:
        self.agents, self._step, self._last = self.possible_agents[:], 0, 0
        return self._observe()

    def step(self, actions: dict[str, Any]) -> Step:
        assert self._lenient or actions["agent_0"] != self._step, f"{actions} at step {self._step}"
        agents, self._last = self.agents, int(actions["agent_0"])
        self._step += 1
        ended = self._step == 3
        observations, infos = self._observe()
        self.agents = [] if ended else agents
        flags = dict.fromkeys(agents, ended)
        return observations, dict.fromkeys(agents, 1.0), flags, dict.fromkeys(agents, False), infos

    def _observe(self) -> tuple[dict[str, Any], dict[str, dict]]:
        seen, mask = np.array([self._step, self._last], np.float32), np.ones(4, np.int8)
        mask[self._step] = 0
        if self._in_infos:
            return {"agent_0": seen, "agent_1": self._step}, {"agent_0": {"action_mask": mask}, "agent_1": {}}
        return {"agent_0": {"observation": seen, "action_mask": mask}, "agent_1": self._step}, {
            agent: {} for agent in self.possible_agents
        }


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


def official_test(env: ParallelEnv) -> None:
    """PettingZoo's own `parallel_api_test`, for 40 steps at most."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where pygame is installed, the import tries a game by its deprecated name
        from pettingzoo.test import parallel_api_test
    parallel_api_test(env, num_cycles=40)


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
