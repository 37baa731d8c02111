"""Puts a project back into the viewer: images, strokes, complete regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet._napari.axes import pixels
from napari_unet._napari.project_layers import wanted
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.errors import NapariUnetError
from napari_unet.session.projects import ImageEntry, Project, entry_of, fingerprint, image_path


@dataclass(slots=True)
class Restored:
    """What came back.

    Attributes
    ----------
    images : dict
        Key of each image layer.
    strokes : dict
        Key of each strokes layer, and of its image.
    remarks : list of str
        What did not, in one sentence each.
    """

    images: dict[Any, str] = field(default_factory=dict)
    strokes: dict[Any, tuple[str, str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def restore(link: ViewerLink, project: Project) -> Restored:
    """Add the layers of `project` to the viewer; images that are open already are used as they are."""
    restored = Restored()
    for entry in project.about.images:
        layer = _open_already(link, project, entry) or _opened(link, project, entry, restored.remarks)
        if layer is not None:
            restored.images[layer] = entry.key
            link.choose_image(layer)
        _add_strokes(link, project, entry, restored)
        if layer is not None and project.state.regions.get(entry.key):
            link.add_regions(project.state.regions[entry.key])
    return restored


def _open_already(link: ViewerLink, project: Project, entry: ImageEntry) -> Any:
    """The layer that shows this image, if there is one."""
    about = project.about.replace(images=(entry,))
    layers = [link.image, *link.images] if link.image is not None else link.images
    return next((layer for layer in layers if entry_of(project.folder, about, wanted(layer)) is not None), None)


def _opened(link: ViewerLink, project: Project, entry: ImageEntry, remarks: list[str]) -> Any:
    """The image, opened again; None, and a remark, when it is not there any more or another one."""
    path = image_path(project.folder, entry)
    if path is None:
        remarks.append(_missing(entry))
        return None
    try:
        layers = _copied(link, path, entry) if entry.copied else link.open_images(str(path), entry.plugin)
    except NapariUnetError as error:
        remarks.append(str(error))
        return None
    alike = [layer for layer in layers if tuple(pixels(layer).shape) == entry.shape]
    same = [layer for layer in alike if fingerprint(pixels(layer)) == entry.fingerprint]
    if not same:
        remarks.append(f"Look closely: '{path.name}' is not the image that the strokes were painted on")
    return next(iter(same or alike), None)


def _copied(link: ViewerLink, path: Path, entry: ImageEntry) -> list[Any]:
    """An image that came from no file."""
    array = np.load(path, allow_pickle=False)
    return [link.add_image(array, name=entry.name, rgb="C" in entry.axes, **entry.placement)]


def _add_strokes(link: ViewerLink, project: Project, entry: ImageEntry, restored: Restored) -> None:
    for key, layer in project.state.layers.items():
        if layer.image != entry.key:
            continue
        try:
            data = layer.array()
        except NapariUnetError as error:
            restored.remarks.append(str(error))
            continue
        added = link.add_strokes(data, layer.name, project.state.settings.model, dict(entry.placement))
        restored.strokes[added] = key, layer.image


def _missing(entry: ImageEntry) -> str:
    if entry.path is None:
        return f"Open '{entry.name}' again: it came from no file, and was too large for a copy"
    return f"Open '{entry.name}' from where it is now: {entry.path} is not there any more; the strokes are"
