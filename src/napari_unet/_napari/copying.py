"""Copy as command, copy as Python: what was clicked, with the files it takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_unet._napari.axes import channels, layer_axes, pixels
from napari_unet._napari.boxes import slices
from napari_unet._napari.segmentation import Folder
from napari_unet._napari.segmenting import Piece
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.errors import ImageError
from napari_unet.session.part import Part
from napari_unet.session.recipe import (
    FolderPrediction,
    Prediction,
    Training,
    predictions_command,
    predictions_python,
)

Kind = Literal["command", "python"]
MODEL_FILE, TRAINED_FILE = "model.unet", "trained.unet"
#: Larger images are not read a second time to see whether their file holds the same pixels.
MOST_COMPARED_BYTES = 2**28


class Copying:
    """Writes what a command needs into a folder, and gives its text.

    Parameters
    ----------
    link : ViewerLink
        Has image and strokes.
    folder : Path
        For pixels that are in no file.

    Raises
    ------
    ImageError
        When the folder cannot be written to.
    """

    def __init__(self, link: ViewerLink, folder: Path) -> None:
        self._link, self._folder = link, folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(f"choose another folder: '{folder}' cannot be used ({error.strerror})") from error

    @property
    def model(self) -> Path:
        """Where the model of a prediction is to be saved."""
        return self._folder / MODEL_FILE

    def predictions(self, kind: Kind, pieces: Sequence[Piece], config: PredictConfig) -> str:
        """Segment images, or a part of one, with the model in the file `model`."""
        names = _distinct([_plain(piece.image.name) for piece in pieces])
        found = [
            Prediction(
                self._image(piece.image, name),
                self.model,
                self._folder / f"{name}-{config.output}.tif",
                layer_axes(piece.image),
                config,
                None if piece.whole else Part((piece.leads or ((),))[0], piece.box),
            )
            for piece, name in zip(pieces, names, strict=True)
        ]
        return predictions_command(found) if kind == "command" else predictions_python(found)

    def files(self, kind: Kind, folder: Folder, config: PredictConfig) -> str:
        """Segment all images of a folder with the model in the file `model`."""
        if folder.path is None:
            raise ImageError("Choose a folder of images first.")
        return _text(FolderPrediction(folder.path, self.model, folder.out or folder.path, folder.ending, config), kind)

    def training(self, kind: Kind, model: ModelConfig, config: TrainConfig, steps: int) -> str:
        """Learn anew from the strokes as they are now, as many steps as the model in use has behind it."""
        budget = config if config.steps is not None else config.replace(steps=steps, seconds=None)
        wanted = model.replace(in_channels=channels(self._link.image))
        strokes = self._write(f"{_plain(self._link.image.name)}-strokes", self._strokes())
        out, image = self._folder / TRAINED_FILE, self._link.image
        pixels_of = self._image(image, _plain(image.name))
        return _text(Training((pixels_of,), (strokes,), out, layer_axes(image), wanted, budget), kind)

    def _strokes(self) -> npt.NDArray[Any]:
        """The strokes, with complete regions painted out as background."""
        data = np.array(self._link.strokes.data)
        for box in self._link.complete():
            part = data[slices(box)]
            part[part == 0] = 1
        return data

    def _image(self, layer: Any, name: str) -> Path:
        """The file of an image layer if it holds just these pixels, else one written now."""
        data = pixels(layer)
        own = getattr(layer.source, "path", None)
        if own and (str(own).rstrip("/").endswith(".zarr") or (not layer.multiscale and _holds(Path(own), data))):
            return Path(own)
        return self._write(name, np.asarray(data))

    def _write(self, name: str, data: npt.NDArray[Any]) -> Path:
        path = self._folder / f"{name}.npy"
        try:
            np.save(path, data)
        except OSError as error:
            raise ImageError(f"choose another folder: '{path}' could not be written ({error.strerror})") from error
        return path


def _text(recipe: FolderPrediction | Training, kind: Kind) -> str:
    return recipe.command() if kind == "command" else recipe.python()


def _distinct(names: Sequence[str]) -> list[str]:
    """Names with a number where one occurs again."""
    return [f"{name}-{names[:at].count(name) + 1}" if name in names[:at] else name for at, name in enumerate(names)]


def _plain(name: str) -> str:
    """A layer's name as a file name."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_.") or "image"


def _holds(path: Path, data: Any) -> bool:
    """Whether the file holds exactly these pixels, axes in this order."""
    if not path.is_file() or getattr(data, "nbytes", MOST_COMPARED_BYTES + 1) > MOST_COMPARED_BYTES:
        return False
    try:
        found = _read(path)
    except (OSError, ValueError):
        return False
    return found is not None and found.shape == data.shape and np.array_equal(found, np.asarray(data))


def _read(path: Path) -> Any:
    """The pixels of a file, as far as napari and the command line read them alike."""
    if path.suffix.lower() == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile

        return tifffile.imread(path)
    return None
