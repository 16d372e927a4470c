"""Names for the parts of a game: agents, joint actions, conventions, and its usual expert.

Columns and figures call actions by letters, A for the first; `legend` says what they stand for.
"""

from string import ascii_uppercase
from typing import Literal, get_args

import numpy as np

from coordination_env.equilibria import pure_nash_equilibria
from coordination_env.games import MatrixGame, matching, named_game
from magail_trainer.errors import InputError

GameName = Literal[
    "matching",
    "stag_hunt",
    "battle_of_the_sexes",
    "chicken",
    "prisoners_dilemma",
    "matching_pennies",
    "rock_paper_scissors",
]
ExpertType = Literal["mixed", "bimodal", "asymmetric", "noisy", "all_AA", "correlated_equilibrium", "pure_equilibria"]

USUAL_EXPERT: dict[GameName, ExpertType] = {
    "matching": "bimodal",
    "stag_hunt": "pure_equilibria",
    "battle_of_the_sexes": "pure_equilibria",
    "chicken": "correlated_equilibrium",
    "prisoners_dilemma": "correlated_equilibrium",
    "matching_pennies": "mixed",
    "rock_paper_scissors": "mixed",
}
"""The default expert: conventions where the game has several, else what the players would agree on."""

MOST_AGENTS = 5
"""Of the matching game: it then has 32 joint actions, each with a column and a place in the figure."""

NEITHER = "neither"
"""The `convention` of runs that follow none."""


def make_game(name: GameName, *, num_agents: int = 2) -> MatrixGame:
    """A named game; matching is for `num_agents`.

    Raises:
        InputError: more agents than the game has, or than columns can show.
    """
    if name == "matching":
        if not 2 <= num_agents <= MOST_AGENTS:
            raise InputError(f"--num_agents must be from 2 to {MOST_AGENTS}, not {num_agents}.")
        return matching(num_agents)
    game = named_game(name)
    if num_agents != game.num_agents:
        raise InputError(f"--num_agents {num_agents} is for --game matching; {name} has {game.num_agents} agents.")
    return game


def env_arguments(game: MatrixGame) -> tuple[str, dict[str, int]]:
    """The id and the keyword arguments with which the trainer makes the env of a game."""
    kwargs = {"num_agents": game.num_agents} if game.num_agents != 2 else {}
    return f"coordination_env:coordination/{game.name}-v0", kwargs


def agent_names(game: MatrixGame) -> tuple[str, ...]:
    """The env's names, in its order."""
    return tuple(f"agent_{i}" for i in range(game.num_agents))


def letters(game: MatrixGame) -> str:
    """A letter for each action of the agent with the most."""
    return ascii_uppercase[: max(game.num_actions)]


def joint_action_names(game: MatrixGame) -> tuple[str, ...]:
    """A letter per agent for each joint action, in row-major order: AA, AB, BA, BB in a 2×2 game."""
    return tuple(_name(cell) for cell in np.ndindex(*game.num_actions))


def conventions(game: MatrixGame) -> dict[str, tuple[int, ...]]:
    """The strict pure equilibria by name: AA and BB in matching, AB and BA in chicken, none in zero-sum games."""
    return {_name(cell): cell for cell in pure_nash_equilibria(game.payoffs, strict=True)}


def experts_of(game: MatrixGame) -> tuple[ExpertType, ...]:
    """The experts of a game: four are for matching alone, and `pure_equilibria` needs a convention."""
    lacking = set() if game.name == "matching" else {"bimodal", "asymmetric", "noisy", "all_AA"}
    lacking |= set() if conventions(game) else {"pure_equilibria"}
    return tuple(expert for expert in get_args(ExpertType) if expert not in lacking)


def is_the_seeds(game: MatrixGame) -> bool:
    """Whether it is the 2×2 matching game."""
    return (game.name, game.num_actions) == ("matching", (2, 2))


def title(game: MatrixGame) -> str:
    """The game in words, after "MAGAIL in "."""
    if game.name == "matching":
        return "the 2×2 matching game" if is_the_seeds(game) else f"the matching game of {game.num_agents} agents"
    return game.name.replace("_", " ").replace("prisoners dilemma", "the prisoner's dilemma")


def legend(game: MatrixGame) -> str:
    """What the letters stand for, such as "A = swerve, B = straight"; empty where they are the actions' names."""
    pairs = [(letter, name) for letter, name in zip(letters(game), game.action_names[0], strict=True)]
    return "" if game.name == "matching" else ", ".join(f"{letter} = {name}" for letter, name in pairs)


def _name(cell: tuple[int, ...]) -> str:
    return "".join(ascii_uppercase[action] for action in cell)
