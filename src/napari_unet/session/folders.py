"""Which images of a folder are segmented, and where their results go. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_unet.config import Output
from napari_unet.errors import ImageError
from napari_unet.io.images import ENDINGS

#: What a result can be written as.
RESULT_ENDINGS = (".ome.tif", ".ome.zarr", ".tif")


@dataclass(frozen=True, slots=True)
class Item:
    """An image file, and the file that its result is written to."""

    source: Path
    target: Path


def plan_folder(
    folder: Path, out: Path | None = None, *, output: Output = "labels", ending: str = ".ome.tif"
) -> tuple[Item, ...]:
    """All images of a folder, by name, each with a result such as ``cells-labels.ome.tif``.

    Results of earlier runs in the same folder are no images. Where two images differ in their ending only, it becomes
    a part of their results' names.

    Parameters
    ----------
    folder : Path
        Is looked at itself, not what is in its folders.
    out : Path, optional
        Folder for the results; by default `folder`.
    output : str
        Becomes a part of the names.
    ending : str
        One of `RESULT_ENDINGS`.

    Raises
    ------
    ImageError
        When the folder cannot be read, or there is no image in it.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> for name in ("a.png", "b.tif", "a-labels.ome.tif", "notes.txt"): (folder / name).touch()
    >>> [(item.source.name, item.target.name) for item in plan_folder(folder)]
    [('a.png', 'a-labels.ome.tif'), ('b.tif', 'b-labels.ome.tif')]
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.name[0] != ".")
    except OSError as error:
        raise ImageError(f"choose another folder: '{folder}' cannot be read ({error.strerror})") from error
    stems = [_stem(path) for path in found]
    images = [path for path in found if _without_role(_stem(path)) not in stems]
    if not images:
        raise ImageError(f"choose another folder: there is no image in '{folder}'")
    stems = [_stem(path) for path in images]
    names = [stem if stems.count(stem) == 1 else path.name for stem, path in zip(stems, images, strict=True)]
    where = out or folder
    return tuple(Item(path, where / f"{name}-{output}{ending}") for path, name in zip(images, names, strict=True))


def _stem(path: Path) -> str:
    """A name without its ending."""
    return path.stem[:-4] if path.stem.lower().endswith(".ome") else path.stem


def _without_role(stem: str) -> str | None:
    """What the result of that name was made of; None when it is no result."""
    for role in ("labels", "instances", "probabilities", "uncertainty"):
        if stem.endswith(f"-{role}"):
            return stem.removesuffix(f"-{role}")
    return None
