"""Probabilities and uncertainty as image layers that are written tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image
from napari.utils.colormaps import AVAILABLE_COLORMAPS, Colormap
from napari.utils.colormaps.standardize_color import transform_color

from napari_unet._napari.axes import label_shape, placement
from napari_unet._napari.prediction_layer import ROLE, Index
from napari_unet.config import ModelConfig, PredictConfig
from napari_unet.errors import ImageError
from napari_unet.session.results import form_of_result, named_planes

UNCERTAINTY_NAME = "Uncertainty"
UNCERTAINTY_COLORS = "inferno"


class Maps:
    """One image layer for each plane of a result, all of them views of one array.

    Parameters
    ----------
    image : Image
        What it is a result of.
    model : ModelConfig
    config : PredictConfig
        Probabilities (a layer for each class, in its colour) or uncertainty (one layer), in 16 or 32 bits.

    Attributes
    ----------
    layers : tuple of Image
        In the order of the classes. Values from 0 to 1; 0 is also what is not computed yet.
    array : ndarray
        All values: ``(K, *label_shape)`` for probabilities.

    Raises
    ------
    ImageError
        When there is not enough memory.
    """

    def __init__(self, image: Any, model: ModelConfig, config: PredictConfig) -> None:
        self._made_for = _kind(image, model, config)
        shape, dtype = form_of_result(model, config, label_shape(image))
        try:
            self.array = np.zeros(shape, dtype)
        except MemoryError as error:
            raise ImageError("close other images or programs: there is not enough memory for this result") from error
        planes = named_planes(model, config.output)
        self.classes = planes
        if planes:
            self.layers = tuple(
                _layer(image, data, f"{name} probability", _ramp(color))
                for data, (name, color) in zip(self.array, planes, strict=True)
            )
            # most of an image is background: shown, it would cover it
            self.layers[0].visible = len(planes) == 1
        else:
            self.layers = (_layer(image, self.array, UNCERTAINTY_NAME, _glow()),)

    def fits(self, image: Any, model: ModelConfig, config: PredictConfig) -> bool:
        """Whether another result of the same form can be written into it."""
        return self._made_for == _kind(image, model, config)

    def write(self, index: Index, tile: npt.NDArray[Any]) -> None:
        """Put a tile at `index` of the label image into all layers."""
        self.array[(..., *index)] = tile

    @property
    def order(self) -> Sequence[Any]:
        """The layers from the topmost to the lowest: the first class, mostly background, lies lowest."""
        return self.layers[::-1]


def _kind(image: Any, model: ModelConfig, config: PredictConfig) -> tuple[Any, ...]:
    return form_of_result(model, config, label_shape(image)), named_planes(model, config.output)


def _ramp(color: str) -> Colormap:
    """From nothing to the colour: it can be seen on dark and on bright images."""
    rgba = transform_color(color)[0]
    return Colormap([[*rgba[:3], 0.0], rgba], name=f"to {color}")


def _glow() -> Colormap:
    """A glow from nothing to the brightest."""
    colors = AVAILABLE_COLORMAPS[UNCERTAINTY_COLORS].colors.copy()
    colors[:, 3] = np.linspace(0, 1, len(colors))
    return Colormap(colors, name=f"to {UNCERTAINTY_COLORS}")


def _layer(image: Any, data: npt.NDArray[Any], name: str, colors: Any) -> Image:
    return Image(
        data,
        name=name,
        rgb=False,
        colormap=colors,
        opacity=0.7,
        contrast_limits=(0.0, 1.0),
        metadata={ROLE: "prediction"},
        **placement(image),
    )
