"""What a network costs: to learn, to predict, and how far it looks. No torch, unless it has an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.networks import estimate, geometry
from napari_unet.networks.sketch import Box, picture
from napari_unet.training.patches import plan_patches

__all__ = ["Box", "Costs", "costs", "picture"]

#: Edge of the tile that the costs of a prediction are told for.
TILE = {2: 1024, 3: 128}
#: Edge of an image that no patch is larger than.
LARGE = 4096


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of a network.

    Attributes
    ----------
    parameters : int
        Learnt values.
    receptive_field : tuple of int or None
        Pixels that an output pixel depends on, along each axis; None: the whole image.
    stride : tuple of int
    exact_tiles : bool
        Whether tiles equal the whole.
    flops_per_megapixel : int
        Operations of a prediction for a million pixels (voxels).
    tile : tuple of int
    tile_bytes : int
        Memory to predict a tile.
    patches : int
    patch : tuple of int
    training_bytes : int
        Memory of a training step on so many patches.
    """

    parameters: int
    receptive_field: tuple[int, ...] | None
    stride: tuple[int, ...]
    exact_tiles: bool
    flops_per_megapixel: int
    tile: tuple[int, ...]
    tile_bytes: int
    patches: int
    patch: tuple[int, ...]
    training_bytes: int


@lru_cache(maxsize=64)
def costs(model: ModelConfig, training: TrainConfig | None = None, image: Sequence[int] = ()) -> Costs:
    """What a network costs and how far it looks, from its config alone; nothing is built.

    Parameters
    ----------
    model : ModelConfig
        The network.
    training : TrainConfig, optional
        Size and number of the patches of a training step.
    image : tuple of int, optional
        Spatial size of the image that is learnt from; by default larger than any patch.

    Raises
    ------
    ConfigError
        When no network can be built from this config.
    MissingDependencyError
        When it has an encoder, and the package that knows encoders is missing.

    Examples
    --------
    >>> found = costs(ModelConfig())
    >>> found.parameters, found.receptive_field, found.stride
    (1942306, (215, 215), (16, 16))
    """
    shape = geometry(model)
    axes = zip(shape.stride, shape.residue, shape.margin, strict=True)
    tile = tuple(
        residue + stride * -(-(TILE[model.ndim] + 2 * margin - residue) // stride) for stride, residue, margin in axes
    )
    predicting = estimate(model, tile)
    patches = plan_patches(model, training or TrainConfig(), [image or (LARGE,) * model.ndim])
    return Costs(
        parameters=predicting.parameters,
        receptive_field=shape.field or None,
        stride=shape.stride,
        exact_tiles=shape.exact,
        flops_per_megapixel=round(predicting.flops * 1e6 / prod(tile)),
        tile=tile,
        tile_bytes=predicting.bytes,
        patches=patches.batch,
        patch=patches.shape,
        training_bytes=estimate(model, patches.shape, patches.batch, training=True).bytes,
    )
