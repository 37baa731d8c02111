"""A project while it is written: its state in memory, its folder on the disk, and what is not there yet."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_unet.errors import ProjectError
from napari_unet.io import project_places as places
from napari_unet.io.atomic import replacing
from napari_unet.io.journal import Journal, Record, write_journal
from napari_unet.io.project import (
    ENDING,
    IMAGES,
    JOURNAL,
    MODEL,
    ImageEntry,
    ProjectFile,
    fingerprint,
    read_project,
    write_about,
)
from napari_unet.io.project_state import At, ProjectState, Settings, StrokesLayer, block_record, layer_record

if TYPE_CHECKING:
    from filelock import BaseFileLock

log = logging.getLogger(__name__)

#: A journal is rewritten when it is larger than this and mostly history.
COMPACT_BYTES = 2**23
COMPACT_SHARE = 4


class ProjectStore:
    """Takes records, and brings them to the disk when `flush` is called; not for two threads at once.

    The state is kept in memory, compressed. So whatever happens to the folder, all of it can be written again.

    Parameters
    ----------
    name : str
        Name of a new project.
    image : Path, optional
        File of its first image; the project lies beside it if that folder can be written.

    Attributes
    ----------
    folder : Path
        Where it lies; does not exist before the first `flush`.
    trouble : str
        Why nothing can be written at the moment; "" when all is well.
    remarks : list of str
        What else the user should know.
    """

    def __init__(self, name: str, image: Path | None = None) -> None:
        self._about = ProjectFile.now(name)
        self._image = image
        self._state = ProjectState()
        self._pending: list[Record] = []
        self._copies: list[Iterator[int]] = []
        self._journal: Journal | None = None
        self._lock: BaseFileLock | None = None
        self._live = 0
        self.folder = Path()
        self.trouble = ""
        self.remarks: list[str] = []

    @classmethod
    def reopened(cls, folder: Path) -> ProjectStore:
        """Go on with a project.

        Raises
        ------
        ProjectError
            When it cannot be read, or somebody else writes to it.
        """
        store = cls(folder.stem)
        try:
            store._lock = places.lock(folder)
            found = read_project(folder)
            store._about, store._state, store.folder = found.about, found.state, folder
            store._image = next((Path(image.path) for image in found.about.images if image.path), None)
            store._journal = Journal(folder / JOURNAL)
            places.remember(folder)
        except OSError as error:
            store.close()
            raise ProjectError(f"allow writing to '{folder}' first: {error.strerror or error}") from error
        except ProjectError:
            store.close()
            raise
        store.mark(ended="")
        return store

    # ------------------------------------------------------------------ what happens

    def layer(self, key: str, layer: StrokesLayer) -> None:
        """A strokes layer is new, or has another name or shape."""
        self._take(layer_record(key, layer))

    def block(self, key: str, at: At, pixels: npt.NDArray[Any]) -> None:
        """A block of strokes is different now."""
        self._take(block_record(key, at, pixels))

    def removed(self, key: str) -> None:
        """The user deleted the strokes."""
        self._take(Record({"kind": "removed", "layer": key}))

    def regions(self, image: str, shapes: list[dict[str, Any]]) -> None:
        """The complete regions of an image are these now."""
        self._take(Record({"kind": "regions", "image": image, "shapes": shapes}))

    def settings(self, settings: Settings) -> None:
        """The forms say something else."""
        self._take(Record({"kind": "settings", **settings.model_dump(mode="json")}))

    def mark(self, **news: int | str) -> None:
        """Note the number of `strokes`, of `step` of the model, or how the work `ended`."""
        self._take(Record({"kind": "mark", **news}))

    def image(self, entry: ImageEntry, array: Any, *, copy: bool) -> None:
        """An image is worked on; `copy` keeps its pixels, for they are in no file."""
        copied = f"{IMAGES}/{entry.key}.npy" if copy else None
        entry = entry.replace(fingerprint=fingerprint(array), copied=copied)
        others = tuple(other for other in self._about.images if other.key != entry.key)
        self._about = self._about.replace(images=(*others, entry))
        if copied:
            self._copies.append(self._copy(array, copied))
        self._rewrite_about()

    # ------------------------------------------------------------------ the disk

    def flush(self) -> bool:
        """Bring everything to the disk; whether there was anything, and it is there now."""
        if not self._pending and not self.trouble:
            return False
        self._pending.append(Record({"kind": "mark", "time": time.time()}))
        self._state.take(self._pending[-1])
        try:
            self._write()
        except (OSError, ProjectError) as error:
            self.trouble = _in_words(error)
            log.info("the project is not written: %s", error)
            return False
        self._pending, self.trouble = [], ""
        return True

    @property
    def copying(self) -> bool:
        """Whether an image is being copied."""
        return bool(self._copies)

    def copy_some(self, size: int) -> None:
        """Copy about so many bytes of the images that wait for it; one that cannot be written is given up."""
        if not self._copies or self._journal is None:
            return
        try:
            while size > 0:
                size -= next(self._copies[0])
        except StopIteration:
            self._copies.pop(0)
        except OSError as error:
            self._copies.pop(0)
            reason = error.strerror or str(error)
            self.remarks.append(f"Save the image to a file: it could not be copied into the project ({reason}).")

    def move(self, folder: Path) -> None:
        """Put the project into `folder`, at the user's wish; the one that was made by itself is deleted then.

        Raises
        ------
        ProjectError
            When that cannot be done; then it stays where it is.
        """
        folder = folder if folder.suffix == ENDING else folder.with_name(folder.name + ENDING)
        if folder.exists() and (folder.resolve() == self.folder.resolve() or any(folder.iterdir())):
            raise ProjectError(f"choose another name: '{folder.name}' is there already")
        old, made_by_itself = self.folder, not self._about.saved
        about = self._about.replace(name=folder.stem, saved=True)
        try:
            self._write_elsewhere(folder, about)
        except OSError as error:
            places.delete(folder)
            raise ProjectError(f"choose another folder: {folder} cannot be written ({error.strerror})") from error
        self._let_go()
        self._lock, self._journal = places.lock(folder), Journal(folder / JOURNAL)
        self.folder, self._about = folder, about
        if made_by_itself and old != Path():
            places.delete(old)

    def close(self, ended: str = "closed") -> None:
        """Note how it ended, and let go of the folder."""
        self._copies = []
        if self._journal is not None:
            self.mark(ended=ended)
            self.flush()
        self._let_go()

    # ------------------------------------------------------------------ parts

    def _take(self, record: Record) -> None:
        self._state.take(record)
        self._pending.append(record)

    def _write(self) -> None:
        journal = self._journal
        if journal is None or journal.gone:
            self._start()
        elif self.trouble or self._is_mostly_history(journal.size):
            journal.replace(self._state.records())
            self._live = journal.size
        else:
            journal.append(self._pending)

    def _start(self) -> None:
        """Make a folder; also when somebody took the old one away."""
        self._let_go()
        errors: list[OSError] = []
        for parent in places.parents(self._image):
            try:
                self._start_in(parent)
            except OSError as error:
                errors.append(error)
            else:
                return
        raise errors[-1]

    def _start_in(self, parent: Path) -> None:
        folder = places.new_folder(parent, self._about.name)
        try:
            self._lock = places.lock(folder)
            self._about = _seen_from(self._about, folder)
            write_about(folder, self._about)
            self._journal = Journal(folder / JOURNAL)
            self._journal.append(self._state.records())
            places.remember(folder)
        except OSError:
            self._let_go()
            places.delete(folder)
            raise
        self._live, self.folder = self._journal.size, folder

    def _is_mostly_history(self, size: int) -> bool:
        return size > max(COMPACT_BYTES, COMPACT_SHARE * self._live)

    def _rewrite_about(self) -> None:
        if self._journal is not None:
            self._about = _seen_from(self._about, self.folder)
            with suppress(OSError):
                write_about(self.folder, self._about)

    def _copy(self, array: Any, place: str) -> Iterator[int]:
        """Copy an image plane by plane; yields the bytes of each."""
        target = self.folder / place
        target.parent.mkdir(exist_ok=True)
        shape, dtype = tuple(array.shape), np.dtype(array.dtype).newbyteorder("=")
        with replacing(target) as temporary, temporary.open("xb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            )
            for row in range(shape[0]):
                plane = np.ascontiguousarray(array[row], dtype)
                file.write(plane.data.cast("B"))
                yield plane.nbytes

    def _write_elsewhere(self, folder: Path, about: ProjectFile) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.flush()
        write_journal(folder / JOURNAL, self._state.records())
        for name in (MODEL, IMAGES):
            source = self.folder / name
            if source.is_dir():
                shutil.copytree(source, folder / name, dirs_exist_ok=True)
            elif source.is_file():
                with replacing(folder / name) as temporary:
                    shutil.copyfile(source, temporary)
        write_about(folder, _seen_from(about, folder))
        places.remember(folder)

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None:
            self._lock.release()
        self._journal = self._lock = None


def _seen_from(about: ProjectFile, folder: Path) -> ProjectFile:
    """With the way to each image from the project's folder, for the case that both are moved together."""
    return about.replace(images=tuple(_with_relative(entry, folder) for entry in about.images))


def _with_relative(entry: ImageEntry, folder: Path) -> ImageEntry:
    if entry.path is None:
        return entry
    try:
        relative = Path(entry.path).resolve().relative_to(folder.resolve().parent).as_posix()
    except ValueError:
        return entry.replace(relative=None)
    return entry.replace(relative=f"../{relative}")


def _in_words(error: OSError | ProjectError) -> str:
    if isinstance(error, ProjectError):
        return str(error)
    reason = error.strerror or str(error)
    return f"Free some space, or allow writing: your strokes are not kept on the disk at the moment ({reason})."
