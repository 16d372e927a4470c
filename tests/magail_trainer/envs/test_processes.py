"""Copies in worker processes do what copies in one process do, and their workers never outlive them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pettingzoo import ParallelEnv

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.envs.processes import ProcessVectorEnv
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.testing import check_vector_env
from magail_trainer.envs.vector_env import ParallelEnvCopies
from magail_trainer.errors import EnvError, InputError
from tests.magail_trainer.toy_envs import DyingEnv, MaskedEnv, RandomLengthEnv, StillListedEnv


def spread(make_env: Callable[[], ParallelEnv], num_envs: int, processes: int) -> ProcessVectorEnv:
    return ProcessVectorEnv(partial(ParallelEnvCopies, make_env), num_envs, processes)


def is_gone(pid: int) -> bool:
    """Whether the process has ended, or waits as a zombie for whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until_gone(pids: list[int]) -> bool:
    for _ in range(100):
        if all(is_gone(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


NESTED = partial(RandomLengthEnv, nested=True)


def test_processes_do_what_one_process_does() -> None:
    """Five copies in two processes: three and two. The envs differ in what they are seeded with, end, and look like."""
    env = spread(NESTED, 5, 2)
    try:
        check_vector_env(env, NESTED, steps=30, seed=3)
        drawn = [RandomLengthEnv().reset(seed=seed)[0]["left"][0] for seed in range(4, 9)]
        assert env.reset(seed=4)[0]["left"]["seen"][:, 0].tolist() == drawn
    finally:
        env.close()


@pytest.mark.parametrize("make_env", [DyingEnv, partial(MaskedEnv, in_infos=True)], ids=["dying", "masked"])
def test_agents_that_leave_and_masks_come_through(make_env: Callable[[], ParallelEnv]) -> None:
    env = spread(make_env, 3, 2)
    try:
        check_vector_env(env, make_env, steps=15)
    finally:
        env.close()


class MaskedAtLast(DyingEnv):
    """Has a mask where its first seed was 1."""

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        observations, infos = super().reset(seed, options)
        return observations, {agent: {"action_mask": [0, 1]} if seed == 1 else {} for agent in infos}


def test_workers_without_masks_stand_for_ones() -> None:
    env = spread(MaskedAtLast, 2, 2)
    try:
        _, infos = env.reset(seed=0)
        assert infos["agent_0"]["action_mask"].tolist() == [[1, 1], [0, 1]]
        assert infos["agent_0"]["action_mask"].dtype == np.int8
    finally:
        env.close()


def test_datasets_do_not_depend_on_the_processes() -> None:
    class Spread(EnvEntry):
        def make_vector(self, num_envs: int, *, processes: int = 2) -> Any:
            return super().make_vector(num_envs, processes=processes)

    one, two = (
        record(make("toy", RandomLengthEnv), RandomJointPolicy(RandomLengthEnv()), episodes=8, seed=0, num_envs=3)
        for make in (EnvEntry, Spread)
    )
    np.testing.assert_array_equal(one.rewards["right"], two.rewards["right"])
    np.testing.assert_array_equal(one.observations["left"], two.observations["left"])


class Breaking(RandomLengthEnv):
    def step(self, actions: dict[str, Any]) -> Any:
        raise KeyError("something is amiss")


class Deadly(RandomLengthEnv):
    def step(self, actions: dict[str, Any]) -> Any:
        os._exit(7)


class Killed(RandomLengthEnv):
    def step(self, actions: dict[str, Any]) -> Any:
        os.kill(os.getpid(), signal.SIGSEGV)


class Hangs(RandomLengthEnv):
    """Stops in its constructor, at its reset or at its second step."""

    def __init__(self, *, where: str = "step") -> None:
        super().__init__()
        self._where, self._count = where, 0
        if where == "constructor":
            time.sleep(1000)

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        if self._where == "reset":
            time.sleep(1000)
        return super().reset(seed, options)

    def step(self, actions: dict[str, Any]) -> Any:
        self._count += 1
        if self._count == 2:
            time.sleep(1000)
        self._length = 5
        return super().step(actions)


@pytest.fixture
def opened() -> Iterator[list[ProcessVectorEnv]]:
    envs: list[ProcessVectorEnv] = []
    yield envs
    for env in envs:
        env.close()


def actions(num_envs: int) -> dict[str, Any]:
    return {"left": np.zeros(num_envs, dtype=int), "right": np.zeros((num_envs, 3), dtype=np.float32)}


def test_what_is_wrong_in_a_worker_is_said_here(opened: list[ProcessVectorEnv]) -> None:
    cases: list[tuple[type[ParallelEnv], type[Exception], str]] = [
        (StillListedEnv, InputError, r"^The env leaves \['left', 'right'\] in its agents at the end"),
        (Breaking, EnvError, "^The env raised KeyError in step 1: 'something is amiss'"),
        (
            Deadly,
            EnvError,
            "^The worker process of copy [01] of the env ended, with exit status 7, at step 1 after",
        ),
        (
            Killed,
            EnvError,
            r"copy [01] of the env ended, killed by signal 11 \(Segmentation fault\), at step 1 after",
        ),
    ]
    for make_env, kind, reason in cases:
        env = spread(make_env, 2, 2)
        opened.append(env)
        env.reset(seed=0)

        def play(env: ProcessVectorEnv = env) -> None:
            for _ in range(10):
                env.step(actions(2))

        with pytest.raises(kind, match=reason):
            play()
    # The pipes stay in step: after an error in all workers comes an answer to what is asked next.
    assert opened[1].reset(seed=5)[0]["left"].shape == (2, 2)


@pytest.mark.parametrize(
    ("where", "doing"),
    [("constructor", "making its copies"), ("reset", "at a reset"), ("step", "at step 2 after a reset")],
)
def test_a_worker_that_hangs_is_named_and_all_are_ended(where: str, doing: str, opened: list[ProcessVectorEnv]) -> None:
    def play() -> None:
        env = ProcessVectorEnv(
            partial(ParallelEnvCopies, partial(Hangs, where=where)), 3, 2, name="my:Env", timeout=0.5
        )
        opened.append(env)
        env.reset(seed=0)
        env.step(actions(3))
        env.step(actions(3))

    with pytest.raises(InputError) as refusal:
        play()
    expected = f"The worker process of copies 0 to 1 of my:Env did not answer within 0.5 seconds, {doing}."
    assert str(refusal.value) == expected
    assert all(is_gone(process.pid) for env in opened for process in env._processes)


def test_without_a_timeout_a_long_silence_is_mentioned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Dozes(RandomLengthEnv):
        def step(self, actions: dict[str, Any]) -> Any:
            time.sleep(0.5)
            return super().step(actions)

    env = spread(Dozes, 1, 1)
    try:
        env.reset(seed=0)
        monkeypatch.setattr("magail_trainer.envs.processes._LONG", 0.2)
        env.step(actions(1))
    finally:
        env.close()
    said = "The worker process of copy 0 of the env has not answered for 0 seconds, at step 1 after a reset; --timeout"
    assert said in capsys.readouterr().err


def refuse() -> ParallelEnv:
    raise InputError("There is no such env.")


def test_an_env_that_cannot_be_made_leaves_no_workers() -> None:
    with pytest.raises(InputError, match=r"^There is no such env\.$"):
        spread(refuse, 2, 2)
    for numbers in ((0, 1), (1, 0)):
        with pytest.raises(InputError, match="at least 1 copy and 1 process"):
            spread(RandomLengthEnv, *numbers)


def test_close_ends_the_workers() -> None:
    env = EnvEntry("toy", RandomLengthEnv).make_vector(2, processes=5).vector_env
    assert isinstance(env, ProcessVectorEnv)
    pids = [process.pid for process in env._processes]
    assert len(pids) == 2
    env.close()
    env.close()
    assert all(is_gone(pid) for pid in pids)
    with pytest.raises(RuntimeError, match="closed"):
        env.reset()


SCRIPT = """
import sys, time
import numpy as np
from functools import partial
from magail_trainer.envs.processes import ProcessVectorEnv
from magail_trainer.envs.vector_env import ParallelEnvCopies
from tests.magail_trainer.envs.test_processes import Hangs, RandomLengthEnv

if __name__ == "__main__":
    env = ProcessVectorEnv(partial(ParallelEnvCopies, Hangs if sys.argv[1:] == ["hangs"] else RandomLengthEnv), 2, 2)
    env.reset(seed=0)
    try:
        print(*[process.pid for process in env._processes], flush=True)
        while True:
            env.step({"left": np.zeros(2, int), "right": np.zeros((2, 3), np.float32)})
    except KeyboardInterrupt:
        env.close()
        print("closed", flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("sent", "env"),
    [(signal.SIGKILL, "steps"), (signal.SIGKILL, "hangs"), (signal.SIGINT, "steps")],
    ids=["killed", "killed in a step that does not end", "interrupted"],
)
def test_workers_die_with_their_parent_and_in_silence(sent: signal.Signals, env: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    root = Path(__file__).parents[3]
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", env],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests started with & have it ignored
    )  # fmt: skip
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    if env == "hangs":
        time.sleep(0.2)  # until the workers are in the step
    if sent == signal.SIGINT:
        os.killpg(parent.pid, sent)  # as Ctrl-C does: the workers get it too
    else:
        os.kill(parent.pid, sent)
    output, errors = parent.communicate(timeout=20)
    assert wait_until_gone(pids)
    if sent == signal.SIGINT:
        assert (output, errors) == ("closed\n", "")
