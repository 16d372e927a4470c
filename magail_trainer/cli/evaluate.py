"""The command `magail evaluate`. Torch is imported when it is executed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from magail_trainer.cli.command_line import key_values
from magail_trainer.data.run_folder import write_table
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.errors import InputError
from magail_trainer.text import aligned, counted, display_path

if TYPE_CHECKING:
    from magail_trainer.play.load_runs import TrainedRuns
    from magail_trainer.play.results import Earner, Evaluation
    from magail_trainer.play.scores import Reference


@dataclass(frozen=True)
class Evaluate:
    """Play trained policies in their environment, each run by itself, or against other players.

    Scores are returns on a scale where 0 is what the random joint policy earns, and 1 what the expert earns. Against
    opponents the learner earns the mean over the agents of its side; 0 and 1 are what the random joint policy and the
    opponents' own earn on that side against the opponents, with chance of their own.
    """

    run: tyro.conf.Positional[Path]
    """The folder that train or clone made."""
    episodes: int = 1000
    """Episodes of each run: so many with drawn actions, and as many with every agent's likeliest one (greedy)."""
    seed: int = 0
    """Decides all chance; runs of the same training seed share it."""
    dataset: Path | None = None
    """The expert's episodes, whose mean return is a score of 1; by default those that the run was trained on."""
    opponents: str = ""
    """Let this joint policy play the agents that are not on the --side: named as for record --expert. Playing the side
    too, it scores 1."""
    opponent_args: tuple[str, ...] = ()
    """NAME=VALUE pairs to make the opponents with."""
    side: tuple[str, ...] = ()
    """The agents that the run plays against the opponents; by default each in turn."""
    output: Path | None = None
    """Write the table of all runs to this CSV file as well."""
    processes: int = 1
    """How many processes step the copies of an env that has no vectorised form of its own."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace the file that is already there."""

    def __call__(self) -> None:
        """Print each run's returns and what they come to over seeds; write the table if asked to."""
        import torch

        from magail_trainer.play.load_runs import load_runs
        from magail_trainer.play.scores import summarise

        torch.set_num_threads(1)
        self._check_flags()
        trained = load_runs(self.run)
        evaluation, remarks = self._play_opponents(trained) if self.opponents else self._play(trained)
        _print_runs(evaluation, self.episodes)
        _print_table("Over seeds, the interquartile mean and its 95 % bootstrap interval:", summarise(evaluation))
        print("\n".join(remarks))
        if self.output is not None:
            write_table(self.output, evaluation.table())
            print(f"Wrote {display_path(self.output)}.")

    def _check_flags(self) -> None:
        for flag, given in (("--side", self.side), ("--opponent_args", self.opponent_args)):
            if given and not self.opponents:
                raise InputError(f"{flag} {' '.join(given)} needs --opponents, which names who plays against the run.")
        if self.opponents and self.dataset is not None:
            raise InputError("--dataset names whose score is 1, and so does --opponents; leave one of them out.")
        if self.output is not None:
            if self.output.is_dir():
                raise InputError(f"{str(self.output)!r} is a folder; expected the name of a CSV file.")
            if self.output.exists() and not self.overwrite:
                raise InputError(f"{str(self.output)!r} already exists; choose another file or add --overwrite.")
            self.output.parent.mkdir(parents=True, exist_ok=True)  # now, lest an hour's work cannot be written

    def _play(self, trained: "TrainedRuns") -> tuple["Evaluation", list[str]]:
        """The runs by themselves, with scores if there is an expert, and remarks."""
        from magail_trainer.play.evaluation import evaluate
        from magail_trainer.play.scores import add_scores, find_expert, make_reference

        if self.dataset is None:
            expert, source = find_expert(trained)
        else:
            expert, source = Trajectories.load(self.dataset), str(self.dataset)
        reference = None
        if expert is not None:
            reference = make_reference(trained, expert, **self._how())
        evaluation = evaluate(trained, **self._how())
        if reference is None:
            return evaluation, [f"No scores: {source} (--dataset names one whose expert is a score of 1)."]
        ends = ("the random joint policy", f"the expert of {display_path(source)}")
        return add_scores(evaluation, reference), _explain(reference, ends, evaluation.label)

    def _play_opponents(self, trained: "TrainedRuns") -> tuple["Evaluation", list[str]]:
        """The runs against the opponents, with scores where random and opponents differ, and remarks."""
        from magail_trainer.data.joint_policies import make_joint_policy
        from magail_trainer.play.cross_play import choose_sides, cross_play, make_side_reference
        from magail_trainer.play.scores import add_scores

        sides = choose_sides(list(trained.codes.actions), self.side)
        arguments = key_values(self.opponent_args, flag="--opponent-args")
        expert, opponents = (make_joint_policy(self.opponents, trained.entry, arguments) for _ in range(2))
        reference = make_side_reference(trained.entry, expert, opponents, sides=sides, **self._how())
        evaluation = cross_play(trained, opponents, sides=sides, **self._how())
        who = display_path(self.opponents)
        ends = (f"the random joint policy against {who}", f"{who} against {who}")
        return add_scores(evaluation, reference), _explain(reference, ends, evaluation.label)

    def _how(self) -> dict[str, int]:
        return {"episodes": self.episodes, "seed": self.seed, "processes": self.processes}


def _explain(reference: "Reference", players: tuple[str, str], label: Callable[["Earner"], str]) -> list[str]:
    """What the scores mean, and which earners or sides have none; `players` are who scores 0 and who 1."""
    ends = [
        f"{number} is {who} ({', '.join(f'{label(name)} {value:.4f}' for name, value in returns.items())})"
        for number, (who, returns) in enumerate(zip(players, (reference.random, reference.expert), strict=True))
    ]
    without = [label(name) for name in reference.random if not reference.has_span(name)]
    why = "random and expert earn the same, or are less than three standard errors apart"
    if len(without) == len(reference.random):
        return [f"No scores, for {why}: {'; '.join(end.partition(' is ')[2] for end in ends)}."]
    remarks = [f"No score for {', '.join(without)}: {why}."] if without else []
    return [f"Scores: {'; '.join(ends)}.", *remarks]


def _print_runs(evaluation: "Evaluation", episodes: int) -> None:
    """A row for each run: first what it earned, then its scores and the joint actions where there are any."""
    from magail_trainer.play.results import apart

    keys = {name: evaluation.rows[name] for name in ("side", "beta", "seed") if name in evaluation.rows}
    for title, measured in (
        (f"Mean return of {counted(episodes, 'episode')}:", evaluation.returns),
        ("Score:", evaluation.scores),
    ):
        columns = dict(keys)
        for (acting, earner), values in measured.items():
            name = evaluation.label(earner)
            columns[apart(name if acting == "sampled" else f"greedy {name}", columns)] = values
        if measured:
            _print_table(title, columns)
    if evaluation.shares:
        shares = {f"P{action}": values for action, values in evaluation.shares.items()}
        _print_table("Share of each joint action:", keys | shares)


def _print_table(title: str, columns: Mapping[str, list[Any]]) -> None:
    betas = {"beta": [f"{beta:g}" for beta in columns["beta"]]}
    print("\n".join([title, *aligned({**columns, **betas}), ""]))
