"""The command `magail evaluate`. Torch is imported when it is executed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from magail_trainer.cli.command_line import key_values
from magail_trainer.data.run_folder import write_table
from magail_trainer.errors import InputError
from magail_trainer.folders import new_file, no_empty_folders
from magail_trainer.text import aligned, counted, display_path

if TYPE_CHECKING:
    from magail_trainer.play.results import Evaluation


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

        from magail_trainer.play.evaluate_run import evaluate_run
        from magail_trainer.play.scores import summarise

        torch.set_num_threads(1)
        if self.opponent_args and not self.opponents:
            given = " ".join(self.opponent_args)
            raise InputError(f"--opponent_args {given} needs --opponents, which names who plays against the run.")
        with self._prepared_output() as file:
            evaluation = evaluate_run(
                self.run,
                episodes=self.episodes,
                seed=self.seed,
                dataset=self.dataset,
                opponents=self.opponents,
                opponent_arguments=key_values(self.opponent_args, flag="--opponent-args"),
                side=self.side,
                processes=self.processes,
            )
            if file is not None:
                write_table(file, evaluation.table())
        _print_runs(evaluation, self.episodes)
        _print_table("Over seeds, the interquartile mean and its 95 % bootstrap interval:", summarise(evaluation))
        print("\n".join(evaluation.remarks))
        if self.output is not None:
            print(f"Wrote {display_path(self.output)}.")

    @contextmanager
    def _prepared_output(self) -> Iterator[Path | None]:
        """Where to write the table, if anywhere. See now that it can be written, not after an hour of playing."""
        if self.output is None:
            yield None
            return
        if self.output.is_dir():
            raise InputError(f"{str(self.output)!r} is a folder; expected the name of a CSV file.")
        if self.output.exists() and not self.overwrite:
            raise InputError(f"{str(self.output)!r} already exists; choose another file or add --overwrite.")
        with no_empty_folders(self.output.parent):
            self.output.parent.mkdir(parents=True, exist_ok=True)
            with new_file(self.output) as file:
                yield file


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
