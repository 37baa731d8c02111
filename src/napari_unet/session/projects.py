"""The projects there are: what can be gone on with, and what a project holds. Needs neither Qt nor torch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_unet.errors import ProjectError
from napari_unet.io import project_places as places
from napari_unet.io.project import (
    ENDING,
    MODEL,
    ImageEntry,
    Project,
    ProjectFile,
    fingerprint,
    image_path,
    is_project,
    read_about,
    read_project,
)
from napari_unet.io.project_places import Recent, is_in_use, keep_in
from napari_unet.io.project_state import BLOCK, At, Settings, StrokesLayer, block_index, blocks_in
from napari_unet.io.regions import complete_boxes
from napari_unet.session.keeper import Keeper
from napari_unet.session.project_store import ProjectStore

__all__ = [
    "BLOCK",
    "ENDING",
    "MODEL",
    "At",
    "ImageEntry",
    "Keeper",
    "Offer",
    "Project",
    "ProjectStore",
    "Settings",
    "StrokesLayer",
    "Wanted",
    "block_index",
    "blocks_in",
    "complete_boxes",
    "discard",
    "entry_of",
    "fingerprint",
    "image_path",
    "is_project",
    "keep_in",
    "offer_for",
    "read_project",
    "recent_offers",
]

log = logging.getLogger(__name__)

OFFER_SECONDS = 30 * 24 * 3600.0
DISCARDED_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Offer:
    """Work that can be gone on with.

    Attributes
    ----------
    folder : Path
    image : str
        Name of its image, or of the first of several.
    images : int
        How many it has.
    strokes, step : int
        Strokes painted, and steps the model was trained.
    time : float
        When it last changed, seconds since 1970.
    killed : bool
        Whether napari ended without closing it.
    """

    folder: Path
    image: str
    images: int
    strokes: int
    step: int
    time: float
    killed: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image that is open now.

    Attributes
    ----------
    path : Path or None
        Its file.
    shape : tuple of int
    array : callable
        Gives its pixels; only called when another image looks the same.
    """

    path: Path | None
    shape: tuple[int, ...]
    array: Callable[[], Any]


def offer_for(image: Wanted | None, without: set[Path]) -> Offer | None:
    """The latest work on `image`, or on any image when none is open, that can be gone on with.

    Parameters
    ----------
    image : Wanted or None
    without : set of Path
        Projects not to offer.
    """
    for recent in places.known(image.path if image is not None else None):
        if recent.folder.resolve() in without or (image is None and time.time() - recent.time > OFFER_SECONDS):
            continue
        offer = _offer_of(recent, image)
        if offer is not None:
            return offer
    return None


def recent_offers() -> Iterator[Offer]:
    """All projects that were worked on, the latest first."""
    for recent in places.recent():
        try:
            yield _offer(read_project(recent.folder), None)
        except ProjectError as error:
            log.info("%s is not listed: %s", recent.folder, error)


def entry_of(folder: Path, about: ProjectFile, image: Wanted) -> ImageEntry | None:
    """The entry of the project that is this image: by its file, or else by its pixels (it was renamed, or copied)."""
    if image.path is not None:
        path = image.path.resolve()
        for entry in about.images:
            known = image_path(folder, entry)
            if known is not None and known.resolve() == path and entry.shape == image.shape:
                return entry
    alike = [entry for entry in about.images if entry.shape == image.shape]
    return next((entry for entry in alike if entry.fingerprint == fingerprint(image.array())), None)


def discard(folder: Path) -> None:
    """Do not offer a project any more; a day later it is deleted, unless the user saved it or went on with it.

    Raises
    ------
    ProjectError
        When it cannot be written.
    """
    ProjectStore.reopened(folder).close("discarded")


def _offer_of(recent: Recent, image: Wanted | None) -> Offer | None:
    """The offer of one project, if it is worth one; cheap for projects of other images."""
    try:
        about = read_about(recent.folder)
        entry = entry_of(recent.folder, about, image) if image is not None else None
        if (image is not None and entry is None) or is_in_use(recent.folder):
            return None
        project = read_project(recent.folder)
    except ProjectError as error:
        log.info("%s is not offered: %s", recent.folder, error)
        return None
    if project.state.ended == "discarded":
        _sweep(project)
        return None
    painted = any(layer.blocks for layer in project.state.layers.values())
    return _offer(project, entry) if painted or project.model is not None else None


def _sweep(project: Project) -> None:
    """Delete what the user discarded a while ago."""
    if not project.about.saved and time.time() - project.state.time > DISCARDED_SECONDS:
        places.delete(project.folder)


def _offer(project: Project, entry: ImageEntry | None) -> Offer:
    state, entries = project.state, project.about.images
    name = entry.name if entry is not None else entries[0].name if entries else project.about.name
    step = state.step if project.model is not None else 0
    return Offer(project.folder, name, len(entries), state.strokes, step, state.time, state.ended != "closed")
