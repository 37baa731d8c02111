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

    Parameters
    ----------
    model : ModelConfig
        Any model; what it is trained for makes no difference.

    Examples
    --------
    >>> begins_from_base(standard_model()), begins_from_base(ModelConfig(width=8))
    (True, False)
    """
    even = model.spacing is None or len(set(model.spacing)) == 1
    return model.weights == "base" and even and all(getattr(model, name) == form for name, form in BASE_FORM.items())


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
    return ModelConfig(**{**BASE_FORM, **changes})
