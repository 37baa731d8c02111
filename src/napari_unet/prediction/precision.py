"""Half precision for a prediction that is long enough to try whether it is faster."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor

from napari_unet.networks.geometry import Geometry
from napari_unet.networks.precision import choose_precision
from napari_unet.prediction.reader import TileReader
from napari_unet.prediction.solver import Form
from napari_unet.prediction.tiling import plan_tiles

#: Edge of the tile that it is tried with.
TEST_EDGE = {2: 256, 3: 32}
#: Operations per second that a GPU is taken for, and seconds of work from which on a second of trying is worth it.
SPEED = 1e13
LONG = 60.0
#: Tiles of work from which on it is worth it, for networks of which one tile takes long: a test is a dozen of them.
MANY = 600


def is_long(operations: float, tile: float) -> bool:
    """Whether a prediction takes so long that a test is lost in it.

    Parameters
    ----------
    operations, tile : float
        Of the whole prediction, and of one tile of the test.

    Examples
    --------
    >>> is_long(1e12, 1e9), is_long(1e15, 1e11), is_long(1e15, 1e13)
    (False, True, False)
    """
    return operations >= max(SPEED * LONG, MANY * tile)


def type_on(reader: TileReader, form: Form, geometry: Geometry, device: torch.device, key: Hashable) -> torch.dtype:
    """The fastest type that gives the labels of float32 on a tile in the middle of an image.

    Parameters
    ----------
    reader : TileReader
        Of the image.
    form, geometry, device
        The network.
    key : hashable
        What was found faster is remembered under it.
    """
    spatial = reader.source.spatial
    edge = TEST_EDGE[len(spatial)]
    lead = next(iter(reader.source.planes()))
    tile = next(iter(plan_tiles(spatial, edge, geometry, centre=[n // 2 for n in spatial])))
    x = torch.from_numpy(reader([(lead, tile)]).pixels).to(device)
    return choose_precision(lambda x: form(x, tile.crop), x, key)


def in_type(form: Form, device: torch.device, dtype: torch.dtype) -> Form:
    """A form that computes in `dtype` and gives float32."""
    if dtype == torch.float32:
        return form

    def cast(x: Tensor, keep: tuple[slice, ...]) -> Tensor:
        with torch.autocast(device.type, dtype):
            return form(x, keep).float()

    return cast
