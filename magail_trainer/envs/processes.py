"""Copies of an environment spread over worker processes, which step them side by side.

The workers start afresh ("spawn"), so a script that makes a `ProcessVectorEnv` must keep what it does under
`if __name__ == "__main__":`. The parent and a worker speak through a pipe, with one message there and one back for each
call. A worker ends when its pipe does: at `close`, and however the parent dies.
"""

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
import numpy as np
from gymnasium.spaces import Discrete, Space

from magail_trainer.envs.vector_env import Seeds, StepResult, VectorEnv, seeds_of
from magail_trainer.errors import InputError

_PATIENCE = 5.0
"""Seconds that a worker has to end by itself."""


class ProcessVectorEnv:
    """A `VectorEnv` whose copies live in worker processes; it does exactly what one process would do.

    Args:
        make_vector: makes a vector env of as many copies as it is called with; sent to the workers by cloudpickle.
        num_envs: how many copies, E.
        processes: how many workers, each with an equal share of the copies; at most E are started.

    Raises:
        InputError: what a worker raises as one; or fewer than one copy or process is asked for.
        RuntimeError: any other error in a worker, with its traceback as the message; or a worker is gone.
    """

    def __init__(self, make_vector: Callable[[int], VectorEnv], num_envs: int, processes: int) -> None:
        if num_envs < 1 or processes < 1:
            raise InputError(f"There must be at least 1 copy and 1 process, not {num_envs} and {processes}.")
        self.num_envs = num_envs
        workers = min(processes, num_envs)
        self._sizes = [num_envs // workers + (worker < num_envs % workers) for worker in range(workers)]
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        context = multiprocessing.get_context("spawn")
        factory = cloudpickle.dumps(make_vector)
        with no_interrupts():
            for size in self._sizes:
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs, factory, size), daemon=True)
                process.start()
                theirs.close()  # so that the worker's end is the only one, and its death can be seen here
                self._pipes.append(ours)
                self._processes.append(process)
        try:
            agents, observation_spaces, action_spaces = self._receive()[0]
        except BaseException:
            self.close()
            raise
        self.possible_agents: list[str] = agents
        self._observation_spaces: dict[str, Space] = observation_spaces
        self._action_spaces: dict[str, Space] = action_spaces

    def observation_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self._action_spaces[agent]

    def reset(self, seed: Seeds = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start a new episode in every copy; see `VectorEnv.reset`."""
        seeds = seeds_of(seed, self.num_envs)
        parts = self._call("reset", [None if seed is None else seeds[share] for share in self._shares()])
        observations, infos = zip(*parts, strict=True)
        return _join(observations), self._join_infos(infos)

    def step(self, actions: dict[str, Any]) -> StepResult:
        """Step every copy; see `VectorEnv.step`."""
        parts = self._call("step", [_cut(actions, share) for share in self._shares()])
        *arrays, infos = zip(*parts, strict=True)
        observations, rewards, terminations, truncations = (_join(array) for array in arrays)
        return observations, rewards, terminations, truncations, self._join_infos(infos)

    def close(self) -> None:
        """End the workers. May be called again."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
        self._pipes, self._processes = [], []

    def _shares(self) -> Iterator[slice]:
        first = 0
        for size in self._sizes:
            yield slice(first, first + size)
            first += size

    def _call(self, name: str, arguments: Sequence[Any]) -> list[Any]:
        if not self._pipes:
            raise RuntimeError("The copies are closed.")
        for pipe, argument in zip(self._pipes, arguments, strict=True):
            with suppress(BrokenPipeError):  # what is wrong is seen when the answer is missing
                pipe.send((name, argument))
        return self._receive()

    def _receive(self) -> list[Any]:
        """One answer from every worker; all are taken before an error is raised, so that the pipes stay in step."""
        answers: list[Any] = []
        error: Exception | None = None
        for index, pipe in enumerate(self._pipes):
            try:
                kind, content = pipe.recv()
            except (EOFError, ConnectionResetError):
                self._processes[index].join(_PATIENCE)
                code = self._processes[index].exitcode
                error = error or RuntimeError(f"Worker process {index} ended by itself, with exit code {code}.")
                continue
            if kind == "result":
                answers.append(content)
            else:
                error = error or (InputError(content) if kind == "input error" else RuntimeError(content))
        if error is not None:
            raise error
        return answers

    def _join_infos(self, parts: Sequence[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        """The infos of all copies. Workers that have not seen a mask yet stand for rows of ones."""
        joint: dict[str, dict[str, Any]] = {}
        for agent in self.possible_agents:
            infos = [part[agent] for part in parts]
            if any("action_mask" in info for info in infos):
                space = self._action_spaces[agent]
                assert isinstance(space, Discrete)
                for info, size in zip(infos, self._sizes, strict=True):
                    info.setdefault("action_mask", np.ones((size, int(space.n)), dtype=np.int8))
            joint[agent] = _join(infos)
        return joint


def _join(parts: Sequence[Any]) -> Any:
    """Dicts and tuples of arrays, one from each worker, as one with the copies in front."""
    if isinstance(parts[0], dict):
        return {key: _join([part[key] for part in parts]) for key in parts[0]}
    if isinstance(parts[0], tuple):
        return tuple(_join(part) for part in zip(*parts, strict=True))
    return np.concatenate(parts)


def _cut(values: Any, share: slice) -> Any:
    """The share of dicts and tuples of arrays."""
    if isinstance(values, dict):
        return {key: _cut(value, share) for key, value in values.items()}
    if isinstance(values, tuple):
        return tuple(_cut(value, share) for value in values)
    return np.asarray(values)[share]


@contextmanager
def no_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from what is started within: it is for the parent, which ends its workers."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start, otherwise at that of the first process, lets the signals in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, factory: bytes, size: int) -> None:
    """What a worker does: answer calls until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):  # the parent closed the pipe, or is gone
        try:
            env: VectorEnv = cloudpickle.loads(factory)(size)
        except Exception as error:
            pipe.send(_as_message(error))
            return
        with closing(env):
            agents = list(env.possible_agents)
            spaces = [{agent: space(agent) for agent in agents} for space in (env.observation_space, env.action_space)]
            pipe.send(("result", (agents, *spaces)))
            while True:
                name, argument = pipe.recv()
                pipe.send(_answer(getattr(env, name), argument))


def _answer(method: Callable[[Any], Any], argument: Any) -> tuple[str, Any]:
    try:
        return "result", method(argument)
    except Exception as error:
        return _as_message(error)


def _as_message(error: Exception) -> tuple[str, str]:
    if isinstance(error, InputError):
        return "input error", str(error)
    return "error", "".join(traceback.format_exception(error))
