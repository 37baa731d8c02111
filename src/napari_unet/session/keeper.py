"""Writes what the user does to a project, in a thread of its own: the window never waits for a disk."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from napari_unet.errors import ProjectError
from napari_unet.io.project import ImageEntry
from napari_unet.io.project_state import At, Settings, StrokesLayer
from napari_unet.session.project_store import ProjectStore

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.1
RETRY_SECONDS = 5.0
CLOSE_SECONDS = 1.5
#: The part of an image that is copied before the strokes get their turn again.
COPY_BYTES = 2**24

Job = Callable[[ProjectStore], None]


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything up to now is on the disk, in `folder`."""

    folder: Path
    time: float


@dataclass(frozen=True, slots=True)
class NotKept:
    """What the user does is not written; `message` says what to do."""

    message: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something else that the user should know."""

    message: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The project is in another folder now, as the user wished."""

    folder: Path


Notice = Kept | NotKept | Remark | Moved


class Keeper:
    """A project open for writing.

    Nothing here waits, but `close`. A disk that is full or a folder that cannot be written is reported once, and tried
    again every few seconds; as soon as it works, everything is written.

    Parameters
    ----------
    store : ProjectStore
        Belongs to the thread from now on.
    """

    def __init__(self, store: ProjectStore) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._notices: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, args=(store,), name="napari-unet-keeper", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Bytes of strokes that are not written yet."""
        return self._waiting

    def layer(self, key: str, layer: StrokesLayer) -> None:
        """A strokes layer is new, or has another name or shape."""
        self._jobs.put(lambda store: store.layer(key, layer))

    def block(self, key: str, at: At, pixels: npt.NDArray[Any]) -> None:
        """A block of strokes is different now; the array must not change any more."""
        with self._lock:
            self._waiting += pixels.nbytes
        self._jobs.put(partial(self._block, key, at, pixels))

    def removed(self, key: str) -> None:
        """The user deleted the strokes."""
        self._jobs.put(lambda store: store.removed(key))

    def regions(self, image: str, shapes: list[dict[str, Any]]) -> None:
        """The complete regions of an image are these now."""
        self._jobs.put(lambda store: store.regions(image, shapes))

    def settings(self, settings: Settings) -> None:
        """The forms say something else."""
        self._jobs.put(lambda store: store.settings(settings))

    def mark(self, **news: int | str) -> None:
        """Note the number of `strokes`, or of `step` of the model."""
        self._jobs.put(lambda store: store.mark(**news))

    def image(self, entry: ImageEntry, array: Any, *, copy: bool) -> None:
        """An image is worked on; `copy` keeps its pixels, for they are in no file."""
        self._jobs.put(lambda store: store.image(entry, array, copy=copy))

    def save_as(self, folder: Path) -> None:
        """Move the project to the folder that the user chose."""
        self._jobs.put(partial(self._move, folder))

    def poll(self) -> list[Notice]:
        """What happened since the last call."""
        found = []
        while not self._notices.empty():
            found.append(self._notices.get())
        return found

    def close(self) -> bool:
        """Write what is left and let go of the project; whether that was done in time."""
        self._jobs.put(None)
        self._thread.join(CLOSE_SECONDS)
        return not self._thread.is_alive()

    # ------------------------------------------------------------------ the thread

    def _work(self, store: ProjectStore) -> None:
        going_on, told = True, False
        while going_on:
            going_on = self._take_jobs(store)
            written = store.flush()
            if written:
                self._notices.put(Kept(store.folder, time.time()))
            elif store.trouble and not told:
                self._notices.put(NotKept(store.trouble))
            told = bool(store.trouble)
            while store.remarks:
                self._notices.put(Remark(store.remarks.pop()))
        store.close()

    def _take_jobs(self, store: ProjectStore) -> bool:
        """Do what is asked for, and gather a little more of it; whether the work goes on."""
        end = time.monotonic() + GATHER_SECONDS
        job = self._next_job(self._patience(store))
        while job is not _nothing:
            if job is None:
                return False
            self._do(job, store)
            job = self._next_job(max(end - time.monotonic(), 0.0))
        store.copy_some(COPY_BYTES)
        return True

    def _do(self, job: Job, store: ProjectStore) -> None:
        """One job; a defect is reported, and takes nothing else along: this is where the thread begins."""
        try:
            job(store)
        except Exception as error:
            log.exception("a change could not be kept")
            self._notices.put(Remark(f"Please report this defect of napari-unet: {type(error).__name__}: {error}"))

    def _patience(self, store: ProjectStore) -> float | None:
        """How long to wait for something to do, seconds; None for ever."""
        if store.copying:
            return 0.0
        return RETRY_SECONDS if store.trouble else None

    def _next_job(self, seconds: float | None) -> Job | None:
        try:
            return self._jobs.get(timeout=seconds) if seconds != 0 else self._jobs.get_nowait()
        except queue.Empty:
            return _nothing

    def _block(self, key: str, at: At, pixels: npt.NDArray[Any], store: ProjectStore) -> None:
        with self._lock:
            self._waiting -= pixels.nbytes
        store.block(key, at, pixels)

    def _move(self, folder: Path, store: ProjectStore) -> None:
        try:
            store.move(folder)
        except ProjectError as error:
            self._notices.put(Remark(str(error)))
        else:
            self._notices.put(Moved(store.folder))


def _nothing(store: ProjectStore) -> None:
    """Stands for no job."""
