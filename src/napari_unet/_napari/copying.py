"""Copy as command, copy as Python: what was clicked, with the files it takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_unet._napari.axes import channels, layer_axes, pixels
from napari_unet._napari.boxes import slices
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.errors import ImageError
from napari_unet.session.recipe import Prediction, Training

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
        self._axes = layer_axes(link.image)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(f"choose another folder: '{folder}' cannot be used ({error.strerror})") from error

    @property
    def model(self) -> Path:
        """Where the model of a prediction is to be saved."""
        return self._folder / MODEL_FILE

    def prediction(self, kind: Kind, config: PredictConfig) -> str:
        """Segment the image with the model in the file `model`."""
        out = self._folder / f"{_plain(self._link.image.name)}-{config.output}.tif"
        return _text(Prediction(self._image(), self.model, out, self._axes, config), kind)

    def training(self, kind: Kind, model: ModelConfig, config: TrainConfig, steps: int) -> str:
        """Learn anew from the strokes as they are now, as many steps as the model in use has behind it."""
        budget = config if config.steps is not None else config.replace(steps=steps, seconds=None)
        wanted = model.replace(in_channels=channels(self._link.image))
        strokes = self._write(f"{_plain(self._link.image.name)}-strokes", self._strokes())
        out = self._folder / TRAINED_FILE
        return _text(Training((self._image(),), (strokes,), out, self._axes, wanted, budget), kind)

    def _strokes(self) -> npt.NDArray[Any]:
        """The strokes, with complete regions painted out as background."""
        data = np.array(self._link.strokes.data)
        for box in self._link.complete():
            part = data[slices(box)]
            part[part == 0] = 1
        return data

    def _image(self) -> Path:
        """The image's own file if it holds just these pixels, else one written now."""
        layer = self._link.image
        data = pixels(layer)
        own = getattr(layer.source, "path", None)
        if own and (str(own).rstrip("/").endswith(".zarr") or (not layer.multiscale and _holds(Path(own), data))):
            return Path(own)
        return self._write(_plain(layer.name), np.asarray(data))

    def _write(self, name: str, data: npt.NDArray[Any]) -> Path:
        path = self._folder / f"{name}.npy"
        try:
            np.save(path, data)
        except OSError as error:
            raise ImageError(f"choose another folder: '{path}' could not be written ({error.strerror})") from error
        return path


def _text(recipe: Prediction | Training, kind: Kind) -> str:
    return recipe.command() if kind == "command" else recipe.python()


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
