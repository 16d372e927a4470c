"""Copies of an environment spread over worker processes, which step them side by side.

The workers start afresh ("spawn"), so a script that makes a `ProcessVectorEnv` must keep what it does under
`if __name__ == "__main__":`. The parent and a worker speak through a pipe, with one message there and one back for each
call. A worker ends when its pipe does, and when the parent does, even in the middle of a step.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import cloudpickle
import numpy as np
from gymnasium.spaces import Discrete, Space
from tqdm import tqdm

from magail_trainer.envs.vector_env import Seeds, StepResult, VectorEnv, seeds_of
from magail_trainer.errors import EnvError, InputError
from magail_trainer.importing import SAFE_PATH, without_working_directory

_PATIENCE = 5.0
"""Seconds that the workers have to end by themselves."""
_START = 120.0
"""Seconds that a worker has to start Python and to import the env's module."""
_LONG = 60.0
"""Seconds after which it is said that a worker has not answered."""


class ProcessVectorEnv:
    """A `VectorEnv` whose copies live in worker processes; it does exactly what one process would do.

    Args:
        make_vector: makes a vector env of as many copies as it is called with; sent to the workers by cloudpickle.
        num_envs: how many copies, E.
        processes: how many workers, each with an equal share of the copies; at most E are started.
        name: of the env, in messages.
        timeout: seconds that the workers have to make their copies, for a reset, and for a step. By default they are
            waited for; that one takes long is said after a minute.

    Raises:
        InputError: what a worker raises as one; a worker died, or did not answer in time (all are ended then); or
            fewer than one copy or process is asked for.
        RuntimeError: any other error in a worker, with its traceback as the message.
    """

    def __init__(
        self,
        make_vector: Callable[[int], VectorEnv],
        num_envs: int,
        processes: int,
        *,
        name: str = "the env",
        timeout: float | None = None,
    ) -> None:
        if num_envs < 1 or processes < 1:
            raise InputError(f"There must be at least 1 copy and 1 process, not {num_envs} and {processes}.")
        self.num_envs, self._name, self._timeout, self._steps = num_envs, name, timeout, 0
        workers = min(processes, num_envs)
        self._sizes = [num_envs // workers + (worker < num_envs % workers) for worker in range(workers)]
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        context = multiprocessing.get_context("spawn")
        factory = cloudpickle.dumps(make_vector)
        with without_working_directory(), no_interrupts():
            for size in self._sizes:
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs, factory, size), daemon=True)
                process.start()
                theirs.close()  # so that the worker's end is the only one, and its death can be seen here
                self._pipes.append(ours)
                self._processes.append(process)
        try:
            self._receive("starting", _START)
            agents, observation_spaces, action_spaces = self._receive("making its copies", timeout)[0]
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
        self._steps = 0
        parts = self._call("reset", [None if seed is None else seeds[share] for share in self._shares()], "at a reset")
        observations, infos = zip(*parts, strict=True)
        return _join(observations), self._join_infos(infos)

    def step(self, actions: dict[str, Any]) -> StepResult:
        """Step every copy; see `VectorEnv.step`."""
        self._steps += 1
        doing = f"at step {self._steps} after a reset"
        parts = self._call("step", [_cut(actions, share) for share in self._shares()], doing)
        *arrays, infos = zip(*parts, strict=True)
        observations, rewards, terminations, truncations = (_join(array) for array in arrays)
        return observations, rewards, terminations, truncations, self._join_infos(infos)

    def close(self) -> None:
        """End the workers. May be called again."""
        for pipe in self._pipes:
            pipe.close()
        deadline = time.monotonic() + _PATIENCE
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
        self._kill(range(len(self._processes)))
        self._pipes, self._processes = [], []

    def _kill(self, workers: Sequence[int]) -> None:
        for worker in workers:
            self._processes[worker].kill()  # nothing happens to those that have ended
        for worker in workers:
            self._processes[worker].join()

    def _shares(self) -> Iterator[slice]:
        first = 0
        for size in self._sizes:
            yield slice(first, first + size)
            first += size

    def _call(self, method: str, arguments: Sequence[Any], doing: str) -> list[Any]:
        if not self._pipes:
            raise RuntimeError("The copies are closed.")
        for pipe, argument in zip(self._pipes, arguments, strict=True):
            with suppress(OSError):  # what is wrong is seen when the answer is missing
                pipe.send((method, argument))
        return self._receive(doing, self._timeout)

    def _receive(self, doing: str, timeout: float | None) -> list[Any]:
        """One answer from every worker; all are taken before an error is raised, so that the pipes stay in step."""
        answers: dict[Any, tuple[str, Any]] = {}
        began = time.monotonic()
        while silent := [worker for worker, pipe in enumerate(self._pipes) if pipe not in answers]:
            patience = _LONG if timeout is None else max(0.0, began + timeout - time.monotonic())
            ready = wait([self._pipes[worker] for worker in silent], patience)
            if not ready:
                self._report_silence(silent, doing, timeout, time.monotonic() - began)
            for pipe in ready:
                try:
                    answers[pipe] = pipe.recv()  # type: ignore[union-attr]  # only pipes are waited for
                except (EOFError, OSError):
                    raise EnvError(self._death(self._pipes.index(pipe), doing)) from None  # type: ignore[arg-type]
        for kind, content in (answers[pipe] for pipe in self._pipes):
            if kind != "result":
                raise content if kind == "input error" else RuntimeError(content)
        return [answers[pipe][1] for pipe in self._pipes]

    def _report_silence(self, workers: Sequence[int], doing: str, timeout: float | None, waited: float) -> None:
        """Name a worker that has not answered; after the timeout, end all that have not."""
        who = self._who(workers[0])
        if timeout is not None:
            self._kill(workers)
            raise EnvError(f"{who} did not answer within {timeout:g} seconds, {doing}.")
        text = f"{who} has not answered for {waited:.0f} seconds, {doing}; --timeout SECONDS ends it."
        tqdm.write(text, file=sys.stderr)

    def _who(self, worker: int) -> str:
        """A worker in words, with the copies that it steps."""
        share = list(self._shares())[worker]
        copies = f"copy {share.start}" if share.stop == share.start + 1 else f"copies {share.start} to {share.stop - 1}"
        return f"The worker process of {copies} of {self._name}"

    def _death(self, worker: int, doing: str) -> str:
        process = self._processes[worker]
        process.join(_PATIENCE)
        code = process.exitcode
        how = (
            f"with exit status {code}"
            if code is None or code >= 0
            else f"killed by signal {-code} ({signal.strsignal(-code)})"
        )
        return f"{self._who(worker)} ended, {how}, {doing}."

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
    os.environ.pop(SAFE_PATH, None)  # what the env starts is its own affair
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):  # the parent closed the pipe, or is gone
        try:
            make_vector = cloudpickle.loads(factory)  # imports the env's module
            pipe.send(("result", None))
            env: VectorEnv = make_vector(size)
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


def _end_with_parent() -> None:
    """Wait for the parent's end: a worker in a step that takes for ever does not see its pipe end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _answer(method: Callable[[Any], Any], argument: Any) -> tuple[str, Any]:
    try:
        return "result", method(argument)
    except Exception as error:
        return _as_message(error)


def _as_message(error: Exception) -> tuple[str, Any]:
    if isinstance(error, InputError):
        return "input error", type(error)(str(error))  # without its cause, which may not be pickled
    return "error", "".join(traceback.format_exception(error))
