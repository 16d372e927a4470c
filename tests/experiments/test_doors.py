"""The commands of `experiments`: they are listed, and explain themselves without loading what does the work."""

import re
import subprocess
import sys
from pathlib import Path

from experiments import coordination as door
from experiments.__main__ import commands
from experiments.matching import coordination

CHECKOUT = Path(__file__).parents[2]
HELP = """
import runpy, sys
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    try:
        runpy.run_module(f"experiments.{name}", run_name="__main__")
    except SystemExit as stop:
        assert stop.code == 0, name
from experiments.coordination import CoordinationConfig
loaded = {"torch", "matplotlib", "scipy"} & sys.modules.keys()
assert not loaded, loaded
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_the_commands_are_listed_with_a_sentence_each() -> None:
    listed = python("-m", "experiments").stdout
    assert len(commands()) == 9
    for name, sentence in commands().items():
        assert sentence.endswith(".")
        assert f"python -m experiments.{name} " in listed


def test_a_word_that_is_no_command_is_one_sentence_and_exit_code_2() -> None:
    done = python("-m", "experiments", "nosuch")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "'nosuch'" in done.stderr


def test_every_help_is_shown_without_torch_matplotlib_and_scipy() -> None:
    done = python("-c", HELP, *commands())
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"usage: python -m experiments\.(\w+) ", done.stdout) == list(commands())


def test_the_main_experiment_is_there_for_python() -> None:
    assert door.run_experiment is coordination.run_experiment
    assert door.CoordinationConfig is coordination.CoordinationConfig
