"""JSON and npz files, with one sentence for whatever is wrong with them. No pickles."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from magail_trainer.errors import InputError
from magail_trainer.folders import recover


def plain_json(value: Any) -> Any:
    """`value` as JSON has it: tuples are lists.

    Raises:
        InputError: it cannot be written as JSON.
    """
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise InputError(f"{value!r} cannot be written as JSON: {error}.") from error


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write an indented JSON object."""
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(file: Path, *, what: str, kind: str, version: int) -> dict[str, Any]:
    """Read the JSON object that says of its folder that it is a `what`, by the format `kind` and the version.

    Raises:
        InputError: there is none, or it says something else.
    """
    folder = str(file.parent)
    recover(file.parent)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"its {file.name} cannot be read ({error.strerror})"
        raise InputError(f"{folder!r} is no {what}: {reason}.") from error
    except ValueError as error:
        raise InputError(f"{str(file)!r} is not the JSON that it should be ({error}).") from error
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (kind, version):
        raise InputError(f"{folder!r} is no {what} of this version: {file.name} does not say {kind!r} {version}.")
    return content


def write_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz file; the same arrays make the same bytes."""
    # Contiguous, else the order of an array's axes would show in its bytes.
    np.savez(file, **{name: np.ascontiguousarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]


def read_bytes(file: Path) -> bytes:
    """All of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{str(file)!r} cannot be read ({error.strerror}).") from error


def read_arrays(file: Path, data: bytes | None = None) -> dict[str, np.ndarray]:
    """The arrays of an npz file; from `data` if its bytes were read before.

    Raises:
        InputError: it cannot be read, or is broken, or holds pickled objects.
    """
    try:
        with np.load(io.BytesIO(read_bytes(file) if data is None else data), allow_pickle=False) as arrays:
            return dict(arrays)
    except InputError:
        raise
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError(f"{str(file)!r} is not the npz file that it should be ({error}).") from error
