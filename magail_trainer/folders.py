"""Output folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from magail_trainer.errors import InputError


@contextmanager
def new_folder(
    path: str | Path,
    *,
    marker: str,
    others: Sequence[str] = (),
    overwrite: bool = False,
    reads: Path | None = None,
) -> Iterator[Path]:
    """Yield a hidden folder that is renamed to `path` when the block ends, and deleted when the block fails.

    Args:
        path: the folder to make; its parents are made too, and deleted again when the block fails.
        marker: the file that such a folder holds (`manifest.json`, say). Only a folder with this file is ever replaced,
            and only if it holds nothing else but
        others: patterns of the names that may stand beside the marker.
        overwrite: replace what is at `path`, at the very end, once the new folder is complete.
        reads: what the block reads, which must not be replaced.

    Raises:
        InputError: `path` is taken, or cannot be written. Raised on entry, so that hours of work are not lost to it;
            on exit as well, if `path` was taken in the meantime.
    """
    path = Path(path)
    target = path.resolve()  # the folder behind a link, or behind "."
    staging = target.parent / f".{target.name}.partial-{os.getpid()}"
    with no_empty_folders(target.parent):
        try:
            _check_free(path, marker, others, reads, overwrite=overwrite)
            target.parent.mkdir(parents=True, exist_ok=True)
            staging.mkdir()
        except OSError as error:
            raise InputError(f"Cannot write to {str(path)!r}: {error.strerror or error}.") from error
        try:
            yield staging
            _check_free(path, marker, others, reads, overwrite=overwrite)  # somebody else may have been quicker
            _replace(target, staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def no_empty_folders(path: Path) -> Iterator[None]:
    """Where the block fails, delete `path` and the folders above it, if the block has made them and they are empty."""
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    try:
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):  # it was never made, or somebody else has put something there
                folder.rmdir()
        raise


def _check_free(path: Path, marker: str, others: Sequence[str], reads: Path | None, *, overwrite: bool) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(f"{str(path)!r} is a file; expected the name of a folder to make.")
    if Path.cwd().is_relative_to(path.resolve()):
        raise InputError(f"{str(path)!r} holds the working directory; expected the name of a folder to make.")
    if not any(path.iterdir()):
        return
    if not overwrite:
        raise InputError(f"{str(path)!r} already holds files; choose another folder or add --overwrite.")
    if not (path / marker).exists():
        raise InputError(f"{str(path)!r} holds files but no {marker}, so it is not replaced; choose another folder.")
    for name in sorted(entry.name for entry in path.iterdir()):
        if not any(fnmatch(name, pattern) for pattern in (marker, *others)):
            raise InputError(f"{str(path)!r} holds {name!r}, which is not this program's, so it is not replaced.")
    if reads is not None and reads.resolve().is_relative_to(path.resolve()):
        raise InputError(f"{str(reads)!r} is read, and lies in {str(path)!r}, so that is not replaced.")


def _replace(path: Path, staging: Path) -> None:
    old = staging.with_name(staging.name + ".old")
    if path.exists():
        path.rename(old)
    try:
        staging.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
