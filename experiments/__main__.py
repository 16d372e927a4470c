"""Lists the commands of this package: `python -m experiments`."""

import ast
import sys
from pathlib import Path


def commands() -> dict[str, str]:
    """The commands and what each does: the first line of its docstring. None is imported."""
    files = sorted(file for file in Path(__file__).parent.glob("*.py") if not file.name.startswith("__"))
    docstrings = {file.stem: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) for file in files}
    return {name: (text or "").partition("\n")[0] for name, text in docstrings.items()}


if __name__ == "__main__":
    if words := [word for word in sys.argv[1:] if word not in ("-h", "--help")]:
        print(
            f"python -m experiments: it takes no arguments, not {words[0]!r}; without any, it lists the commands.",
            file=sys.stderr,
        )
        raise SystemExit(2)
    print("Experiments; each explains its flags with --help:\n")
    for name, sentence in commands().items():
        print(f"  python -m experiments.{name:16}{sentence}")
