"""The model that the session has, or will have when it has read what was sent to it."""

from __future__ import annotations

from typing import Any

from napari_unet._napari.axes import channels, label_shape, spacing
from napari_unet.config import ModelConfig
from napari_unet.errors import AnnotationError


class ModelInUse:
    """Knows whether a new model is needed, and whether an image fits.

    Attributes
    ----------
    config : ModelConfig or None
        None when there is no model, or when the user wants to start again.
    """

    def __init__(self) -> None:
        self.config: ModelConfig | None = None

    def take(self, wanted: ModelConfig, step: int, image: Any) -> bool:
        """Use the model there is, or `wanted` when that is none yet or has learnt nothing; whether it is new.

        Raises
        ------
        AnnotationError
            When a trained model does not go with the image or the classes.
        """
        new = self.config is None or (step == 0 and self.config != wanted)
        model = wanted if new or self.config is None else self.config
        check_fit(model, image)
        if model.classes != wanted.classes:
            raise AnnotationError("The model in use knows other classes: press Start again to train a new one.")
        self.config = model
        return new

    def differs(self, wanted: ModelConfig) -> bool:
        """Whether `wanted` is another model; what comes from the image (channels, pixel size) does not count."""
        if self.config is None or self.config.ndim != wanted.ndim:
            return self.config is not None
        return self.config.replace(in_channels=wanted.in_channels, spacing=wanted.spacing) != wanted


def for_image(model: ModelConfig, image: Any) -> ModelConfig:
    """The model with what the image says: its channels, and in 3D the size of its voxels where that is known."""
    known = model.ndim == 3 and len(label_shape(image)) >= model.ndim
    size = spacing(image, "ZYX".rjust(len(label_shape(image)), "Q")) if known else None
    return model.replace(in_channels=channels(image), spacing=model.spacing if size is None else size)


def check_fit(model: ModelConfig, image: Any) -> None:
    """Raise a sentence unless `image` is one for the model."""
    found = channels(image)
    if model.in_channels != found:
        raise AnnotationError(
            f"The model in use reads {model.in_channels} channel(s) and this image has {found}: "
            "choose another image, or press Start again."
        )
    if model.ndim > len(label_shape(image)):
        raise AnnotationError(
            "A 3D network needs a stack: let it look at slices (2D) in the network settings, or choose another image."
        )
