"""Sample images for napari's File menu."""

from __future__ import annotations

from typing import Any

from napari_unet.data.movie import moving_cells
from napari_unet.data.synthetic import stained_tissue, touching_cells

LayerData = tuple[Any, dict[str, Any], str]


def synthetic_cells() -> list[LayerData]:
    """Synthetic fluorescent cells that touch each other."""
    return [(touching_cells((512, 512), seed=1).image, {"name": "Touching cells"}, "image")]


def synthetic_stack() -> list[LayerData]:
    """The same in 3D."""
    spacing = (2.0, 1.0, 1.0)
    image = touching_cells((24, 192, 192), seed=1, spacing=spacing).image
    return [(image, {"name": "Touching cells, stack", "scale": spacing}, "image")]


def synthetic_movie() -> list[LayerData]:
    """The same, drifting and bleaching, in 2D and time."""
    return [(moving_cells((12, 256, 256), seed=1).image, {"name": "Moving cells"}, "image")]


def tissue() -> list[LayerData]:
    """Stained tissue in colour, a real microscopy image that comes with scikit-image."""
    return [(stained_tissue(), {"name": "Stained tissue", "rgb": True}, "image")]
