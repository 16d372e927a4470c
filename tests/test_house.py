"""Rules of the house: who may import whom, and that the README keeps its word."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FORBIDDEN = {
    "coordination_env": {"magail_trainer", "experiments", "tests", "torch"},  # scipy: only when needed
    "magail_trainer": {"coordination_env", "experiments", "tests"},
    "experiments": {"tests"},
}
ROOMS = {  # room -> the rooms of its package that it may import; all may import the ground: files beside the rooms
    "magail_trainer": {
        "ground": set(),
        "envs": set(),
        "data": {"envs"},
        "learn": {"envs", "data"},
        "play": {"envs", "data", "learn"},
        "cli": {"envs", "data", "learn", "play"},
    },
    "experiments": {
        "studies": set(),
        "matching": {"studies"},
        "theory": {"studies", "matching"},
        "particles": {"studies", "matching", "mpe_envs"},  # matching: how figures look
        "mpe_envs": {"particles"},  # each env offers its experts
        "claims": {"studies", "matching", "theory"},
    },
}
"""The doors, `experiments/*.py`, may import every room, and no room imports a door."""


def imports(file: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def rooms(package: str, file: Path) -> set[str]:
    """The rooms of a package that a file imports; its modules outside of all rooms are `ground`."""
    modules = [name.split(".") for name in imports(file) if name.split(".")[0] == package]
    return {parts[1] if len(parts) > 1 and parts[1] in ROOMS[package] else "ground" for parts in modules}


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_arrows_run_one_way(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        assert not {name.split(".")[0] for name in imports(file)} & FORBIDDEN[package], file


@pytest.mark.parametrize(("package", "room"), [(package, room) for package in ROOMS for room in ROOMS[package]])
def test_rooms_import_only_what_lies_below_them(package: str, room: str) -> None:
    folder = ROOT / package / ("" if room == "ground" else room)
    files = [file for file in folder.glob("*.py") if file != ROOT / package / "__init__.py"]  # that offers names of all
    assert files
    below = {room, *ROOMS[package][room], *(["ground"] if package == "magail_trainer" else [])}
    for file in files:
        assert rooms(package, file) <= below, file


def test_doors_are_short() -> None:
    for door in (ROOT / "experiments").glob("*.py"):
        assert len(door.read_text(encoding="utf-8").splitlines()) <= 60, door


def test_datasets_are_read_without_torch() -> None:
    modules = "coordination_env, magail_trainer.data.trajectories, magail_trainer.cli"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(blocks("python"))))
def test_python_of_the_readme_runs(index: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[index]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def magail_blocks() -> list[str]:
    """The README's commands: on any env, with parts of one's own, on particles."""
    blocks_of_magail = [block for block in blocks("bash") if block.startswith("magail")]
    assert len(blocks_of_magail) == 3
    return blocks_of_magail


@pytest.mark.slow
def test_magail_commands_of_the_readme_run(tmp_path: Path) -> None:
    commands, own_parts, _ = magail_blocks()
    done = run(commands.replace("--epochs 2000", "--epochs 20"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demos" / "manifest.json").exists()
    assert (tmp_path / "run" / "runs.csv").exists()
    (my_parts,) = [block for block in blocks("python") if "def clipped" in block]
    (tmp_path / "my_parts.py").write_text(my_parts, encoding="utf-8")
    done = run(own_parts, tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("clipped", "linear", "tanh"):
        assert (tmp_path / name / "runs.csv").exists()


@pytest.mark.slow
def test_particle_commands_of_the_readme_run(tmp_path: Path) -> None:
    commands = magail_blocks()[2]
    for command, faster in (("clone", "--updates 20"), ("train", "--epochs 2 --rollout_episodes 8")):
        commands = commands.replace(f"magail {command} ", f"magail {command} {faster} ")
    done = run(commands.replace("--episodes 500", "--episodes 20"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Scores: 0 is the random joint policy" in done.stdout


def test_the_algorithm_is_read_in_eight_files_and_1800_lines() -> None:
    steps = re.findall(r"^\d\. \[`\w+\.py`\]\((.*?)\)", README, flags=re.MULTILINE)
    assert 1 <= len(steps) <= 8
    assert sum(len((ROOT / step).read_text(encoding="utf-8").splitlines()) for step in steps) <= 1800


@pytest.mark.slow
def test_first_command_of_the_readme_ends_with_the_figure_and_the_summary(tmp_path: Path) -> None:
    install, main_job = blocks("bash")[0].strip().split(" && ")
    assert install == "python -m pip install -e ."
    done = run(main_job, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("β=")] == [
        "β=0.0", "β=0.1", "β=0.5", "β=1.0", "β=2.0", "β=5.0"
    ]  # fmt: skip
    (figure,) = tmp_path.glob("results/coordination/*/figure.png")
    assert figure.stat().st_size > 50_000


def test_ci_runs_the_second_command_of_the_readme() -> None:
    install, tests = blocks("bash")[1].strip().split(" && ")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"{install} --quiet && {tests}" in script


def test_torch_stays_below_the_release_that_pulls_in_cuda() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (torch,) = [requirement for requirement in project["dependencies"] if requirement.startswith("torch")]
    assert torch == "torch>=2.6,<2.14"
