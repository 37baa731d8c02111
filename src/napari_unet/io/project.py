"""A project: a folder with the strokes, the model and the settings of one or more images.

::

    cells.unet-project/
        project.json      format, name, images: where they are, how they look, what they hold
        strokes.journal   every stroke, complete region and setting as it was made
        model.unet        the model, as of a few seconds ago
        images/           copies of images that came from no file

Reading it needs neither napari nor torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue, ValidationError

from napari_unet.config import Config
from napari_unet.data.source import ArrayLike
from napari_unet.errors import ConfigError, ImageError, ProjectError
from napari_unet.io.atomic import replacing
from napari_unet.io.images import LoadedImage, read_image
from napari_unet.io.journal import read_journal
from napari_unet.io.project_state import ProjectState, state_of
from napari_unet.io.regions import Box, complete_boxes

FORMAT = 1
ENDING = ".unet-project"
ABOUT, JOURNAL, MODEL, IMAGES, LOCK = "project.json", "strokes.journal", "model.unet", "images", "lock"
_LOOK = 256  # edge of the parts of an image that are looked at to know it again


class ImageEntry(Config):
    """An image of a project, and how to find it again."""

    key: str = Field(description="Its name in the journal.")
    name: str = Field(description="Name of its layer.")
    path: str | None = Field(None, description="File it came from.")
    relative: str | None = Field(None, description="The same, seen from the project's folder.")
    plugin: str | None = Field(None, description="The napari plugin that read it.")
    copied: str | None = Field(None, description="Copy in the project's folder, of an image that came from no file.")
    shape: tuple[int, ...] = Field(description="Shape of the array, colour included.")
    dtype: str = Field(description="Type of a pixel.")
    axes: str = Field(description="One letter per axis.")
    fingerprint: str = Field("", description="Hash of some of its pixels.")
    placement: dict[str, JsonValue] = Field({}, description="Where napari shows it: scale, translation and so on.")


class ProjectFile(Config):
    """What ``project.json`` says."""

    format: int = Field(FORMAT, ge=1, description="Version of the folder's layout.")
    name: str = Field(description="Name of the project.")
    created: str = Field("", description="When it was made, ISO 8601 in UTC.")
    saved: bool = Field(False, description="Whether the user gave it its place; else it was made by itself.")
    images: tuple[ImageEntry, ...] = Field((), description="The images that were painted on.")

    @classmethod
    def now(cls, name: str) -> ProjectFile:
        """A new project."""
        return cls(name=name, created=datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """A project as it lies on the disk.

    Attributes
    ----------
    folder : Path
    about : ProjectFile
    state : ProjectState
    damaged : int
        Places of the journal that could not be read.
    """

    folder: Path
    about: ProjectFile
    state: ProjectState
    damaged: int

    @property
    def model(self) -> Path | None:
        """The model file, if there is one."""
        path = self.folder / MODEL
        return path if path.is_file() else None


def is_project(folder: str | os.PathLike[str]) -> bool:
    """Whether the folder holds a project."""
    return (Path(folder) / ABOUT).is_file() and Path(folder).suffix == ENDING


def read_project(folder: str | os.PathLike[str]) -> Project:
    """Read a project; a journal that ends in the middle of a record counts up to there.

    Parameters
    ----------
    folder : path-like
        The project's folder, or its ``project.json``.

    Returns
    -------
    Project

    Raises
    ------
    ProjectError
        When there is none, or it cannot be read.
    """
    folder = Path(folder)
    folder = folder.parent if folder.name == ABOUT else folder
    about, found = read_about(folder), read_journal(folder / JOURNAL)
    return Project(folder, about, state_of(found.records), found.damaged)


def read_about(folder: Path) -> ProjectFile:
    """What ``project.json`` says.

    Raises
    ------
    ProjectError
        As for `read_project`.
    """
    try:
        fields = json.loads((folder / ABOUT).read_bytes())
        if fields["format"] > FORMAT:
            raise ProjectError(f"update napari-unet to open '{folder.name}': a newer version of it wrote this project")
        return ProjectFile(**fields)
    except OSError as error:
        reason = error.strerror or "no such folder"
        raise ProjectError(f"choose another project: '{folder}' cannot be read ({reason})") from error
    except (ConfigError, ValidationError, ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, ProjectError):
            raise
        raise ProjectError(f"choose another project: '{folder}' is damaged, or none of napari-unet") from error


def write_about(folder: Path, about: ProjectFile) -> None:
    """Write ``project.json``; an older one stays until the new one is on the disk.

    Raises
    ------
    OSError
    """
    with replacing(folder / ABOUT) as temporary:
        temporary.write_text(json.dumps(about.model_dump(mode="json"), indent=1), encoding="utf-8")


def image_path(folder: Path, entry: ImageEntry) -> Path | None:
    """Where the image is now: in the project, beside it as before, or where it was; None when it is nowhere."""
    if entry.copied:
        copy = (folder / entry.copied).resolve()
        return copy if copy.is_relative_to(folder.resolve()) and copy.is_file() else None
    places = [(folder / entry.relative).resolve()] if entry.relative else []
    places += [Path(entry.path)] if entry.path else []
    return next((place for place in places if place.exists()), None)


def open_image(folder: Path, entry: ImageEntry) -> LoadedImage:
    """The image of a project, without napari.

    Raises
    ------
    ImageError
        When it is not there, cannot be read, or is another image now.
    """
    path = image_path(folder, entry)
    if path is None:
        raise ImageError(f"put '{entry.path or entry.name}' back in its place: it is not there any more")
    image = read_image(path)
    array = _same(image, entry)
    if array is None:
        raise ImageError(
            f"put back the image the strokes were painted on: '{path.name}' now holds another one, of shape "
            f"{tuple(image.array.shape)} instead of {entry.shape}"
        )
    return LoadedImage(array, entry.axes, image.spacing, entry.name)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """An image with strokes, as `napari_unet.train` takes it.

    Attributes
    ----------
    image : array-like
    axes : str
    strokes : ndarray
    complete : tuple of boxes
        Regions in which everything that is not painted is background.
    """

    image: ArrayLike
    axes: str
    strokes: npt.NDArray[Any]
    complete: tuple[Box, ...]


def lessons(project: Project) -> list[Lesson]:
    """Everything painted in a project; where two strokes layers lie on each other, the later one counts.

    Raises
    ------
    ImageError, ProjectError
        When an image is not there any more, or strokes cannot be read.
    """
    return [lesson for entry in project.about.images if (lesson := _lesson(project, entry)) is not None]


def _lesson(project: Project, entry: ImageEntry) -> Lesson | None:
    """One image with its strokes, if there are any."""
    layers = [layer for layer in project.state.layers.values() if layer.image == entry.key and layer.blocks]
    if not layers:
        return None
    strokes = layers[0].array()
    for layer in layers[1:]:
        above = layer.array()
        strokes = np.where(above > 0, above, strokes)
    shapes = [(str(shape["kind"]), shape["vertices"]) for shape in project.state.regions.get(entry.key, [])]
    image = open_image(project.folder, entry)
    return Lesson(image.array, entry.axes, strokes, complete_boxes(shapes, strokes.shape))


def fingerprint(array: ArrayLike) -> str:
    """A hash by which an image is known again: of its shape, type, and parts of the first, middle and last planes."""
    dtype = np.dtype(array.dtype).newbyteorder("=")
    seen = blake2b(f"{tuple(array.shape)} {dtype.kind}{dtype.itemsize}".encode(), digest_size=16)
    for part in (0.0, 0.5, 1.0):
        crop = np.asarray(array[_look(array.shape, part)])
        seen.update(np.ascontiguousarray(crop, dtype).tobytes())
    return seen.hexdigest()


def _look(shape: Sequence[int], part: float) -> tuple[int | slice, ...]:
    """One plane, at `part` of the way along each leading axis: its middle."""
    plane = 3 if len(shape) > 2 and shape[-1] <= 4 else 2
    lead = [int(part * (size - 1)) for size in shape[:-plane]]
    starts = [max(size - _LOOK, 0) // 2 for size in shape[-plane:]]
    return (*lead, *(slice(start, start + _LOOK) for start in starts))


def _same(image: LoadedImage, entry: ImageEntry) -> Any:
    """The array the strokes were painted on: all of the image, or one of its channels; None when it is another one."""
    array: Any = image.array
    if tuple(array.shape) == entry.shape:
        return array
    if "C" not in image.axes:
        return None
    axis = image.axes.index("C")
    single = [(slice(None),) * axis + (channel,) for channel in range(array.shape[axis])]
    fitting = [array[index] for index in single if tuple(array[index].shape) == entry.shape]
    return next((found for found in fitting if fingerprint(found) == entry.fingerprint), None)
