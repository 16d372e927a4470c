"""The commands of `experiments`: they are listed, and explain themselves without loading what does the work."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.__main__ import commands

CHECKOUT = Path(__file__).parents[2]
HELP = """
import runpy, sys
sys.argv = ["door", "--help"]
try:
    runpy.run_module("experiments.{name}", run_name="__main__")
except SystemExit as stop:
    assert stop.code == 0
assert not {{"torch", "matplotlib", "scipy"}} & sys.modules.keys()
"""


def python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_are_listed_with_a_sentence_each() -> None:
    listed = python("-m", "experiments")
    assert len(commands()) == 9
    for name, sentence in commands().items():
        assert sentence.endswith(".")
        assert f"python -m experiments.{name} " in listed


def test_a_word_that_is_no_command_is_one_sentence_and_exit_code_2() -> None:
    command = [sys.executable, "-m", "experiments", "nosuch"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "'nosuch'" in done.stderr


@pytest.mark.parametrize("name", list(commands()))
def test_help_loads_neither_torch_nor_matplotlib_nor_scipy(name: str) -> None:
    assert "--help" in python("-c", HELP.format(name=name))


def test_the_main_experiment_is_there_for_python() -> None:
    python("-c", "from experiments.coordination import CoordinationConfig, run_experiment")
