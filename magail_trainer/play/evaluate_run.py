"""What `magail evaluate` measures, as one function."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from magail_trainer.data.trajectories import Trajectories
from magail_trainer.errors import InputError
from magail_trainer.learn.trainer import check_same_env
from magail_trainer.play.cross_play import choose_sides, cross_play, make_side_reference
from magail_trainer.play.evaluation import evaluate
from magail_trainer.play.load_runs import TrainedRuns, load_runs
from magail_trainer.play.players import make_joint_policy
from magail_trainer.play.results import TEAM, Evaluation
from magail_trainer.play.scores import Reference, add_scores, find_expert, find_player, make_reference
from magail_trainer.text import counted, display_path


def evaluate_run(
    run: str | Path | TrainedRuns,
    *,
    episodes: int = 1000,
    seed: int = 0,
    dataset: str | Path | None = None,
    opponents: str | None = None,
    opponent_arguments: Mapping[str, Any] | None = None,
    side: Sequence[str] = (),
    processes: int = 1,
    max_episode_steps: int | None = None,
    timeout: float | None = None,
    trust: bool = False,
) -> Evaluation:
    """Play trained policies in their env, each run by itself, or against other players.

    Args:
        run: the run folder, or what `load_runs` read from one.
        episodes: of each run: so many with drawn actions, and as many with every agent's likeliest one (greedy).
        seed: decides all chance; runs of the same training seed share it.
        dataset: the expert's episodes; by default those that the run was trained on. What this expert earns is a
            score of 1: played anew where it is one of the env's own, else the mean return of these episodes.
        opponents: the joint policy that plays the agents that are not on the side: a name as for `record`.
        opponent_arguments: to make the opponents with.
        side: the agents that the run plays against the opponents; by default each in turn.
        processes: how many step the copies of an env that has no vectorised form of its own.
        max_episode_steps: cut episodes off after so many steps; by default as in the training.
        timeout: seconds that a worker process has for a reset or a step.
        trust: import whatever the run folder names, and one of opponents; see `load_runs`.

    Returns:
        what each run earned; `table()` has it as columns, `remarks` say what the scores mean.

    Raises:
        InputError: there is no such folder, dataset or opponent, a number is out of range, or all runs diverged.
    """
    if opponents and dataset is not None:
        raise InputError("--dataset names whose score is 1, and so does --opponents; leave one of them out.")
    if side and not opponents:
        raise InputError(f"--side {' '.join(side)} needs --opponents, which names who plays against the run.")
    trained = run if isinstance(run, TrainedRuns) else load_runs(run, trust=trust)
    limited = trained.entry.limited(max_episode_steps=max_episode_steps, timeout=timeout)
    trained = replace(trained, entry=limited)
    how = {"episodes": episodes, "seed": seed, "processes": processes}
    lost = [trained.runs.label(run) for run in np.flatnonzero(trained.diverged).tolist()]
    trained = trained.healthy if lost else trained
    if opponents:
        evaluation = _against(trained, opponents, dict(opponent_arguments or {}), side, how, trust=trust)
    else:
        evaluation = _by_itself(trained, dataset, how)
    remarks = [f"Left out, for they diverged: {'; '.join(lost)}."] if lost else []
    if "progress" in trained.config:
        about = f"The training is not finished; this is its checkpoint {display_path(trained.path)}."
        remarks = [about, *remarks]
    return replace(evaluation, remarks=(*evaluation.remarks, *remarks))


def _by_itself(trained: TrainedRuns, dataset: str | Path | None, how: Mapping[str, int]) -> Evaluation:
    recorded, source = find_expert(trained) if dataset is None else (Trajectories.load(dataset), str(dataset))
    if recorded is not None:
        check_same_env(trained.entry, recorded)
    policy = (trained.config.get("dataset") or {}).get("policy") if recorded is None else recorded.origin.policy
    player, why = find_player(trained.entry, policy)
    if recorded is None and player is None:
        remark = f"No scores: {source} (--dataset names one whose expert is a score of 1)."
        return replace(evaluate(trained, **how), remarks=(remark,))
    if recorded is not None and player is None and not any(paid.any() for paid in recorded.rewards.values()):
        remark = f"No scores: all rewards in {display_path(source)} are 0, and {why}."
        return replace(evaluate(trained, **how), remarks=(remark,))
    expert = recorded if player is None else player
    assert expert is not None
    reference, evaluation = make_reference(trained, expert, **how), evaluate(trained, **how)
    if player is not None:
        return _scored(evaluation, reference, ("the random joint policy", f"the expert {player.name!r}, played anew"))
    whose = f"the expert of {display_path(source)}"
    evaluation = _scored(evaluation, reference, ("the random joint policy", whose))
    random, demonstrated = reference.ends(TEAM)
    warning = (
        f"The expert was not played anew: {why}. So a score of 1 rests on {counted(demonstrated.episodes, 'episode')}, "
        f"a score of 0 on {random.episodes}; the intervals of scores include the error of both."
    )
    return replace(evaluation, remarks=(*evaluation.remarks, warning)) if evaluation.scores else evaluation


def _against(
    trained: TrainedRuns,
    opponents: str,
    arguments: dict[str, Any],
    side: Sequence[str],
    how: Mapping[str, int],
    *,
    trust: bool,
) -> Evaluation:
    sides = choose_sides(list(trained.codes.actions), side)
    expert, others = (make_joint_policy(opponents, trained.entry, arguments, trust=trust) for _ in range(2))
    reference = make_side_reference(trained.entry, expert, others, sides=sides, **how)
    evaluation = cross_play(trained, others, sides=sides, **how)
    who = display_path(opponents)
    return _scored(evaluation, reference, (f"the random joint policy against {who}", f"{who} against {who}"))


def _scored(evaluation: Evaluation, reference: Reference, players: tuple[str, str]) -> Evaluation:
    """With scores, and with what they mean and who has none; `players` are who scores 0 and who scores 1."""
    label = evaluation.label
    ends = [
        f"{who} ({', '.join(f'{label(name)} {value:.4f}' for name, value in returns.items())})"
        for who, returns in zip(players, (reference.random, reference.expert), strict=True)
    ]
    without = [label(name) for name in reference.random if not reference.has_span(name)]
    why = "random and expert earn the same, or are less than three standard errors apart"
    if all(
        random.error == expert.error == 0 and random.value == expert.value
        for random, expert in map(reference.ends, reference.random)
    ):
        why = "each agent earns the same in every episode, whoever plays: there are no rewards to compare"
    if len(without) == len(reference.random):
        return replace(evaluation, remarks=(f"No scores, for {why}: {'; '.join(ends)}.",))
    missing = [f"No score for {', '.join(without)}: {why}."] if without else []
    return replace(add_scores(evaluation, reference), remarks=(f"Scores: 0 is {ends[0]}; 1 is {ends[1]}.", *missing))
