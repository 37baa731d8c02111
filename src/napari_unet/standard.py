"""The standard network: the one whose weights come with the package."""

from __future__ import annotations

from typing import Any

from napari_unet.config import ModelConfig

#: Its form; a new model of this form begins from those weights, unless random ones are asked for.
BASE_FORM: dict[str, Any] = {
    "architecture": "unet",
    "ndim": 2,
    "width": 16,
    "depth": 4,
    "norm": "batch",
    "block": "conv_norm_relu",
    "upsampling": "transpose",
    "deep_supervision": False,
    "guided": False,
    "encoder": None,
    "stem": "scale_space",
}


def begins_from_base(model: ModelConfig) -> bool:
    """Whether a new network of a model begins from the weights that come with the package.

    Those are of a 2D network; a 3D one begins from them where its planes are even, and no coarser than z.

    Parameters
    ----------
    model : ModelConfig
        Any model; what it is trained for makes no difference.

    Examples
    --------
    >>> begins_from_base(standard_model()), begins_from_base(ModelConfig(width=8))
    (True, False)
    """
    even = model.spacing is None or set(model.spacing[-2:]) == {min(model.spacing)}
    same = all(getattr(model, name) == form for name, form in BASE_FORM.items() if name != "ndim")
    return model.weights == "base" and even and same


def standard_model(**changes: Any) -> ModelConfig:
    """The model that a new training begins with unless another is asked for: the base network.

    Parameters
    ----------
    **changes
        Fields of `ModelConfig`.

    Examples
    --------
    >>> standard_model(classes=("background", "nucleus")).stem
    'scale_space'
    """
    model = ModelConfig(**{**BASE_FORM, **changes})
    return model if "stem" in changes else suited(model, ModelConfig(**BASE_FORM))


def suited(model: ModelConfig, before: ModelConfig) -> ModelConfig:
    """A model whose network was changed, with the stem that suits the new one unless that was changed as well.

    The scale-space stem is for the 2D U-Net: an encoder reads the image itself, and in 3D the stem's wide halo costs
    more than it gives.

    Parameters
    ----------
    model, before : ModelConfig
        With the change and without it.

    Examples
    --------
    >>> before = standard_model()
    >>> suited(before.replace(architecture="unetpp"), before).stem
    'none'
    """
    if _kind(model) == _kind(before) or model.stem != before.stem:
        return model
    return model.replace(stem=BASE_FORM["stem"] if _kind(model) == _kind(ModelConfig(**BASE_FORM)) else "none")


def start_words(model: ModelConfig) -> str:
    """What a new network begins with, as people are told."""
    if begins_from_base(model):
        return "the weights that come with napari-unet"
    return "those of its encoder" if model.encoder and model.encoder_weights else "random weights"


def _kind(model: ModelConfig) -> tuple[str, int, bool]:
    return model.architecture, model.ndim, model.encoder is None
