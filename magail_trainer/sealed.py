"""Folders that know what they hold: a marker lists every file with its hash, and has a hash of its own.

The marker is a JSON file (`config.json` of a run, `settings.json` of a cell, `manifest.json` of a dataset) that is
written last:

    format, version    of what kind the folder is
    ...                its own content
    files              {name: SHA-256} of every file in the folder, by its path in it
    sha256             of the marker's content without this entry

A sealed folder is read through `Sealed`, so that nothing is parsed that is not as it was written. Files that were put
beside it later, such as a figure, are not listed, and not read.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from magail_trainer.errors import InputError
from magail_trainer.files import SealedFile, read_bytes, read_json, sha256_of, write_json
from magail_trainer.folders import CHECKPOINTS, recover


@dataclass(frozen=True)
class Sealed:
    """A folder whose marker was read and is as it was written. `sealed / "runs.csv"` is a file in it, to be read."""

    marker: Path
    content: dict[str, Any]
    """All of the marker."""
    files: Mapping[str, str] | None
    """Name -> SHA-256; None in a folder of an early version, which had no hashes."""

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.marker.parent

    def __truediv__(self, name: str) -> SealedFile:
        """A file in the folder, by the name in `files`.

        Raises:
            InputError: it is not listed, or behind a link.
        """
        path = self.folder / name
        if self.files is not None and name not in self.files:
            raise InputError(f"{str(self.marker)!r} does not list {name!r}, which is needed.")
        for above in PurePosixPath(name).parents:
            if above.name and (self.folder / above).is_symlink():
                raise InputError(f"{str(self.folder / above)!r} is a link; expected a folder.")
        return SealedFile(path, None if self.files is None else self.files[name])

    def expect(self, entries: Mapping[str, type | tuple[type, ...]]) -> None:
        """Check what the marker says.

        Args:
            entries: the type of each entry by its name. `env.id` is the entry `id` of the entry `env`; one whose name
                ends with a question mark may be missing.

        Raises:
            InputError: an entry is missing, or of another type, or a name that no terminal can show.
        """
        for name, kinds in entries.items():
            *above, last = name.removesuffix("?").split(".")
            holder: Any = self.content
            for part in above:
                holder = holder.get(part) if isinstance(holder, dict) else None
            if not isinstance(holder, dict) or last not in holder:
                if name.endswith("?"):
                    continue
                raise InputError(f"{str(self.marker)!r} does not say {name!r}.")
            value = holder[last]
            kinds = kinds if isinstance(kinds, tuple) else (kinds,)
            if type(value) not in kinds or (isinstance(value, str) and not value.isprintable()):
                said = f"that {name.removesuffix('?')!r} is {_short(value)}"
                expected = " or ".join(_KINDS[kind] for kind in kinds)
                raise InputError(f"{str(self.marker)!r} says {said}; expected {expected}.")

    def verify(self) -> None:
        """Check every file that is listed.

        Raises:
            InputError: one is missing or was altered.
        """
        for name in self.files or ():
            read_bytes(self / name)


def seal(marker: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write the marker of a folder that is complete without it.

    Args:
        marker: the file.
        content: `format`, `version`, and what else it is to say.

    Returns:
        all that the marker says.
    """
    folder = marker.parent
    files = {
        file.relative_to(folder).as_posix(): sha256_of(file.read_bytes())
        for file in sorted(folder.rglob("*"))
        if file != marker
        and file.is_file()
        and not any(part.startswith(".") or part == CHECKPOINTS for part in file.relative_to(folder).parts)
    }
    sealed = with_hash({**content, "files": files})
    write_json(marker, sealed)
    return sealed


@contextmanager
def as_written(folder: str | Path) -> Iterator[None]:
    """What goes wrong in the block goes wrong for what the folder holds: hashes that fit prove no sense.

    Raises:
        InputError: in the place of what was raised.
    """
    try:
        yield
    except InputError as error:
        if str(folder) in str(error):
            raise
        raise InputError(f"{str(folder)!r} is not as it was written: {error}") from error
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{str(folder)!r} is not as it was written: {reason}.") from error


def with_hash(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a marker with its own hash, last."""
    bare = _without_hash(content)
    return {**bare, "sha256": _hash_of(bare)}


def open_sealed(
    marker: Path,
    *,
    what: str,
    kind: str,
    version: int,
    unsealed: int = 0,
    files: Callable[[dict[str, Any]], Any] = lambda content: content.get("files"),
) -> Sealed:
    """Read the marker of a folder, and check it.

    Args:
        marker: the file.
        what: such a folder is, for messages.
        kind: its format.
        version: the present version of the format; earlier ones are read, too.
        unsealed: the last version that had no hashes. Where there are hashes, they are checked all the same.
        files: finds the listed files in the content.

    Raises:
        InputError: there is no such folder, or it is of another format or of a later version, or the marker was
            altered.
    """
    folder = str(marker.parent)
    recover(marker.parent)
    try:
        content = read_json(marker)
    except InputError as error:
        if isinstance(error.__cause__, OSError):
            reason = f"its {marker.name} cannot be read ({error.__cause__.strerror})"
            raise InputError(f"{folder!r} is no {what}: {reason}.") from error
        raise
    if not isinstance(content, dict) or content.get("format") != kind or type(content.get("version")) is not int:
        raise InputError(f"{folder!r} is no {what} of this version: {marker.name} does not say {kind!r} {version}.")
    made = content["version"]
    if not 1 <= made <= version:
        raise InputError(f"{folder!r} is a {what} of version {made}; this program reads them up to version {version}.")
    listed = files(content)
    if made > unsealed or "sha256" in content or listed is not None:
        if content.get("sha256") != _hash_of(_without_hash(content)):
            raise InputError(f"{str(marker)!r} was altered: its SHA-256 is not the one that was recorded.")
        _check_list(marker, listed)
    return Sealed(marker, content, listed)


_KINDS = {str: "a text", int: "an integer", dict: "an object", list: "a list", type(None): "null"}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _check_list(marker: Path, listed: Any) -> None:
    """Refuse a list of files that is none, or names what is not in the folder."""
    if not isinstance(listed, dict) or not all(isinstance(value, str) for value in listed.values()):
        raise InputError(f"{str(marker)!r} does not list the folder's files with their hashes.")
    for name, sha256 in listed.items():
        if not _is_inside(name):
            raise InputError(f"{str(marker)!r} lists {name!r}, which is no file in its folder.")
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise InputError(f"{str(marker)!r} lists {name!r} with {sha256!r}, which is no SHA-256.")


def _is_inside(name: str) -> bool:
    """Whether a name is that of a file in a folder: no absolute path, no way up."""
    parts = PurePosixPath(name).parts
    return (
        bool(parts)
        and name == "/".join(parts)
        and ".." not in parts
        and not set(name) & set("\\:\0")
        and parts[:1] != ("/",)
    )


def _without_hash(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != "sha256"}


def _hash_of(content: Mapping[str, Any]) -> str:
    return sha256_of(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())
