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
    """Evaluate trained policies in their environment, each run alone or against other players.

    A score is a return rescaled so that the random joint policy scores 0 and the expert 1. Against opponents, the
    return is the mean over the agents of the run's side; there 0 and 1 are the returns of the random joint policy and
    of the opponents' own policy on that side, from independent episodes.
    """

    run: tyro.conf.Positional[Path]
    """A run folder of train or clone."""
    episodes: int = 1000
    """Episodes per run: this many with sampled actions, and as many with each agent's likeliest action (greedy)."""
    seed: int = 0
    """The random seed; runs with the same training seed share random numbers."""
    dataset: Path | None = None
    """The expert's episodes; by default the run's training dataset. What this expert earns is a score of 1: it is
    played anew where it is one of the env's own, else it is the mean return of these episodes."""
    opponents: str = ""
    """A joint policy, as for record --expert, to play the agents that are not in --side. Its own return on that side
    is a score of 1."""
    opponent_args: tuple[str, ...] = ()
    """NAME=VALUE arguments of the opponents."""
    side: tuple[str, ...] = ()
    """The agents that the run plays against the opponents; by default each in turn."""
    output: Path | None = None
    """A CSV file for the table of all runs."""
    max_episode_steps: int | None = None
    """Cut episodes off after so many steps; by default as in the training."""
    processes: int = 1
    """Processes that step the copies of an env without a native vector env."""
    timeout: float | None = None
    """Seconds that a worker process has for a reset or a step of its copies; with it there is one at least."""
    trust: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Import the env and the network that the run folder names, whoever made it."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace an existing file."""

    def __call__(self) -> None:
        """Print each run's returns and their summary over seeds; write the table if asked to."""
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
                max_episode_steps=self.max_episode_steps,
                timeout=self.timeout,
                trust=self.trust,
            )
            if file is not None:
                write_table(file, evaluation.table())
        _print_runs(evaluation, self.episodes)
        _print_table("Over seeds, the interquartile mean and its 95 % interval:", summarise(evaluation))
        print("\n".join(evaluation.remarks))
        if self.output is not None:
            print(f"Wrote {display_path(self.output)}.")

    @contextmanager
    def _prepared_output(self) -> Iterator[Path | None]:
        """The file to write the table to, if any; checked before the episodes are played."""
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
    """A row for each run: its returns, then scores and joint actions, if any."""
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
