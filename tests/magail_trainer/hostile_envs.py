"""Envs that raise, return or leave out what they should not, and odd ones that are in order."""

from typing import Any, NoReturn

import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Sequence, Space, Text, Tuple
from pettingzoo import ParallelEnv

REFUSED: dict[str, str] = {}
"""What is said of those that cannot be trained in."""
FINE: list[str] = []
OPEN: list[Any] = []
"""Envs that are not closed."""
BOX = Box(-10, 10, (2,), np.float32)


class Base(ParallelEnv):
    """Two agents, three steps, cut off by a time limit. In order, but for what its subclasses do."""

    metadata = {"name": "base_v0"}  # noqa: RUF012
    seen: Space = BOX
    played: Space = Discrete(3)

    def __init__(self) -> None:
        self.possible_agents, self.agents, self.t = ["a", "b"], [], 0
        OPEN.append(self)

    def close(self) -> None:
        if self in OPEN:
            OPEN.remove(self)

    def observation_space(self, agent: str) -> Space:
        return self.seen

    def action_space(self, agent: str) -> Space:
        return self.played

    def obs(self) -> Any:
        """What everybody observes."""
        return np.array([self.t, 0.5], np.float32)

    def odd(self) -> Any:
        """What `b` observes in step 1."""
        return self.obs()

    def pay(self) -> Any:
        return 1.0

    def flag(self) -> Any:
        """The termination of `b` in step 2."""
        return False

    def infos(self) -> Any:
        return {agent: {} for agent in self.possible_agents}

    def everybody(self) -> dict[str, Any]:
        return {
            agent: self.odd() if (agent, self.t) == (self.possible_agents[-1], 1) else self.obs()
            for agent in self.possible_agents
        }

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        self.t, self.agents = 0, list(self.possible_agents)
        return self.everybody(), self.infos()

    def step(self, actions: dict[str, Any]) -> Any:
        self.t += 1
        acting, done = self.possible_agents, self.t == 3
        paid = {agent: self.pay() for agent in acting}
        ended = {**dict.fromkeys(acting, False), acting[-1]: self.flag() if self.t == 2 else False}
        self.agents = [] if done else list(acting)
        return self.everybody(), paid, ended, dict.fromkeys(acting, done), self.infos()


def refused(said: str) -> Any:
    """Note a class, and what is said of it."""

    def note(env: type) -> type:
        REFUSED[env.__name__] = said
        return env

    return note


def fine(env: type) -> type:
    """Note a class that can be trained in."""
    FINE.append(env.__name__)
    return env


# What is raised


@refused("raised ImportError when it was made: OpenDrift not installed.")
class LacksAPackage(Base):
    def __init__(self) -> None:
        raise ImportError("OpenDrift not installed")


@refused("raised DependencyNotInstalled when it was made: pip install box2d.")
class LacksADependency(Base):
    def __init__(self) -> None:
        raise DependencyNotInstalled("pip install box2d")


@refused("raised SystemExit when it was made: 0.")
class Exits(Base):
    def __init__(self) -> None:
        raise SystemExit(0)


@refused("raised ValueError when it was made: no map.")
class RefusesNoArguments(Base):
    def __init__(self) -> None:
        raise ValueError("no map")


@refused("raised KeyError in observation_space: 'b'.")
class LacksASpace(Base):
    def observation_space(self, agent: str) -> Space:
        return {"a": BOX}[agent]


@refused("raised NotImplementedError in action_space.")
class HasNoActions(Base):
    def action_space(self, agent: str) -> Space:
        raise NotImplementedError


@refused("raised RuntimeError in reset: two lines and a [31mcolour.")
class RaisesInReset(Base):
    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        raise RuntimeError("two lines\n\tand a \x1b[31mcolour")


@refused("raised OSError in reset: the second time.")
class RaisesInASecondReset(Base):
    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        if self.t:
            raise OSError("the second time")
        return super().reset()


class Stepping(Base):
    """Fails in step 2."""

    def fail(self) -> NoReturn:
        raise NotImplementedError

    def step(self, actions: dict[str, Any]) -> Any:
        return super().step(actions) if self.t == 0 else self.fail()


@refused("raised ValueError in step 2.")
class SaysNothing(Stepping):
    def fail(self) -> NoReturn:
        raise ValueError


@refused("raised SystemExit in step 2: 3.")
class ExitsInStep(Stepping):
    def fail(self) -> NoReturn:
        raise SystemExit(3)


@refused("raised StopIteration in step 2.")
class StopsIterating(Stepping):
    def fail(self) -> NoReturn:
        raise StopIteration


class Panic(BaseException):
    """As some bindings raise it."""


@refused("raised Panic in step 2: core dumped!")
class Panics(Stepping):
    def fail(self) -> NoReturn:
        raise Panic("core dumped!")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise TypeError


@refused("raised Unspeakable in step 2.")
class RaisesTheUnspeakable(Stepping):
    def fail(self) -> NoReturn:
        raise Unspeakable


@refused("raised MemoryError in step 2: " + 500 * "x" + " ….")
class SaysALot(Stepping):
    def fail(self) -> NoReturn:
        raise MemoryError(5000 * "x")


@refused("raised OSError in close: the port is gone.")
class RaisesInClose(Base):
    def close(self) -> None:
        super().close()
        raise OSError("the port is gone")


@refused("raised AttributeError in reset: 'HasNoAgents' object has no attribute 'agents'.")
class HasNoAgents(Base):
    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        results = super().reset()
        del self.agents
        return results


@refused("raised TypeError in reset: ")
class TakesNoSeed(Base):
    def reset(self) -> Any:  # type: ignore[override]
        return super().reset()


# Agents and spaces


@fine
class SpacesAfterReset(Base):
    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        self.box = BOX
        return super().reset()

    def observation_space(self, agent: str) -> Space:
        return self.box


@fine
class CloseNeedsReset(Base):
    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        self.viewer = OPEN
        return super().reset()

    def close(self) -> None:
        assert self.viewer is OPEN
        super().close()


@fine
class AgentsAfterReset(Base):
    def __init__(self) -> None:
        super().__init__()
        self.possible_agents = []

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        self.possible_agents = ["a", "b"]
        return super().reset()


@fine
class NoPossibleAgents(Base):
    def __init__(self) -> None:
        super().__init__()
        del self.possible_agents

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        if not hasattr(self, "possible_agents"):
            self.agents = ["a", "b"]
            return {}, {}
        return super().reset()


class Called(Base):
    """Its agents have other names."""

    names: Any = ()

    def __init__(self) -> None:
        super().__init__()
        self.possible_agents = self.names


def called(name: str, said: str, names: Any) -> type:
    """An env whose agents have these names."""
    return refused(said)(type(name, (Called,), {"names": names}))


NoAgents = called("NoAgents", "has no possible_agents; expected at least one.", [])
IntegerAgents = called("IntegerAgents", "calls an agent 0; expected text for a name.", [0, 1])
ListedAgents = called("ListedAgents", "calls an agent ['a']; expected text for a name.", [["a"], ["b"]])
LoneSurrogate = called(
    "LoneSurrogate", r"calls an agent '\ud800'; expected a name that can be printed.", ["\ud800", "b"]
)
TwinAgents = called("TwinAgents", "has the possible_agents ['a', 'a']; expected each name once.", ["a", "a"])
CountedAgents = called("CountedAgents", "raised TypeError asked for its possible_agents: 'int' object is not", 2)


@refused("has the observation space None, a builtins.NoneType, for a; expected a space of gymnasium.")
class HasNoSpace(Base):
    def observation_space(self, agent: str) -> Any:
        return None


@refused("has the action space <class 'gymnasium.spaces.discrete.Discrete'>")
class HasAClassForASpace(Base):
    def action_space(self, agent: str) -> Any:
        return Discrete


@refused("float32) when asked again; expected the same.")
class ChangesItsSpace(Base):
    size = 1

    def observation_space(self, agent: str) -> Space:
        self.size += 1
        return Box(-10, 10, (self.size,), np.float32)


@refused("A copy of ")
class DiffersFromCopyToCopy(Base):
    made = 0

    def __init__(self) -> None:
        super().__init__()
        DiffersFromCopyToCopy.made += 1
        self.played = Discrete(1 + DiffersFromCopyToCopy.made)


@refused("observation space of a is Graph(")
class ObservesGraphs(Base):
    seen = Graph(BOX, None)


@refused("observation space of a is Text(")
class ObservesText(Base):
    seen = Text(3)


@refused("observation space of a is Sequence(")
class ObservesSequences(Base):
    seen = Sequence(BOX)


@refused("action space of a is Text(")
class ActsInText(Base):
    played = Text(3)


@refused("action space of a is Tuple(")
class ActsInTuples(Base):
    played = Tuple([Discrete(2)])


@fine
class ObservesDicts(Base):
    seen = Dict({"p": BOX, "q": Discrete(4)})

    def obs(self) -> Any:
        return {"p": [0, 1], "q": self.t}

    def reset(self, seed: int | None = None) -> Any:  # type: ignore[override]  # as many envs
        return super().reset()


@fine
class ObservesTuples(Base):
    seen = Tuple([Discrete(4), MultiBinary(2)])

    def obs(self) -> Any:
        return [self.t, (True, False)]


@fine
class StartsElsewhere(Base):
    seen = MultiDiscrete([4, 2], start=[5, -1])
    played = Discrete(3, start=-1)

    def obs(self) -> Any:
        return [5 + self.t, 0]

    def step(self, actions: dict[str, Any]) -> Any:
        assert all(-1 <= action <= 1 for action in actions.values())
        return super().step(actions)


@fine
class CountsFromOne(Base):
    seen = Discrete(4, start=1)

    def obs(self) -> Any:
        return 1 + self.t


# Observations


def observes(name: str, said: str, odd: Any, *, seen: Space = BOX, obs: Any = None) -> type:
    """An env in which `b` observes `odd` in step 1, and all others 0s, or `obs`; fine if nothing is said."""
    usual = np.zeros(seen.shape or (), seen.dtype) if obs is None else obs
    env = type(name, (Base,), {"seen": seen, "obs": lambda self: usual, "odd": lambda self: odd})
    return refused(said)(env) if said else fine(env)


TO_B = "gives b the observation "
NoneObserved = observes("NoneObserved", f"{TO_B}None in step 1; expected one of Box(-10.0, 10.0, (2,), float32).", None)
ExtraAxis = observes("ExtraAxis", f"{TO_B}[[1. 2.]] of shape (1, 2) in step 1", np.array([[1.0, 2.0]]))
TooLong = observes("TooLong", f"{TO_B}[0. 0. 0.] of shape (3,) in step 1", np.zeros(3))
Scalar = observes("Scalar", f"{TO_B}3 in step 1", 3)
Ragged = observes("Ragged", f"{TO_B}[[1], [1, 2]] in step 1", [[1], [1, 2]])
Complex = observes("Complex", f"{TO_B}[0.+1.j 0.+0.j] of dtype complex128 in step 1", np.array([1j, 0]))
Objects = observes("Objects", f"{TO_B}[None 1] of dtype object in step 1", np.array([None, 1]))
Words = observes("Words", f"{TO_B}'north' in step 1", "north")
NotANumber = observes("NotANumber", "gives b an observation with nan at [1] in step 1", [0, np.nan])
Infinite = observes("Infinite", "gives b an observation with inf at [0] in step 1", [1e300, 0])
FarOutside = observes("FarOutside", "gives b an observation with 1000000.0 at [0] in step 1", [1e6, 0])
LittleOutside = observes("LittleOutside", "", [10.5, 0])
Doubles = observes("Doubles", "", [0.1, 1 / 3])
WholeNumbers = observes("WholeNumbers", "", np.array([1, 2], np.int8))
BYTES = Box(0, 255, (2,), np.uint8)
Halves = observes("Halves", f"{TO_B}[0.5 1. ] of dtype float64 in step 1", np.array([0.5, 1]), seen=BYTES)
Overflowing = observes("Overflowing", f"{TO_B}[300 1] of dtype int64 in step 1", np.array([300, 1]), seen=BYTES)
Outside = observes("Outside", f"{TO_B}7 in step 1, which is outside Discrete(3).", 7, seen=Discrete(3))
Below = observes("Below", f"{TO_B}-1 in step 1, which is outside Discrete(3).", -1, seen=Discrete(3))
NESTED, INSIDE = Dict({"p": BOX, "q": Discrete(3)}), {"p": [0, 0], "q": 0}
Lacking = observes("Lacking", f"{TO_B}{{'q': 0}} in step 1; expected one of Dict(", {"q": 0}, seen=NESTED, obs=INSIDE)
Unnested = observes("Unnested", f"{TO_B}[0. 0.] in step 1; expected one of Dict(", np.zeros(2), seen=NESTED, obs=INSIDE)
OutsideInside = observes(
    "OutsideInside", f"{TO_B}{{'p': [0, 0], 'q': 3}} in step 1", {**INSIDE, "q": 3}, seen=NESTED, obs=INSIDE
)
NotYet = observes("NotYet", f"{TO_B}{{}} in step 1; expected one of Dict(", {}, seen=NESTED, obs=INSIDE)


@refused("gives b no observation in reset; expected one.")
class NoFirstObservation(Base):
    def everybody(self) -> dict[str, Any]:
        return {agent: seen for agent, seen in super().everybody().items() if self.t or agent == "a"}


@refused("gives b no observation in step 2; expected one.")
class NoObservation(Base):
    def everybody(self) -> dict[str, Any]:
        return {agent: seen for agent, seen in super().everybody().items() if self.t != 2 or agent == "a"}


@refused("returns the observations [array(")
class ListsObservations(Base):
    def everybody(self) -> Any:
        return [self.obs(), self.obs()]


# Rewards, flags, infos


def pays(name: str, said: str, reward: Any) -> type:
    """An env with a reward for everybody."""
    env = type(name, (Base,), {"pay": lambda self: reward})
    return refused(said)(env) if said else fine(env)


FINITE = "expected a finite number of size below 1e+30."
PaysNone = pays("PaysNone", "gives a the reward None in step 1; expected a number.", None)
PaysWords = pays("PaysWords", "gives a the reward '1' in step 1; expected a number.", "1")
PaysTwice = pays("PaysTwice", "gives a the reward [1. 2.] in step 1; expected a number.", np.array([1.0, 2.0]))
PaysComplex = pays("PaysComplex", "gives a the reward 1j in step 1; expected a number.", 1j)
PaysNan = pays("PaysNan", f"gives a the reward nan in step 1; {FINITE}", float("nan"))
PaysInfinity = pays("PaysInfinity", f"gives a the reward inf in step 1; {FINITE}", np.inf)
PaysTooMuch = pays("PaysTooMuch", f"gives a the reward -1e+308 in step 1; {FINITE}", -1e308)
PaysArrays = pays("PaysArrays", "", np.array([1.0], np.float32))
PaysTruth = pays("PaysTruth", "", np.True_)


@refused("gives b no reward, termination or truncation in step 2, in which it acts; expected all three.")
class ForgetsToPay(Base):
    def step(self, actions: dict[str, Any]) -> Any:
        results = super().step(actions)
        if self.t == 2:
            del results[1]["b"]
        return results


@refused("returns the rewards 1.0 in step 1; expected a dict, by agent.")
class PaysTheTeam(Base):
    def step(self, actions: dict[str, Any]) -> Any:
        observations, _, *rest = super().step(actions)
        return observations, 1.0, *rest


def flags(name: str, said: str, flag: Any) -> type:
    """An env with a termination of `b` in step 2."""
    env = type(name, (Base,), {"flag": lambda self: flag})
    return refused(said)(env) if said else fine(env)


FlaggedNone = flags("FlaggedNone", "gives the termination of b as None in step 2; expected True or False.", None)
FlaggedNo = flags("FlaggedNo", "gives the termination of b as 'no' in step 2; expected True or False.", "no")
FlaggedHalf = flags("FlaggedHalf", "gives the termination of b as 0.5 in step 2; expected True or False.", 0.5)
FlaggedZero = flags("FlaggedZero", "", np.int64(0))
FlaggedFalse = flags("FlaggedFalse", "", np.array([False]))


def informs(name: str, said: str, infos: Any) -> type:
    """An env with these infos."""
    env = type(name, (Base,), {"infos": lambda self: infos})
    return refused(said)(env) if said else fine(env)


NoInfos = informs("NoInfos", "", None)
NoInfoOfB = informs("NoInfoOfB", "", {"a": {}, "b": None})
ListsInfos = informs("ListsInfos", "returns the infos [{}, {}] in reset; expected a dict, by agent.", [{}, {}])
InformsInWords = informs("InformsInWords", "gives b the info 'fine' in reset; expected a dict.", {"a": {}, "b": "fine"})
WideMask = informs(
    "WideMask", "gives a an action mask of shape (4,) in reset; expected (3,).", {"a": {"action_mask": [1, 1, 1, 1]}}
)
WordyMask = informs("WordyMask", "gives a the action mask 'all' in reset", {"a": {"action_mask": "all"}})


@fine
class SpeaksOfOthers(Base):
    def step(self, actions: dict[str, Any]) -> Any:
        return tuple({**values, "common": None, "c": None} for values in super().step(actions))


# The API


@refused("returns a dict in reset; expected (observations, infos), as in PettingZoo's parallel API.")
class OldReset(Base):
    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        return super().reset()[0]


@refused("returns 4 values in step 1; expected (observations, rewards, terminations, truncations, infos), as in")
class OldStep(Base):
    def step(self, actions: dict[str, Any]) -> Any:
        observations, rewards, terminations, _, infos = super().step(actions)
        return observations, rewards, terminations, infos


@refused("returns a NoneType in step 1; expected (observations, rewards,")
class ReturnsNothing(Base):
    def step(self, actions: dict[str, Any]) -> Any:
        super().step(actions)


@refused("leaves ['a', 'b'] in its agents at the end of an episode (in step 3); expected none")
class ForgetsTheEnd(Base):
    def step(self, actions: dict[str, Any]) -> Any:
        results = super().step(actions)
        self.agents = ["a", "b"]
        return results


@refused("lists 'c' among its agents in step 1; expected ['a', 'b'].")
class HasAGuest(Base):
    def step(self, actions: dict[str, Any]) -> Any:
        results = super().step(actions)
        self.agents = ["a", "b", "c"]
        return results


@refused("makes a NotAParallelEnv; expected a PettingZoo ParallelEnv.")
class NotAParallelEnv:
    pass
