"""Work that is done folder by folder: each appears whole or not at all, and what is done is not done again."""

import contextlib
import io
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

import torch
from tqdm import tqdm

from magail_trainer.cli.command_line import exit_by_signal
from magail_trainer.envs.processes import no_interrupts
from magail_trainer.errors import InputError
from magail_trainer.folders import new_folder, no_empty_folders
from magail_trainer.importing import without_working_directory
from magail_trainer.sealed import Sealed, open_sealed, seal
from magail_trainer.text import counted, display_path

SETTINGS = "settings.json"
FORMAT, VERSION = "magail-benchmark-cell", 2  # 1 had no hashes


class Job(Protocol):
    """A folder that is to be made. It goes to another process as it is."""

    @property
    def name(self) -> str:
        """Of the folder."""
        ...

    def settings(self) -> dict[str, Any]:
        """What decides the content of the folder; plain JSON."""
        ...

    def fill(self, folder: Path) -> str:
        """Write everything but the settings; return what a line on the terminal says of it."""
        ...


def run_job(job: Job, root: Path) -> str:
    """Make the folder of a job below `root`; return what there is to say of it.

    Raises:
        InputError: it cannot be made.
    """
    with new_folder(root / job.name, marker=SETTINGS) as folder:
        said = job.fill(folder)
        seal(folder / SETTINGS, {"format": FORMAT, "version": VERSION, **job.settings()})
    return said


def open_cell(folder: Path) -> Sealed:
    """The folder of a job, to be read: `read_table(open_cell(folder) / "returns.csv")`, and so on.

    Raises:
        InputError: it is no folder of a job, or its settings were altered.
    """
    return open_sealed(folder / SETTINGS, what="cell of a benchmark", kind=FORMAT, version=VERSION, unsealed=1)


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings that made a folder, as they were written; see `open_cell`."""
    around = ("format", "version", "files", "sha256")
    return {name: value for name, value in open_cell(folder).content.items() if name not in around}


Read = Callable[[Path], dict[str, Any]]
"""The settings that made a folder, in the words of this version."""


def finished(root: Path) -> list[Path]:
    """The folders of jobs that are done, by name; none if there is no `root`."""
    if not root.is_dir():
        return []
    return sorted(folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def check_finished(root: Path, job_of: Callable[[dict[str, Any]], Job], *, read: Read = read_settings) -> None:
    """Refuse folders that were altered, or made with other settings than would be used now: no table should mix them.

    Args:
        root: holds the folders.
        job_of: from the settings of a folder to the job that would make it now.
        read: how its settings are read.

    Raises:
        InputError: there is one; see `check_folder`.
    """
    for folder in finished(root):
        check_folder(folder, job_of, read=read)


def check_folder(folder: Path, job_of: Callable[[dict[str, Any]], Job], *, read: Read = read_settings) -> None:
    """Refuse a finished folder that was altered, or made with other settings than those of its job now.

    Args:
        folder: of a job.
        job_of: from its settings to the job.
        read: how its settings are read.

    Raises:
        InputError: it is not as it was written, or a setting differs; the message names the first that does.
    """
    try:
        open_cell(folder).verify()
        made = read(folder)
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}; delete {str(folder)!r} to have it made anew.") from error
    difference = _difference(made, job_of(made).settings())
    if difference:
        raise InputError(f"{str(folder)!r} was made with {difference}; choose another --output or delete the old.")


def run_jobs(
    jobs: Sequence[Job], root: Path, *, processes: int, unit: str = "cell", read: Read = read_settings
) -> None:
    """Do what is not done yet, behind a progress bar, with a line for each folder that is finished.

    Args:
        jobs: in the order in which they are begun.
        root: holds the folders.
        processes: how many jobs are done at the same time, each in a process of its own; with 1, in this process.
        unit: what a message calls a job.
        read: how the settings of a folder are read.

    Raises:
        InputError: `processes` is below 1, or a folder that is there is not what its job would make, or a job cannot be
            done. No other job is begun then, and a `root` that would be empty is not left behind.
    """
    if processes < 1:
        raise InputError(f"--jobs must be at least 1, not {processes}.")
    with no_empty_folders(root):
        _check_writable(root)
        missing = [job for job in jobs if not os.path.lexists(root / job.name)]
        for job in jobs:
            if job not in missing:
                check_folder(root / job.name, lambda _, job=job: job, read=read)
        if len(missing) < len(jobs):
            done = len(jobs) - len(missing)
            were = "was" if done == 1 else "were"
            print(f"{done} of {counted(len(jobs), unit)} {were} finished before.", flush=True)
        with tqdm(total=len(jobs), initial=len(jobs) - len(missing), desc=f"{unit}s", unit=unit, disable=None) as bar:
            run = _one_by_one if processes == 1 or len(missing) < 2 else _side_by_side
            try:
                for name, said, seconds in run(missing, root, bar, processes):
                    bar.update()
                    tqdm.write(f"{name}: {said} ({seconds:.0f} s)")
                    sys.stdout.flush()
            except (KeyboardInterrupt, SystemExit):
                tqdm.write(f"Stopped; the same command goes on with what is in {display_path(root)}.", file=sys.stderr)
                raise


def _check_writable(root: Path) -> None:
    """Refuse a place that cannot be written to before other processes stumble over it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise InputError(f"Cannot write to {str(root)!r}: {error.strerror}.") from error


Done = Iterator[tuple[str, str, float]]  # name, what there is to say, seconds


def _one_by_one(jobs: Sequence[Job], root: Path, bar: tqdm, _: int) -> Done:
    for job in jobs:
        bar.set_postfix_str(job.name)
        yield _timed(job, root)


def _side_by_side(jobs: Sequence[Job], root: Path, bar: tqdm, processes: int) -> Done:
    """The same in other processes, which end with this one. They are spawned: torch does not like to be forked."""
    context = multiprocessing.get_context("spawn")
    running: list[str] = []
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_prepare_worker, max_tasks_per_child=1) as pool:
        waiting, futures = list(jobs), set[Future[tuple[str, str, float]]]()
        try:
            while waiting or futures:
                while waiting and len(futures) < processes:
                    running.append(waiting[0].name)
                    with without_working_directory(), no_interrupts():
                        futures.add(pool.submit(_quiet, waiting.pop(0), root))
                bar.set_postfix_str(", ".join(running))
                future = next(as_completed(futures))
                futures.remove(future)
                name, said, seconds = future.result()
                running.remove(name)
                yield name, said, seconds
        except BrokenProcessPool as error:
            raise InputError(f"A process that worked on {', '.join(running)} was ended from outside.") from error
        except BaseException:
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _timed(job: Job, root: Path) -> tuple[str, str, float]:
    started = time.monotonic()
    return job.name, run_job(job, root), time.monotonic() - started


def _quiet(job: Job, root: Path) -> tuple[str, str, float]:
    """The same without progress bars, which would write over those of other processes: they see no terminal."""
    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            return _timed(job, root)
    finally:  # also of a job that fails or is stopped
        print(complaints.getvalue(), end="", file=sys.stderr, flush=True)


def _prepare_worker() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, exit_by_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends us


def _end_with_parent() -> None:
    """However the parent ends, nobody is left to work for nothing, in the way of those who come after."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _difference(made: Mapping[str, Any], present: Mapping[str, Any], prefix: str = "") -> str:
    """`name=old, not new` for the first setting that differs; nothing if none does."""
    for name in [*present, *(name for name in made if name not in present)]:
        old, new = made.get(name), present.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            inner = _difference(old, new, f"{prefix}{name}.")
            if inner:
                return inner
        elif old != new:
            return f"{prefix}{name}={old}, not {new}"
    return ""
