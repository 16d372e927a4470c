"""The particle envs' symmetries: what they make is what the env plays, and what the expert does."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.spaces import Discrete

pytest.importorskip("mpe2")

from experiments.mpe_envs import simple_push, simple_speaker_listener, simple_spread, simple_tag
from experiments.mpe_envs.particles import ParticleVectorEnv
from experiments.particles import symmetries as mpe_symmetries
from experiments.particles.symmetries import PLANE
from experiments.particles.tasks import TASKS
from magail_trainer.data.augmentation import Symmetry, augment, find_symmetries
from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import FIELDS, Trajectories
from magail_trainer.errors import InputError

EPISODES = 12
LENGTH = 25
GROUPS = {
    "simple_speaker_listener": 8 * 6,
    "simple_spread": 8 * 6,
    "simple_spread_any_landmark": 8 * 6 * 6,
    "simple_push": 8 * 2,
    "simple_tag": 8 * 6 * 2,
}
ENVS = {
    "simple_speaker_listener": simple_speaker_listener.SimpleSpeakerListenerVectorEnv,
    "simple_spread": simple_spread.SimpleSpreadVectorEnv,
    "simple_push": simple_push.SimplePushVectorEnv,
    "simple_tag": simple_tag.SimpleTagVectorEnv,
}
TASK_OF = {name: task for name, task in TASKS.items() if name != "spread_coin"}


def symmetries_of(task: str) -> Sequence[Symmetry]:
    return find_symmetries(f"experiments.particles.symmetries:{TASKS[task].symmetries}", TASKS[task].entry)


def demonstrations(task: str, episodes: int = EPISODES) -> Trajectories:
    return record(TASKS[task].entry, TASKS[task].player("expert"), episodes=episodes, seed=3)


def by_step(values: np.ndarray, length: int) -> np.ndarray:
    return values.reshape(-1, length, *values.shape[1:])


def initial_state(env: str, seen: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    """Positions `[E, entities, 2]`, up to a shift where nobody sees one, and goals `[E]`, from the first observations.

    Written without the labels of `mpe_symmetries`, from what the envs say that they show.
    """
    agents = list(seen)
    if env == "simple_speaker_listener":
        goals = seen["speaker_0"].argmax(axis=1)
        landmarks = seen["listener_0"][:, 2:8].reshape(-1, 3, 2)
        return np.concatenate([np.zeros((len(goals), 2, 2)), landmarks], axis=1), goals
    if env == "simple_push":
        agent = seen["agent_0"]
        goals = agent[:, 4:7].argmax(axis=1) - 1
        others = np.stack([agent[:, 17:19], np.zeros_like(agent[:, :2]), agent[:, 7:9], agent[:, 9:11]], axis=1)
        return others, goals
    own = np.stack([seen[agent][:, 2:4] for agent in agents], axis=1)
    count = 3 if env == "simple_spread" else 2
    landmarks = seen[agents[0]][:, 4 : 4 + 2 * count].reshape(-1, count, 2) + own[:, :1]
    return np.concatenate([own, landmarks], axis=1), None


def started(env: str, seen: dict[str, np.ndarray]) -> ParticleVectorEnv:
    """Copies of the env that begin as the observations say."""
    positions, goals = initial_state(env, seen)
    copies = ENVS[env](len(positions))
    copies.reset(seed=0)
    copies._positions[:] = positions
    if goals is not None:
        copies._goals[:] = goals  # type: ignore[attr-defined]
    return copies


@pytest.mark.parametrize("random", [False, True], ids=["expert", "random"])
@pytest.mark.parametrize("task", TASK_OF)
def test_what_a_symmetry_makes_is_what_the_env_plays(task: str, *, random: bool) -> None:
    entry, env = TASKS[task].entry, TASKS[task].env
    player = RandomJointPolicy(entry.make()) if random else TASKS[task].player("expert")
    recorded = record(entry, player, episodes=EPISODES, seed=1)
    for symmetry in symmetries_of(task)[:: 7 if len(symmetries_of(task)) > 50 else 3]:
        image = symmetry(recorded)
        seen = {agent: by_step(values, LENGTH + 1) for agent, values in image.observations.items()}
        copies = started(env, {agent: values[:, 0].astype(np.float64) for agent, values in seen.items()})
        for step in range(LENGTH):
            actions = {agent: by_step(values, LENGTH)[:, step] for agent, values in image.actions.items()}
            observations, rewards, *_, infos = copies.step(actions)
            for agent in image.agents:
                after = infos[agent]["final_obs"] if step == LENGTH - 1 else observations[agent]
                # What stands in the dataset is float32, and contacts are stiff springs that enlarge its rounding.
                np.testing.assert_allclose(after, seen[agent][:, step + 1], atol=2e-3)
                expected = by_step(image.rewards[agent], LENGTH)[:, step]
                close = np.isclose(rewards[agent], expected, atol=2e-3)
                assert close.mean() > 0.95, (agent, step)  # a touch that is just one, or just none, may be the other


@pytest.mark.parametrize("task", TASK_OF)
def test_the_expert_does_what_the_symmetry_says(task: str) -> None:
    recorded = demonstrations(task)
    for symmetry in symmetries_of(task)[::5]:
        image, player = symmetry(recorded), TASKS[task].player("expert")
        rows = np.arange(image.num_transitions)
        chosen = player.act(image.acted_on, episode=rows, step=rows)
        same = {agent: float(np.mean(chosen[agent] == actions)) for agent, actions in image.actions.items()}
        assert min(same.values()) == 1, (symmetry.name, same)


@pytest.mark.parametrize("name", GROUPS)
def test_the_symmetries_are_a_group_without_the_one_that_changes_nothing(name: str) -> None:
    task = next(task for task in TASK_OF.values() if task.symmetries == name)
    symmetries = find_symmetries(f"experiments.particles.symmetries:{name}", task.entry)
    recorded = record(task.entry, RandomJointPolicy(task.entry.make()), episodes=1, seed=0)

    def content(of: Trajectories) -> bytes:
        return b"".join(np.concatenate([np.ravel(x + 0) for x in getattr(of, f).values()]).tobytes() for f in FIELDS)

    images = {content(symmetry(recorded)) for symmetry in symmetries} | {content(recorded)}
    assert len(images) == len(symmetries) + 1 == GROUPS[name]
    first = symmetries[len(symmetries) // 3]
    assert {content(symmetry(first(recorded))) for symmetry in symmetries} == images - {content(first(recorded))}


def test_a_quarter_turn_by_hand() -> None:
    """x becomes −y and y becomes x: to the right (2) becomes up (4), up becomes left (1)."""
    recorded = demonstrations("spread_fixed", episodes=1)
    index = next(i for i, plane in enumerate(PLANE) if plane.tolist() == [[0, -1], [1, 0]])
    turned = symmetries_of("spread_fixed")[6 * index - 1]  # the first of six swaps, which changes nothing
    observations, actions = turned.observations["agent_1"], turned.actions["agent_1"]
    seen = np.arange(1.0, 19.0, dtype=np.float32)[np.newaxis]
    assert turned.parts == {agent: agent for agent in recorded.agents}
    assert observations(seen).tolist() == [[-2, 1, -4, 3, -6, 5, -8, 7, -10, 9, -12, 11, -14, 13, 15, 16, 17, 18]]
    assert actions(np.arange(5)).tolist() == [0, 3, 4, 2, 1]


def test_words_go_with_their_landmarks() -> None:
    recorded = demonstrations("speaker_listener")
    for symmetry in symmetries_of("speaker_listener"):
        image = symmetry(recorded)
        said, goal = image.actions["speaker_0"], image.acted_on["speaker_0"].argmax(axis=1)
        assert (said == goal).all()
        heard = by_step(image.observations["listener_0"], LENGTH + 1)[:, 1:, 8:].argmax(axis=-1)
        assert (heard == by_step(said, LENGTH)).all()


@pytest.mark.parametrize("name", GROUPS)
def test_another_env_and_continuous_actions_are_refused(name: str) -> None:
    env = next(task for task in TASK_OF.values() if task.symmetries != name and not name.startswith(task.env)).entry
    with pytest.raises(InputError, match=f"refuse {env.id}"):
        find_symmetries(f"experiments.particles.symmetries:{name}", env)
    own = next(task for task in TASK_OF.values() if task.symmetries == name).entry
    continuous = replace(own, kwargs={"continuous_actions": True})
    with pytest.raises(InputError, match=r"acts in Box.*, expected Discrete"):
        find_symmetries(f"experiments.particles.symmetries:{name}", continuous)


@pytest.mark.parametrize(("number", "count"), [(1, 8), (2, 8 * 2), (4, 8 * 24)])
def test_other_numbers_of_agents(number: int, count: int) -> None:
    entry = replace(TASKS["spread_fixed"].entry, kwargs={"N": number})
    symmetries = find_symmetries("experiments.particles.symmetries:simple_spread", entry)
    recorded = record(entry, RandomJointPolicy(entry.make()), episodes=2, seed=0)
    assert len(augment(recorded, symmetries, name="named")) == 2 * count
    assert isinstance(entry.make().action_space("agent_0"), Discrete)
    assert mpe_symmetries.simple_spread(entry.make())[0].name == symmetries[0].name


def test_a_family_too_large_is_refused_before_it_is_made() -> None:
    entry = replace(TASKS["spread_cheapest"].entry, kwargs={"N": 5})
    with pytest.raises(InputError, match=r"there are 115,200 of so many agents .*, expected at most 50,000"):
        find_symmetries("experiments.particles.symmetries:simple_spread_any_landmark", entry)


def test_spread_is_not_taken_for_tag() -> None:
    """Three agents who see as many numbers as the hunters of two obstacles."""
    with pytest.raises(InputError, match="expected an adversary and a good agent"):
        find_symmetries("experiments.particles.symmetries:simple_tag", TASKS["spread_fixed"].entry)


def test_an_agent_takes_its_landmark_along() -> None:
    """Where agents 0 and 1 change places, agent 0 sees what agent 1 saw, with the first two landmarks exchanged."""
    swapped = next(
        symmetry
        for symmetry in symmetries_of("spread_fixed")[:5]
        if symmetry.parts == {"agent_0": "agent_1", "agent_1": "agent_0", "agent_2": "agent_2"}
    )
    seen = np.arange(1.0, 19.0, dtype=np.float32)[np.newaxis]  # of agent 1: the others are agents 0 and 2
    assert swapped.observations["agent_0"](seen).tolist() == [
        [1, 2, 3, 4, 7, 8, 5, 6, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]
    ]
    seen_by_the_third = swapped.observations["agent_2"](seen).tolist()  # the others are agents 0 and 1, exchanged
    assert seen_by_the_third == [[1, 2, 3, 4, 7, 8, 5, 6, 9, 10, 13, 14, 11, 12, 15, 16, 17, 18]]
    assert swapped.actions["agent_0"](np.arange(5)).tolist() == [0, 1, 2, 3, 4]


def test_the_coin_of_three_agents_knows_the_same_symmetries() -> None:
    """Where two agents change places with their landmarks, a shift by one becomes one by two."""
    task = TASKS["spread_coin"]
    recorded = record(task.entry, task.player("expert"), episodes=EPISODES, seed=3)
    for symmetry in symmetries_of("spread_coin")[:5]:
        image, player = symmetry(recorded), task.player("expert")
        explained = []
        for shift in range(3):
            player.shifts = np.full(EPISODES, shift)  # type: ignore[attr-defined]
            rows = np.repeat(np.arange(EPISODES), LENGTH)
            chosen = player.act(image.acted_on, episode=rows, step=rows)
            same = np.all([chosen[agent] == actions for agent, actions in image.actions.items()], axis=0)
            explained.append(by_step(same, LENGTH).all(axis=1))
        assert np.any(explained, axis=0).all(), symmetry.name
