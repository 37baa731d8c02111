"""Paint a few strokes in napari and watch a U-Net learn to segment your microscopy images.

The three lines to know::

    model = napari_unet.fit(images, annotations, seconds=60)
    labels = model.predict(image)
    model.save("cells.unet")

Names are loaded when they are first used, so that importing the package costs neither torch nor napari.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
    from napari_unet.data.annotations import import_mask
    from napari_unet.data.weightmap import weight_map
    from napari_unet.networks import build_network
    from napari_unet.session.model import Model, fit, train
    from napari_unet.standard import standard_model
    from napari_unet.training.metrics import score

_PLACES = {
    "ModelConfig": "config",
    "PredictConfig": "config",
    "TrainConfig": "config",
    "Model": "session.model",
    "build_network": "networks",
    "fit": "session.model",
    "import_mask": "data.annotations",
    "score": "training.metrics",
    "standard_model": "standard",
    "train": "session.model",
    "weight_map": "data.weightmap",
}

__version__ = "0.1.0"
__all__ = [
    "Model",
    "ModelConfig",
    "PredictConfig",
    "TrainConfig",
    "__version__",
    "build_network",
    "fit",
    "import_mask",
    "score",
    "standard_model",
    "train",
    "weight_map",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'napari_unet' has no attribute '{name}'")
    return getattr(import_module(f"napari_unet.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
