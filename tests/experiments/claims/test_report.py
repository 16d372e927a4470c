"""The report: one HTML file that needs nothing else, commands that repeat, parts that are not done again."""

import base64
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.claims import report
from experiments.claims.claim import Claim
from experiments.claims.pages import Block, Command, Heading, Paragraph, Picture, Table, Verdict, html, markdown
from experiments.claims.parts import Below, Plan
from experiments.claims.report import ReportConfig, plan_of, run_report
from experiments.claims.text import blocks_of
from experiments.matching.coordination import CoordinationConfig
from experiments.studies.criteria import Criterion
from experiments.studies.jobs import command_of, run_jobs
from magail_trainer.cli.command_line import parse
from magail_trainer.errors import InputError

torch.set_num_threads(1)

CHECKOUT = Path(report.__file__).parents[2]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Collects tags, addresses and text, and insists that tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def assert_self_contained(page: str, *, pictures: int) -> None:
    reader = read(page)
    assert len(reader.addresses) == reader.tags.count("img") == pictures
    assert all(address.startswith("data:image/png;base64,") for address in reader.addresses)
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert not re.search(r"https?://|url\(|@import", page)


def blocks(folder: Path) -> list[Block]:
    (folder / "figures").mkdir()
    (folder / "figures" / "one.png").write_bytes(PNG)
    return [
        Heading("A & B", 1),
        Paragraph("1 < 2, [0, 1], lr_disc * 2"),
        Verdict("NOT reproduced", "bad"),
        Table(("expected", "seen"), [("a | b", "<script>alert(1)</script>")]),
        Command(["python -m experiments.report", "echo '<&>'"]),
        Picture(folder / "figures" / "one.png", 'a "figure"'),
    ]


def test_the_page_holds_its_figures_and_escapes_its_text(tmp_path: Path) -> None:
    page = html(blocks(tmp_path))
    assert_self_contained(page, pictures=1)
    assert base64.b64encode(PNG).decode() in page
    text = read(page).text
    for said in ("A & B", "1 < 2, [0, 1], lr_disc * 2", "a | b", "<script>alert(1)</script>", "echo '<&>'"):
        assert said in text


def test_the_markdown_says_the_same_with_figures_beside_it(tmp_path: Path) -> None:
    text = markdown(blocks(tmp_path), base=tmp_path)
    assert text.startswith("# A & B\n\n")
    assert "\n| expected | seen |\n| --- | --- |\n| a \\| b | \\<script>alert(1)\\</script> |\n" in text
    assert "```bash\npython -m experiments.report\necho '<&>'\n```" in text  # code is left alone
    (picture,) = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert (tmp_path / picture).read_bytes() == PNG


def test_every_claim_stands_with_evidence_seeds_and_command(tmp_path: Path) -> None:
    (tmp_path / "phase_diagram.png").write_bytes(PNG)
    good = Claim("Water is wet", "At 20 °C.", [Criterion("wet", "0.9 [0.8, 1]", True)], [], "", "7 seeds", ["cmd 1"])
    limit = Criterion("ice is not", "0.1 [0, 0.2]", True)
    claims = [
        replace(good, figures=("phase_diagram", "correlation")),
        replace(good, limits=[limit], qualification="Not ice.", figures=("phase_diagram",)),
        replace(good, criteria=[Criterion("wet", "0.2", False)]),
    ]
    made = blocks_of(claims, tmp_path, command="python -m experiments.report --quick", note="Quick.")
    text = read(html(made)).text
    assert [block.text for block in made if isinstance(block, Verdict)] == [
        "reproduced", "reproduced, with a qualification", "NOT reproduced",
    ]  # fmt: skip
    assert text.count("7 seeds") == 6  # in the summary, and with each
    assert text.count("cmd 1") == 3
    assert text.count("Not ice.") == 1
    assert "Quick." in text
    # once, where it is first spoken of; and none that is not there
    assert [block.file.name for block in made if isinstance(block, Picture)] == ["phase_diagram.png"]


def test_the_command_of_settings_makes_them_again() -> None:
    plan = plan_of(ReportConfig(quick=True))
    configs = {"coordination": list(plan.games.values()), "phase_portrait": list(plan.portraits.values())}
    configs |= {"phase_diagram": [plan.diagram], "correlation": [plan.correlation]}
    for module, all_ in configs.items():
        for config in all_:
            command = command_of(module, config).split()
            assert command[:3] == ["python", "-m", f"experiments.{module}"]
            again: Any = parse(type(config), prog="again", args=command[3:])
            assert replace(again, output=config.output, **_jobs(config)) == config
    assert command_of("coordination", CoordinationConfig(exact=True, seeds=(1, 2), output=Path("x"))) == (
        "python -m experiments.coordination --expert_type bimodal --seeds 1 2 --exact"
    )


def _jobs(config: Any) -> dict[str, Any]:
    return {"jobs": config.jobs} if hasattr(config, "jobs") else {}


@pytest.mark.parametrize("quick", [True, False])
def test_parts_have_folders_of_their_own(quick: bool) -> None:  # noqa: FBT001
    jobs = plan_of(ReportConfig(quick=quick)).jobs()
    assert len({job.name for job in jobs}) == len(jobs)
    sections = {"correlation", "phase_diagram", "phase_portrait", "suggested_runs", "games"}
    assert {job.name.split("/")[0] for job in jobs} == sections


def test_a_quick_portrait_is_one_of_the_settings_that_quick_stands_for() -> None:
    (quick,) = plan_of(ReportConfig(quick=True)).portrait_parts()
    assert quick.command() == "python -m experiments.phase_portrait --quick"
    spelt_out = replace(quick, config=replace(quick.config, quick=False, seeds=5, epochs=1000))
    assert quick.settings() == spelt_out.settings()
    assert "quick" not in quick.settings()


@dataclass(frozen=True)
class Counted:
    """A part that notes when it is done, and is interrupted where its name says so."""

    name: str
    log: Path
    interrupted: bool = False

    def settings(self) -> dict[str, Any]:
        return {"name": self.name}

    def fill(self, folder: Path) -> str:
        (folder / "content").write_text(self.name)
        if self.interrupted:
            raise KeyboardInterrupt
        with self.log.open("a") as stream:
            stream.write(f"{self.name}\n")
        return "done"


def test_an_interrupted_report_goes_on_and_does_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, output = tmp_path / "log", tmp_path / "report"
    config = ReportConfig(output=output, jobs=1, quick=True)
    monkeypatch.setattr(report, "write_report", lambda plan, **_: [])

    def parts(*, interrupted: bool) -> list[Below]:
        names = {"A": False, "B": interrupted, "C": False}
        return [Below("suggested_runs", Counted(name, log, stop)) for name, stop in names.items()]

    monkeypatch.setattr(Plan, "check", lambda self: None)
    monkeypatch.setattr(Plan, "jobs", lambda self: parts(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        run_report(config)
    assert [path.name for path in (output / "suggested_runs").iterdir()] == ["A"]  # no half of B
    monkeypatch.setattr(Plan, "jobs", lambda self: parts(interrupted=False))
    assert run_report(config) == run_report(config) == []
    assert log.read_text().split() == ["A", "B", "C"]


def test_parts_of_other_settings_are_refused(tmp_path: Path) -> None:
    plan = plan_of(ReportConfig(output=tmp_path, quick=True))
    (part,) = [part for part in plan.game_parts() if part.name == "matching_3"]
    other = replace(part, config=replace(part.config, seeds=(0, 1), epochs=5, eval_episodes=2))
    run_jobs([Below("games", other)], tmp_path, processes=1)
    with pytest.raises(InputError, match="was made with seeds="):
        plan.check()
    replace(plan, games={**plan.games, "matching_3": other.config}).check()
    with pytest.raises(InputError, match="There is a part 'matching_3', which is not this report's"):
        replace(plan, games={}).check()


@pytest.mark.slow
def test_a_quick_report_is_whole_and_is_not_made_twice(tmp_path: Path) -> None:
    def start() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "experiments.report", "--quick", "--output", str(tmp_path / "report")]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    done = start()
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == ""  # no progress bar where there is no terminal
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    figures = sorted((tmp_path / "report" / "figures").glob("*.png"))
    assert_self_contained(page, pictures=len(figures))
    for figure in figures:
        assert base64.b64encode(figure.read_bytes()).decode() in page
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "This is a quick look" in text
    assert len(re.findall("^## ", text, flags=re.MULTILINE)) == 8
    made = {file: file.stat().st_mtime_ns for file in (tmp_path / "report").rglob("settings.json")}
    assert len(made) == len(plan_of(ReportConfig(quick=True)).jobs())
    again = start()
    assert again.returncode == done.returncode
    assert f"{len(made)} of {len(made)} parts were finished before." in again.stdout
    assert {file: file.stat().st_mtime_ns for file in made} == made
