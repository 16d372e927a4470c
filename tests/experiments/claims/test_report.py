"""The report: one HTML file that needs nothing else, commands that repeat, parts that are not done again."""

import base64
import re
import subprocess
import sys
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.claims import report
from experiments.claims.claim import Claim, Figure, Finding, Limit
from experiments.claims.games import PAYOFFS_UNSEEN, SAME_DEMONSTRATIONS
from experiments.claims.pages import Badge, Block, Command, Grid, Heading, Paragraph, Picture, html, markdown
from experiments.claims.parts import (
    Part,
    all_parts,
    check_parts,
    correlation_config,
    game_configs,
    game_part,
    portrait_part,
)
from experiments.claims.report import CLAIMS, ReportConfig, expected_figures, parts_of, run_report
from experiments.claims.text import Examined, blocks_of
from experiments.matching.coordination import CoordinationConfig
from experiments.studies.commands import command_of, settings_of
from experiments.studies.criteria import Criterion
from experiments.studies.jobs import run_jobs
from experiments.theory.phase_diagram import PhaseConfig
from experiments.theory.phase_portrait import PhasePortraitConfig
from magail_trainer.cli.command_line import parse
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from tests.experiments.matching.sweeps import changed

torch.set_num_threads(1)

CHECKOUT = Path(report.__file__).parents[2]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Reader(HTMLParser):
    """Collects tags, addresses and text, and insists that tags are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.tags, self.addresses, self.text = list[str](), list[str](), list[str](), ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_self_contained(page: str, *, pictures: int) -> None:
    reader = Reader(page)
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
        Badge("NOT reproduced", "bad"),
        Grid(("expected", "seen"), [("a | b", "<script>alert(1)</script>")]),
        Command(["python -m experiments.report", "echo '<&>'"]),
        Picture(folder / "figures" / "one.png", 'a "figure"'),
    ]


def test_the_page_holds_its_figures_and_escapes_its_text(tmp_path: Path) -> None:
    page = html(blocks(tmp_path))
    assert_self_contained(page, pictures=1)
    assert base64.b64encode(PNG).decode() in page
    text = Reader(page).text
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
    (tmp_path / "map.png").write_bytes(PNG)
    drawn, missing = (Figure(name, f"{name}.png", "A map.") for name in ("map", "none"))
    claim = Claim("Water is wet", "At 20 °C.", (), lambda _: good, (missing, drawn))
    good = Finding([Criterion("wet", "0.9 [0.8, 1]", True)], [], "7 seeds")
    ice, steam = (
        Limit(name, "0.1 [0, 0.2]", holds, f"Not {name}.") for name, holds in (("ice", True), ("steam", False))
    )
    findings = [good, replace(good, limits=[ice, steam]), replace(good, criteria=[Criterion("wet", "0.2", False)])]
    examined = [Examined(claim, finding, ["cmd 1"]) for finding in findings]
    made = blocks_of(examined, tmp_path, command="python -m experiments.report --quick", note="Quick.")
    text = Reader(html(made)).text
    assert [block.text for block in made if isinstance(block, Badge)] == [
        "reproduced", "reproduced, with a qualification", "NOT reproduced",
    ]  # fmt: skip
    assert text.count("7 seeds") == 6  # in the summary, and with each
    assert text.count("cmd 1") == 3
    assert (text.count("Not ice."), text.count("Not steam.")) == (1, 0)
    assert "Quick." in text
    # once, where it is first needed; and none that is not there
    assert [block.file.name for block in made if isinstance(block, Picture)] == ["map.png"]


def test_the_command_of_settings_makes_them_again() -> None:
    portraits = [PhasePortraitConfig(quick=True), PhasePortraitConfig(reward_style="non_saturating")]
    configs = {"coordination": list(game_configs(quick=True).values()), "phase_portrait": portraits}
    configs |= {"phase_diagram": [PhaseConfig(quick=True)], "correlation": [correlation_config(quick=True)]}
    for module, all_ in configs.items():
        for config in all_:
            command = command_of(module, config).split()
            assert command[:3] == ["python", "-m", f"experiments.{module}"]
            again: Any = parse(type(config), prog="again", args=command[3:])
            assert command_of(module, again) == command_of(module, config)
            assert settings_of(again) == settings_of(config)
    exact = CoordinationConfig(training=MagailConfig(network="tabular", exact=True), seeds=(1, 2), output=Path("x"))
    assert command_of("coordination", exact) == (
        "python -m experiments.coordination --expert_type bimodal --seeds 1 2 --exact"
    )


@pytest.mark.parametrize("quick", [True, False])
def test_claims_need_every_part_and_every_part_has_a_folder_of_its_own(quick: bool) -> None:  # noqa: FBT001
    names = [part.name for part in parts_of(ReportConfig(quick=quick))]
    assert names == [part.name for part in all_parts(quick=quick)]
    assert len(set(names)) == len(names)
    for claim in CLAIMS:
        assert all(any(fnmatch(name, pattern) for name in names) for pattern in claim.needs), claim.title
        studies = {figure.file.split("/")[0] for figure in claim.figures}
        assert studies <= {pattern.split("/")[0] for pattern in claim.needs}, claim.title


def test_the_figures_of_all_parts_are_expected() -> None:
    full, quick = (expected_figures(parts_of(ReportConfig(quick=quick))) for quick in (False, True))
    assert set(full) == {figure.file for claim in CLAIMS for figure in claim.figures}
    assert set(full) - set(quick) == {"phase_portrait/non_saturating/portrait/figure.png"}


def test_a_part_that_no_claim_needs_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "CLAIMS", (PAYOFFS_UNSEEN,))
    assert {part.name for part in parts_of(ReportConfig())} == set(SAME_DEMONSTRATIONS)


def test_a_quick_portrait_is_one_of_the_settings_that_quick_stands_for() -> None:
    config = PhasePortraitConfig(quick=True)
    quick, spelt_out = (portrait_part(c) for c in (config, replace(config, quick=False, seeds=5, epochs=1000)))
    assert quick.command == "python -m experiments.phase_portrait --quick"
    assert quick.settings() == spelt_out.settings()
    assert "quick" not in quick.settings()


def test_an_interrupted_report_goes_on_and_does_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, trained, interrupted = ReportConfig(output=tmp_path / "report", jobs=1), [], ["B"]

    def train(name: str, folder: Path) -> str:
        (folder / "content").write_text(name)
        if name in interrupted:
            raise KeyboardInterrupt
        trained.append(name)
        return "done"

    parts = [Part(f"suggested_runs/{name}", "", {"name": name}, partial(train, name)) for name in "ABC"]
    monkeypatch.setattr(report, "parts_of", lambda _: parts)
    monkeypatch.setattr(report, "write_report", lambda *_, **__: [])
    monkeypatch.setattr(report, "draw_studies", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        run_report(config)
    assert [path.name for path in (tmp_path / "report" / "suggested_runs").iterdir()] == ["A"]  # no half of B
    interrupted.clear()
    assert run_report(config) == run_report(config) == []
    assert trained == ["A", "B", "C"]


def test_parts_of_other_settings_are_refused(tmp_path: Path) -> None:
    parts = [part for part in all_parts(quick=True) if part.place == "games"]
    config = changed(game_configs(quick=True)["matching_3"], seeds=(0, 1), epochs=5, eval_episodes=2)
    other = game_part("matching_3", config)
    run_jobs([other], tmp_path, processes=1)
    with pytest.raises(InputError, match="was made with seeds="):
        check_parts(parts, tmp_path)
    check_parts([other], tmp_path)
    with pytest.raises(InputError, match="There is a part 'games/matching_3', which is not this report's"):
        check_parts([part for part in parts if part.name != other.name], tmp_path)


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
    assert len(made) == len(parts_of(ReportConfig(quick=True)))
    again = start()
    assert again.returncode == done.returncode
    assert f"{len(made)} of {len(made)} parts were finished before." in again.stdout
    assert {file: file.stat().st_mtime_ns for file in made} == made
