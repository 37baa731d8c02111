"""Where projects lie: beside their image, or in the user's data folder; which there are, and which are in use."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.errors import ProjectError
from napari_unet.io.atomic import replacing
from napari_unet.io.project import ABOUT, ENDING, IMAGES, JOURNAL, LOCK, MODEL, is_project

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: Set it to keep projects without an image file, and the list of projects, in another folder.
VARIABLE = "NAPARI_UNET_PROJECTS"
MOST_RECENT = 30
MOST_BESIDE = 9
FORGET_SECONDS = 365 * 24 * 3600.0

#: The folder that the user wants new projects in, if any.
_wanted: list[Path] = []


@dataclass(frozen=True, slots=True)
class Recent:
    """A project that was worked on, and when it last changed (seconds since 1970)."""

    folder: Path
    time: float


def user_folder() -> Path:
    """The folder for projects whose image lies in no folder that can be written."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    from platformdirs import user_data_path

    return user_data_path("napari-unet", appauthor=False)


def keep_in(folder: Path | None) -> None:
    """Keep new projects in `folder` where it can be written; None: beside their image."""
    _wanted[:] = [folder] if folder is not None else []


def parents(image: Path | None) -> list[Path]:
    """Where a new project could lie, the best place first: where the user wants it, beside its image, in their data."""
    return [*_wanted, *([image.parent] if image is not None else []), user_folder()]


def new_folder(parent: Path, name: str) -> Path:
    """Make a folder for a new project, numbered when the name is taken.

    Raises
    ------
    OSError
        When it cannot be made.
    """
    if parent == user_folder() or parent in _wanted:
        parent.mkdir(parents=True, exist_ok=True)
    for candidate in _names(_plain(name)):
        with suppress(FileExistsError):
            (parent / candidate).mkdir()
            return parent / candidate
    raise AssertionError("numbers do not end")


def lock(folder: Path) -> BaseFileLock:
    """Keep everybody else from writing to the project; `release` it at the end. The death of the process ends it too.

    Raises
    ------
    ProjectError
        When somebody else writes to it.
    OSError
    """
    from filelock import FileLock, Timeout

    held = FileLock(folder / LOCK, timeout=0, thread_local=False)  # taken in one thread, perhaps released in another
    try:
        held.acquire()
    except Timeout as error:
        raise ProjectError(f"close '{folder.stem}' in the other window first: it is open there") from error
    return held


def is_in_use(folder: Path) -> bool:
    """Whether somebody writes to the project now."""
    try:
        lock(folder).release()
    except (ProjectError, OSError):
        return True
    return False


def remember(folder: Path) -> None:
    """Put the project on the list of recent ones.

    Raises
    ------
    OSError
    """
    entries = user_folder() / "recent"
    entries.mkdir(parents=True, exist_ok=True)
    with replacing(entries / _entry_name(folder)) as temporary:
        temporary.write_text(str(folder.resolve()), encoding="utf-8")


def recent() -> list[Recent]:
    """The projects that were worked on and are still there, the latest first; the list forgets the others."""
    found = []
    for entry in _entries():
        folder = _pointed_at(entry)
        changed = _changed(folder) if folder is not None else None
        if folder is not None and changed is not None and time.time() - changed < FORGET_SECONDS:
            found.append(Recent(folder, changed))
        else:
            _forget(entry, folder)
    return sorted(found, key=lambda project: -project.time)[:MOST_RECENT]


def beside(image: Path) -> Iterator[Path]:
    """The projects that are named after the image, in its folder and where the user wants them."""
    for folder in (image.parent, *_wanted):
        for name in islice(_names(_plain(image.name)), MOST_BESIDE):
            if is_project(folder / name):
                yield folder / name


def known(image: Path | None) -> list[Recent]:
    """Recent projects and those beside the image, the latest first."""
    listed = recent()
    folders = {project.folder for project in listed}
    found = [folder.resolve() for folder in beside(image)] if image is not None else []
    there = [Recent(folder, _changed(folder) or 0.0) for folder in found if folder not in folders]
    return sorted(chain(listed, there), key=lambda project: -project.time)


def delete(folder: Path) -> None:
    """Delete what belongs to a project, and its folder unless other things lie in it."""
    shutil.rmtree(folder / IMAGES, ignore_errors=True)
    for name in (MODEL, JOURNAL, ABOUT, LOCK):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _names(name: str) -> Iterator[str]:
    """cells.unet-project, cells-2.unet-project, ..."""
    return chain([f"{name}{ENDING}"], (f"{name}-{number}{ENDING}" for number in count(2)))


def _plain(name: str) -> str:
    """A file's name without its ending, fit for a folder on every system."""
    stem = name.split(".")[0] or "image"
    return "".join(letter if letter.isalnum() or letter in " -_()+" else "_" for letter in stem)[:80].strip() or "image"


def _entry_name(folder: Path) -> str:
    return blake2b(str(folder.resolve()).encode(errors="replace"), digest_size=8).hexdigest()


def _entries() -> list[Path]:
    try:
        return [entry for entry in (user_folder() / "recent").iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []


def _pointed_at(entry: Path) -> Path | None:
    try:
        return Path(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _changed(folder: Path) -> float | None:
    """When the journal was last written; None when there is no project."""
    try:
        return (folder / JOURNAL).stat().st_mtime if is_project(folder) else None
    except OSError:
        return None


def _forget(entry: Path, folder: Path | None) -> None:
    """Drop an entry; a folder on a disk that is not there now may come back."""
    if folder is None or folder.parent.is_dir():
        with suppress(OSError):
            entry.unlink()
