"""The U-Net family: one config, one builder, exact geometry. Importing this package does not import torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_unet.networks.build import build_network

# Functions that bear the name of their module are bound at once; they cost no torch.
from napari_unet.networks.estimate import Estimate, estimate
from napari_unet.networks.geometry import Geometry, geometry

_PLACES = {"build_network": "build"}
__all__ = ["Estimate", "Geometry", "build_network", "estimate", "geometry"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'napari_unet.networks' has no attribute '{name}'")
    return getattr(import_module(f"napari_unet.networks.{_PLACES[name]}"), name)
