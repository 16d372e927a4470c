"""Output folders that appear whole or not at all, whenever the process that writes them is killed.

The folder `out` is written as `.out.magail-partial`, flushed to the disk, and renamed. Its writer holds a lock
(`flock`) on it, which ends with the process however that ends: what is not locked was left by a killed writer and is
written anew, except for the checkpoints and the log of a training, with which the next writer goes on. An `out`
that is replaced is `.out.magail-old` for the moment between two renames; if the writer is killed just then, the next
command that wants `out`, to read or to write it, gives it its name back.
"""

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from magail_trainer.errors import InputError

try:
    import fcntl
except ImportError:  # on Windows there is no such lock, and two writers are found out at the end
    fcntl = None

CHECKPOINTS, METRICS = "checkpoints", "metrics.jsonl"
"""The checkpoints and the log of a training, which outlive the writer of an unfinished folder."""

_WRITER = ".writer"
"""A file in an unfinished folder that says who writes it."""


@contextmanager
def new_folder(
    path: str | Path,
    *,
    marker: str,
    others: Sequence[str] = (),
    overwrite: bool = False,
    reads: Path | None = None,
) -> Iterator[Path]:
    """Yield a hidden folder that is renamed to `path` when the block ends.

    When the block fails, the folder is deleted, unless it has checkpoints: then the next call for `path` yields it with
    these.

    Args:
        path: the folder to make; its parents are made too, and deleted again when the block fails.
        marker: the file that such a folder holds (`manifest.json`, say). Only a folder with this file is ever replaced,
            and only if it holds nothing else but
        others: patterns of the names that may stand beside the marker.
        overwrite: replace what is at `path`, at the very end, once the new folder is complete.
        reads: what the block reads, which must not be replaced.

    Raises:
        InputError: `path` is taken, or being written by another process, or cannot be written. Raised on entry, so
            that hours of work are not lost to it; on exit as well, if `path` was taken in the meantime.
    """
    path = Path(path)
    try:
        target = path.resolve()  # the folder behind a link, or behind "."
    except (OSError, RuntimeError) as error:
        raise InputError(f"Cannot write to {str(path)!r}: {error}.") from error
    with no_empty_folders(target.parent):
        try:
            clear(target)
            _check_free(path, marker, others, reads, overwrite=overwrite)
            target.parent.mkdir(parents=True, exist_ok=True)
            staging, lock = _lock(target, Path.mkdir)
        except OSError as error:
            raise InputError(f"Cannot write to {str(path)!r}: {error.strerror or error}.") from error
        try:
            _empty(staging, keep=_of_training(path, staging, others, overwrite=overwrite))
            yield staging
            _check_free(path, marker, others, reads, overwrite=overwrite)  # somebody else may have been quicker
            (staging / _WRITER).unlink()
            _put_away_checkpoints(staging)
            _flush(staging)
            _rename(staging, target)
        except BaseException:
            _bring_back_checkpoints(staging)
            if not has_checkpoints(staging):
                shutil.rmtree(staging, ignore_errors=True)
            raise
        finally:
            _unlock(lock)
        # From here on, a folder of the hidden name is another writer's.
        shutil.rmtree(_hidden(target, "old"), ignore_errors=True)
        shutil.rmtree(_put_away(target), ignore_errors=True)


def recover(target: Path) -> None:
    """Finish what the writer of a folder left to do, if it was killed between two renames or right after them.

    Of an unfinished folder, which holds its checkpoints for the next writer, nothing is touched.
    """
    try:
        target = target.resolve()
        writing = _target_of(target) != target or _is_being_written(target)
    except (OSError, RuntimeError):  # a link that leads nowhere, or round in a circle
        return
    if writing:
        return
    old = _hidden(target, "old")
    with suppress(OSError):  # another reader was quicker, or nobody may write here
        if old.is_dir() and not target.exists():
            old.rename(target)
        shutil.rmtree(_put_away(target), ignore_errors=True)


def clear(target: Path) -> None:
    """Clean up after killed writers, for a command that wants the name: of theirs, only checkpoints are kept."""
    recover(target)
    staging = _hidden(target, "partial")
    try:
        lock = _try_lock(staging)
    except BlockingIOError:
        return
    except OSError:  # there is none; what is there from now on is another writer's
        return _delete_replaced(target)
    _bring_back_checkpoints(staging)
    if not has_checkpoints(staging):
        shutil.rmtree(staging, ignore_errors=True)
    _delete_replaced(target)
    _unlock(lock)


def _delete_replaced(target: Path) -> None:
    if target.exists():
        shutil.rmtree(_hidden(target, "old"), ignore_errors=True)


def unfinished(path: Path) -> tuple[Path, Path]:
    """A folder to come, and the hidden one in which it is written until it is finished.

    Args:
        path: either of the two, or something in the hidden one.
    """
    target = _target_of(path.resolve())
    return target, _hidden(target, "partial")


def has_checkpoints(folder: Path) -> bool:
    """Whether the writer of an unfinished folder, or of one inside, has left checkpoints."""
    return any(not left.name.startswith(".") for left in folder.glob(f"**/{CHECKPOINTS}/*"))


def _target_of(path: Path) -> Path:
    start, end = _hidden(Path("x"), "partial").name.split("x")
    for folder in (path, *path.parents):
        if folder.name.startswith(start) and folder.name.endswith(end):
            return folder.with_name(folder.name.removeprefix(start).removesuffix(end))
    return path


def _put_away(folder: Path) -> Path:
    """Where the checkpoints of a folder are while it gets its name; a name that nobody else uses."""
    return _hidden(folder / CHECKPOINTS, "old")


def _put_away_checkpoints(staging: Path) -> None:
    if (staging / CHECKPOINTS).is_dir():
        (staging / CHECKPOINTS).rename(_put_away(staging))
    for left in staging.glob(_hidden(Path("*"), "partial").name):  # inside, by a writer that was stopped
        shutil.rmtree(left)


def _bring_back_checkpoints(staging: Path) -> None:
    with suppress(OSError):  # as a rule there are none
        _put_away(staging).rename(staging / CHECKPOINTS)


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Yield a hidden name beside `path`; when the block ends, what was written there replaces `path` at one stroke.

    Raises:
        InputError: it cannot be written, or another process is writing it, said on entry where that is known. What
            stood at `path` stays as it was.
    """
    target = Path(path)
    try:
        staging, lock = _lock(target, Path.touch)
    except OSError as error:
        raise InputError(f"Cannot write to {str(path)!r}: {error.strerror or error}.") from error
    try:
        yield staging
        try:
            _flush(staging)
            staging.replace(target)
            _flush_folder(target.parent)
        except OSError as error:
            raise InputError(f"Cannot write to {str(path)!r}: {error.strerror or error}.") from error
    except BaseException:
        with suppress(OSError):
            staging.unlink(missing_ok=True)
        raise
    finally:
        _unlock(lock)


@contextmanager
def new_files(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder whose files, at any depth, replace those in `folder` when the block ends.

    Each does so at one stroke. If the block fails, nothing changes.

    Raises:
        InputError: another process is doing the same.
    """
    staging, lock = _lock(folder / "files", Path.mkdir)
    try:
        _empty(staging)
        yield staging
        _flush(staging)
        for file in sorted(path for path in staging.rglob("*") if path.is_file() and path.name != _WRITER):
            target = folder / file.relative_to(staging)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
        _flush_folder(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _unlock(lock)


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


def _hidden(target: Path, suffix: str) -> Path:
    return target.with_name(f".{target.name}.magail-{suffix}")


def _lock(target: Path, make: Callable[..., None]) -> tuple[Path, int | None]:
    """Make the hidden folder or file to write to, and lock it.

    Args:
        target: what it will become.
        make: how; called with `exist_ok=True`.

    Returns:
        its path, and what `_unlock` takes.

    Raises:
        InputError: another process has it.
    """
    staging = _hidden(target, "partial")
    while True:
        make(staging, exist_ok=True)
        try:
            lock = _try_lock(staging)
        except BlockingIOError:
            raise InputError(f"{str(target)!r} is being written by {_writer(staging)}; let it finish first.") from None
        except FileNotFoundError:  # its writer has finished between our calls
            continue
        if lock is None or (staging.exists() and staging.stat().st_ino == os.fstat(lock).st_ino):
            return staging, lock
        _unlock(lock)


def _of_training(path: Path, staging: Path, others: Sequence[str], *, overwrite: bool) -> Sequence[str]:
    """What a training goes on with, if the folder is to be one's."""
    if METRICS in others:
        return (CHECKPOINTS, METRICS)
    if (staging / CHECKPOINTS).exists() and not overwrite:
        what = f"{str(path)!r} is the name of a training that was stopped"
        raise InputError(f"{what}; go on with it (magail train --resume), choose another name, or add --overwrite.")
    return ()


def _empty(staging: Path, *, keep: Sequence[str] = ()) -> None:
    """Delete what a writer that was stopped has left, but for some names and for trainings inside; and sign."""
    for left in staging.iterdir():
        if left.name not in keep and (left.name == CHECKPOINTS or not has_checkpoints(left)):
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    (staging / _WRITER).write_text(f"process {os.getpid()} on {socket.gethostname()}")


def _try_lock(folder: Path) -> int | None:
    """A descriptor that holds the lock on a folder; None where there are no such locks.

    Raises:
        BlockingIOError: somebody else holds it.
    """
    if fcntl is None:
        return None
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _is_being_written(target: Path) -> bool:
    try:
        _unlock(_try_lock(_hidden(target, "partial")))
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _writer(staging: Path) -> str:
    with suppress(OSError):
        return (staging / _WRITER).read_text() or "another process"
    return "another process"


def _flush(path: Path) -> None:
    """Wait until a file, or all that is in a folder, is on the disk: a rename may get there before what it renames."""
    if path.is_dir():
        for inner in path.iterdir():
            if not inner.is_symlink():
                _flush(inner)
        _flush_folder(path)
    else:
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _flush_folder(path: Path) -> None:
    with suppress(OSError):  # some file systems, and Windows, have no such call for folders
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _rename(staging: Path, target: Path) -> None:
    """Give the new folder its name; what had it is beside it until it is deleted."""
    old = _hidden(target, "old")
    if target.exists():
        target.rename(old)
    try:
        staging.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    _flush_folder(target.parent)
