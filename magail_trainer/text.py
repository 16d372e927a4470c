"""How messages show numbers, paths and tables."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def display_path(path: str | Path) -> str:
    """`path` as a message shows it: relative to the working directory where it lies below it."""
    resolved = Path(path).resolve()
    return str(resolved.relative_to(Path.cwd())) if resolved.is_relative_to(Path.cwd()) else str(path)


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 run`, `2 runs`; `plural` for a noun whose plural has more than an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def aligned(columns: Mapping[str, Iterable[Any]]) -> list[str]:
    """A table as lines: the names, then the rows; texts to the left, numbers to the right, with four decimals.

    Args:
        columns: name -> values, of one length.
    """
    lines: list[list[str]] = []
    for name, values in columns.items():
        values = list(values)
        cells = [name, *(f"{value:z.4f}" if isinstance(value, float) else str(value) for value in values)]
        width = max(len(cell) for cell in cells)
        texts = bool(values) and isinstance(values[0], str)
        lines.append([cell.ljust(width) if texts else cell.rjust(width) for cell in cells])
    return ["  ".join(row).rstrip() for row in zip(*lines, strict=True)]
