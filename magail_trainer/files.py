"""JSON and npz files, with one sentence for whatever is wrong with them.

What is read may come from a stranger, or from a disk that forgets. Only plain files are opened, no links and no
devices; nothing is allocated before its size is known to be there; nothing is executed, and there are no pickles.
"""

import hashlib
import io
import json
import math
import os
import re
import stat
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from magail_trainer.errors import InputError

_AT_ONCE = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_BINARY"))
"""How files are opened: not waiting for a writer, as a pipe would, and not following a link."""
_MOST_JSON = 2**24
"""Bytes."""
_MOST_DEPTH = 64
"""Of JSON values in one another."""
_MOST_MEMBERS = 20_000
"""Of an npz file."""
_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|](?:b1|[iu][1248]|f[248]))', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \} *\n",
    re.DOTALL,
)
"""As numpy writes it for numbers in the order of this machine: what is read so is never evaluated."""


@dataclass(frozen=True)
class SealedFile:
    """A file of which is known what it holds."""

    path: Path
    sha256: str | None
    """None where nobody has recorded it."""

    def __str__(self) -> str:
        return str(self.path)


def plain_json(value: Any) -> Any:
    """`value` as JSON has it: tuples are lists.

    Raises:
        InputError: it cannot be written as JSON.
    """
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{value!r} cannot be written as JSON: {error}.") from error


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write an indented JSON object."""
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(file: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: it cannot be read, or is no JSON, or not such as this program writes: a key occurs twice, a number
            has more than 64 bits, a text is none.
    """
    data = read_bytes(file, most=_MOST_JSON)
    try:
        content = json.loads(
            data.decode("utf-8"), object_pairs_hook=_each_key_once, parse_int=_integer, parse_float=_number
        )
        _check_tree(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(file)!r} is not the JSON that it should be ({error}).") from error
    return content


def read_bytes(file: Path | SealedFile, *, most: int | None = None) -> bytes:
    """All of a plain file.

    Args:
        file: a sealed one is checked.
        most: how many bytes such a file can have.

    Raises:
        InputError: it cannot be read, or is no plain file, or too large, or not as it was sealed.
    """
    path, sha256 = (file.path, file.sha256) if isinstance(file, SealedFile) else (file, None)
    try:
        if path.is_symlink():
            raise InputError(f"{str(path)!r} is a link; expected a plain file.")
        descriptor = os.open(path, _AT_ONCE)
        try:
            _check_plain(path, os.fstat(descriptor), most)
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                data = stream.read()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read ({error.strerror}).") from error
    except MemoryError as error:
        raise InputError(f"{str(path)!r} is too large for the memory.") from error
    if sha256 is not None and sha256_of(data) != sha256:
        raise InputError(f"{str(path)!r} was altered or cut short: its SHA-256 is not the one that was recorded.")
    return data


def sha256_of(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz file; the same arrays make the same bytes."""
    # Contiguous, else the order of an array's axes would show in its bytes.
    np.savez(file, **{name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in arrays.items()})  # type: ignore[arg-type]


def read_arrays(file: Path | SealedFile) -> dict[str, np.ndarray]:
    """The arrays of an npz file as `write_arrays` writes it: numbers, not compressed.

    Raises:
        InputError: it cannot be read, or is not as it was sealed, or is broken, or another npz file.
    """
    data = read_bytes(file)
    try:
        if data.count(b"PK\x01\x02") > _MOST_MEMBERS:
            raise ValueError(f"it has more than {_MOST_MEMBERS} members")
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            _check_members(members.infolist(), len(data))
            return {info.filename.removesuffix(".npy"): _array(members.read(info)) for info in members.infolist()}
    except (ValueError, EOFError, RuntimeError, OSError, OverflowError, struct.error, zipfile.BadZipFile) as error:
        raise InputError(f"{str(file)!r} is not the npz file that it should be ({error}).") from error


def _check_plain(path: Path, status: os.stat_result, most: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{str(path)!r} is a folder, a pipe or a device; expected a plain file.")
    if most is not None and status.st_size > most:
        raise InputError(f"{str(path)!r} has {status.st_size} bytes; expected at most {most}.")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ValueError(f"the key {_short(twice)!r} occurs twice")
    return content


def _integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError(f"the number {_short(text)} has more than 64 bits")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {_short(text)} is out of range")
    return number


def _check_tree(content: Any) -> None:
    """Refuse what is nested without end, and texts that are none: half a character that nothing can print."""
    level = [content]
    for _ in range(_MOST_DEPTH):
        if not level:
            return
        for text in (value for value in level if isinstance(value, str)):
            text.encode()
        level = [inner for value in level for inner in _parts(value)]
    raise ValueError(f"values are nested more than {_MOST_DEPTH} deep")


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if len({member.filename for member in members}) < len(members):
        raise ValueError("two of its members have one name")
    for member in members:
        if not member.filename.endswith(".npy"):
            raise ValueError(f"its member {_short(member.filename)!r} is no array")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise ValueError(f"its member {_short(member.filename)!r} is compressed")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its members are larger than itself")


def _array(data: bytes) -> np.ndarray:
    """An array from the content of an npy file."""
    header = _NPY_HEADER.match(data)
    if header is None or header.end() != 10 + int.from_bytes(data[8:10], "little"):
        raise ValueError("an array is of another kind than numbers, or not as numpy writes it")
    dtype, sizes = np.dtype(header[1].decode()), [int(size) for size in re.findall(rb"\d+", header[2])]
    if math.prod(sizes) * dtype.itemsize != len(data) - header.end():
        raise ValueError(f"an array of shape {tuple(sizes)} has {len(data) - header.end()} bytes")
    values = np.frombuffer(data, dtype=dtype, offset=header.end())
    if dtype.kind == "b" and values.view(np.uint8).max(initial=0) > 1:
        raise ValueError("an array of booleans holds other values")
    return values.reshape(sizes).copy()


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
