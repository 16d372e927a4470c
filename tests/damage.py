"""Damage to files and folders: by a disk, by an editor, and by somebody who makes the hashes fit."""

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from magail_trainer.files import sha256_of
from magail_trainer.sealed import with_hash

Harm = Callable[[bytes, Random], bytes]

NASTY: list[Any] = [
    None, True, 0, -1, 1.5, 10**9, 2**63 - 1, -(2**63), 1e308, float("nan"), float("inf"), "", "x", "\0", "../x",
    "/etc/passwd", "é" * 50, "os:system", "\x1b[2J", [], {}, [[]], [1, "a", None], {"a": 1}, [0] * 1000,
    {"id": "os:system", "kwargs": {"command": "touch EXECUTED"}}, "mlp", "tests.damage:execute",
]  # fmt: skip
RAW = [
    "1e999", "1" * 5000, "-" + "9" * 30, "[" * 3000 + "]" * 3000, "[" * 100_000, '{"a": 1, "a": 2}', '"\\ud800"', "NaN",
]  # fmt: skip
CELLS = ["", "x", "nan", "inf", "-1", "1e999", "9" * 30, "9" * 5000, "0.5", '"', '"a\n', "é", "\0", ",", "0", "1e30"]
DESCRS = [
    "'>f4'", "'<f4'", "'<f8'", "'<i8'", "'|O'", "'<U3'", "'|V4'", "'<f16'", "'<c8'", "'|b1'", "[('a', '<f4')]", "'",
    "(" * 300,
]  # fmt: skip
SHAPES = [
    "()", "(1000000000000,)", "(-1,)", "(2, 2)", "(0,)", "(1.5,)", "(True,)", "(" * 200, "(0, 99999999999)", "(1,",
    "('a',)",
]  # fmt: skip


def execute(*args: object, **kwargs: object) -> None:
    """What a folder must never have called."""
    Path("EXECUTED").touch()


def seal_anew(marker: Path) -> None:
    """Make the hashes in the marker of a folder those of its present files, as far as it still lists them."""
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
        files, shards = content.get("files"), content.get("shards")
        if isinstance(files, dict):
            content["files"] = {name: _hash_of(marker.parent / name) or old for name, old in files.items()}
        for shard in shards if isinstance(shards, list) else []:
            shard["sha256"] = _hash_of(marker.parent / shard["file"]) or shard["sha256"]
        marker.write_text(json.dumps(with_hash(content), indent=2) + "\n", encoding="utf-8")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # it is no longer the marker that could be sealed


def _hash_of(file: Path) -> str | None:
    return sha256_of(file.read_bytes()) if file.is_file() else None


def harms_of(name: str) -> list[Harm]:
    """The kinds of damage that a file of this name can take."""
    kinds: dict[str, list[Harm]] = {".json": [of_json, of_json], ".csv": [of_table], ".npz": [of_zip, of_arrays]}
    return [of_bytes, *kinds.get(Path(name).suffix, [])]


def of_bytes(data: bytes, rng: Random) -> bytes:
    """Flip a bit, change, cut out, double or insert some bytes, or cut the rest off."""
    place, size = rng.randrange(len(data)), rng.choice([1, 1, 4, 64, 512])
    head, part, tail = data[:place], data[place : place + size], data[place + size :]
    kind = rng.randrange(6)
    if kind == 0:
        return head + bytes([part[0] ^ 1 << rng.randrange(8)]) + part[1:] + tail
    changed = [rng.randbytes(len(part)), b"", part + part, rng.randbytes(size) + part, bytes(len(part))][kind - 1]
    return head if rng.random() < 0.1 else head + changed + tail


def of_json(data: bytes, rng: Random) -> bytes:
    """Remove, rename, replace or wrap a value somewhere in a JSON file."""
    content = json.loads(data)
    holders = [content]
    for holder in holders:
        inner = holder.values() if isinstance(holder, dict) else holder
        holders += [value for value in inner if isinstance(value, dict | list) and value]
    holder = rng.choice(holders)
    key: Any = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    match rng.randrange(5):
        case 0:
            del holder[key]
        case 1:
            holder[key] = [holder[key]]
        case 2:
            holder[key] = str(holder[key])
        case 3:
            holder[key] = rng.choice(NASTY)
        case 4:
            holder[key] = "RAW"
            return json.dumps(content).replace('"RAW"', rng.choice(RAW)).encode()
    return json.dumps(content, indent=2).encode()


def of_table(data: bytes, rng: Random) -> bytes:
    """Remove or double a row or a column, or change a cell."""
    rows = [line.split(",") for line in data.decode().splitlines()]
    row, column = rng.randrange(len(rows)), rng.randrange(len(rows[0]))
    match rng.randrange(6):
        case 0:
            del rows[row]
        case 1:
            rows.insert(row, rows[row])
        case 2:
            rows = [[*cells[:column], *cells[column + 1 :]] for cells in rows]
        case 3:
            rows = [[*cells, cells[column]] for cells in rows]
        case _:
            rows[row][column] = rng.choice(CELLS)
    return "".join(",".join(cells) + "\n" for cells in rows).encode()


def of_zip(data: bytes, rng: Random) -> bytes:
    """Swap, remove, double, rename, empty or compress a member of an npz file, or write another npy header."""
    with zipfile.ZipFile(io.BytesIO(data)) as members:
        content = [(name, members.read(name)) for name in members.namelist()]
    if not content:
        return of_bytes(data, rng)
    index, other = rng.randrange(len(content)), rng.randrange(len(content))
    (name, array), how = content[index], zipfile.ZIP_STORED
    match rng.randrange(8):
        case 0:
            content[index], content[other] = (name, content[other][1]), (content[other][0], array)
        case 1:
            del content[index]
        case 2:
            content.append((name, array[:-1]))
        case 3:
            content[index] = (rng.choice(["x.npy", "../x.npy", name[:-4], name + "/", ""]), array)
        case 4:
            content[index] = (name, rng.choice([b"", b"\x93NUMPY", bytes(1000), array + b"1", array[:-1]]))
        case 5:
            how = rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
        case _:
            content[index] = (name, _other_header(array, rng))
    return _zipped(content, how)


def of_arrays(data: bytes, rng: Random) -> bytes:
    """Change the type, the shape or a value of an array in an npz file."""
    with np.load(io.BytesIO(data)) as stored:
        arrays = dict(stored)
    if not arrays:
        return of_bytes(data, rng)
    name = rng.choice(list(arrays))
    array = arrays[name]
    match rng.randrange(4):
        case 0:
            kinds = ["f4", "f8", "f2", "i8", "i4", "u1", "b1", "u8", ">f4", ">i8", "U5", "c8", "f16"]
            with np.errstate(all="ignore"):
                array = array.astype(rng.choice(kinds))
        case 1:
            array = rng.choice([array[:-1], array[:0], array[None], array.ravel()[0], array.T, array.repeat(2, 0)])
        case _:
            array = array.copy()
            value = rng.choice([np.nan, np.inf, -1, 10**6, 2, 0, 1e38, array.flat[-1]])
            with np.errstate(all="ignore"):
                array.flat[rng.randrange(array.size)] = np.array(value).astype(array.dtype)
    arrays[name] = array
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def _other_header(array: bytes, rng: Random) -> bytes:
    """An npy file with a header of harm, of the length that it says."""
    start = 10 + int.from_bytes(array[8:10], "little")
    descr, shape = rng.choice(DESCRS), rng.choice(SHAPES)
    order = rng.choice(["False", "False", "True", "None"])
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header += b" " * (-len(header) % 64) + b"\n"
    version = rng.choice([b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"])
    size = len(header).to_bytes(2 if version[:1] == b"\x01" else 4, "little")
    return b"\x93NUMPY" + version + size + header + array[start:]


def _zipped(content: list[tuple[str, bytes]], how: int) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", how) as members:
        warnings.simplefilter("ignore")  # that a name occurs twice
        for name, array in content:
            info = zipfile.ZipInfo(name)
            info.compress_type = how
            members.mkdir(name) if name.endswith("/") else members.writestr(info, array)
    return out.getvalue()
