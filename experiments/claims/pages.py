"""One report, written twice: Markdown with its figures beside it, and a single HTML file that needs nothing else."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from experiments.studies.criteria import markdown_table

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: #1a1a1a; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1.25rem; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 3rem; padding-top: 1.25rem; border-top: 1px solid #d0d0d0; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; font-size: 0.92rem; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.7rem 0.35rem 0; border-bottom: 1px solid #e2e2e2;
  overflow-wrap: anywhere; }
th { border-bottom: 2px solid #888; }
pre { background: #f4f4f4; padding: 0.7rem 0.9rem; border-radius: 4px; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: 0.88rem; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption { color: #444; font-size: 0.92rem; }
.verdict { display: inline-block; margin: 0; padding: 0.1rem 0.6rem; border-radius: 4px; font-weight: 600;
  border: 2px solid; }
.good { border-color: #0072b2; color: #004f7d; }
.mixed { border-color: #e69f00; color: #7a5400; border-style: dashed; }
.bad { border-color: #d55e00; color: #9c4500; border-style: double; border-width: 4px; }
@media print { body { max-width: none; } figure, table { break-inside: avoid; } }
""".strip()


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is the report's own."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Plain text, without markup."""

    text: str


@dataclass(frozen=True)
class Badge:
    """A few words that stand out, in a tone: good, mixed or bad."""

    text: str
    tone: str


@dataclass(frozen=True)
class Grid:
    """Plain texts under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Command:
    """Lines for the shell."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Picture:
    """A PNG file with a caption that says what it shows."""

    file: Path
    caption: str


Block = Heading | Paragraph | Badge | Grid | Command | Picture


def markdown(blocks: Sequence[Block], *, base: Path) -> str:
    """The report as Markdown.

    Args:
        blocks: in their order.
        base: the folder in which the text will lie; pictures are named from there.
    """
    return "\n\n".join(_markdown(block, base) for block in blocks) + "\n"


def html(blocks: Sequence[Block]) -> str:
    """The report as one HTML page with its style and pictures inside, and no script.

    Raises:
        OSError: a picture cannot be read.
    """
    title = next((block.text for block in blocks if isinstance(block, Heading)), "Report")
    head = (
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>"
    )
    body = "\n".join(_html(block) for block in blocks)
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _markdown(block: Block, base: Path) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return _plain(text)
        case Badge(text):
            return f"**{_plain(text)}**"
        case Grid(header, rows):
            header, *rows = [[_plain(cell) for cell in line] for line in (header, *rows)]
            return "\n".join(markdown_table(header, rows))
        case Command(lines):
            return "\n".join(["```bash", *lines, "```"])
        case Picture(file, caption):
            return f"![{_plain(caption)}]({file.relative_to(base).as_posix()})\n\n*{_plain(caption)}*"


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Badge(text, tone):
            return f'<p class="verdict {escape(tone)}">{escape(text)}</p>'
        case Grid(header, rows):
            head, body = _row(header, "th"), "\n".join(_row(row, "td") for row in rows)
            return f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        case Command(lines):
            return "<pre><code>" + escape("\n".join(lines)) + "</code></pre>"
        case Picture(file, caption):
            data = base64.b64encode(file.read_bytes()).decode("ascii")
            image = f'<img src="data:image/png;base64,{data}" alt="{escape(caption)}">'
            return f"<figure>\n{image}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"


def _row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in a table, too."""
    return re.sub(r"[\\*_`\[\]<|]", r"\\\g<0>", text)
