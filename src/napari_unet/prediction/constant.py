"""Parts of an image that are one value, such as what lies outside of a sample: the network is asked once for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_unet.data.source import ImageSource
from napari_unet.networks.geometry import Geometry
from napari_unet.prediction.reader import Batch, TileReader
from napari_unet.prediction.solver import Convert, Form, unless_memory
from napari_unet.prediction.tiling import Tile, plan_tiles, without

Box = tuple[slice, ...]
Solve = Callable[[Form, TileReader, Batch, Convert], list[npt.NDArray[Any]]]
#: Thickness of the layers that are looked at from outside, and edge of the blocks they are read in, pixels.
LAYER = 32
BLOCK = {2: 1024, 3: 128}
#: Edge of the tiles that parts of one value are read in, pixels.
BLANK = {2: 2048, 3: 256}


class Answers:
    """What one network says of constant pixels, for one kind of output; remembered for all tiles that share this.

    The answer repeats with the stride of the network: up-convolutions give each place in a cell weights of its own.

    Parameters
    ----------
    geometry : Geometry
        Of the network.
    device : torch.device
        Where it computes.
    """

    def __init__(self, geometry: Geometry, device: torch.device) -> None:
        self._geometry = geometry
        self._device = device
        self._known: dict[tuple[float, ...], npt.NDArray[Any]] = {}

    def solve(
        self, solve: Solve, form: Form, reader: TileReader, batch: Batch, convert: Convert
    ) -> list[npt.NDArray[Any]]:
        """As `solve`, which is left those tiles that are not constant."""
        each = zip(batch.pixels, batch.places, strict=True)
        found = [self._answer(form, pixels, tile, convert) for pixels, (_, tile) in each]
        left = [number for number, data in enumerate(found) if data is None]
        if len(left) == len(found):
            return solve(form, reader, batch, convert)
        if left:
            rest = Batch([batch.places[number] for number in left], batch.pixels[left])
            for number, data in zip(left, solve(form, reader, rest, convert), strict=True):
                found[number] = data
        return [data for data in found if data is not None]

    def _answer(
        self, form: Form, pixels: npt.NDArray[np.float32], tile: Tile, convert: Convert
    ) -> npt.NDArray[Any] | None:
        """Result of a tile of constant pixels; None for any other, and where the memory was not enough."""
        if tile.slab is not None or not self._geometry.exact or not is_constant(pixels):
            return None
        values = tuple(float(channel.flat[0]) for channel in pixels)
        if values not in self._known:
            cell = unless_memory(lambda: self._cell(form, values, convert))
            if cell is None:
                return None
            self._known[values] = cell
        found, stride = self._known[values], self._geometry.stride
        for axis, (part, period) in enumerate(zip(tile.write, stride, strict=True), start=-len(stride)):
            found = np.take(found, np.arange(part.start, part.stop) % period, axis=axis)
        return found

    def _cell(self, form: Form, values: Sequence[float], convert: Convert) -> npt.NDArray[Any]:
        """Result of one cell of the network's grid, in the midst of these values."""
        stride = self._geometry.stride
        shape = [3 * period for period in stride]
        tile = next(iter(plan_tiles(shape, max(stride), self._geometry, box=[slice(n, 2 * n) for n in stride])))
        column = torch.tensor(values, device=self._device).reshape(1, -1, *(1,) * len(stride))
        with torch.inference_mode():
            x = column.expand(1, len(values), *(b - a for a, b in zip(tile.start, tile.stop, strict=True)))
            return convert(form(x.contiguous(), tile.crop)[0])


def is_constant(pixels: npt.NDArray[Any]) -> bool:
    """Whether each channel of ``(C, *spatial)`` is one value; ends at the first row or plane that is not."""
    if not pixels[0].size:
        return False
    first = pixels[(slice(None), *(slice(0, 1),) * (pixels.ndim - 1))]
    return all(bool((pixels[:, row] == first[:, 0]).all()) for row in range(pixels.shape[1]))


def blank_around(
    source: ImageSource, lead: Sequence[int], box: Sequence[slice], geometry: Geometry
) -> tuple[Box, tuple[Tile, ...]]:
    """Part of a box that must be computed, and tiles of the rest, which with all they read are one value.

    Looks from outside, layer by layer, as far as pixels equal the first one, or the last.

    Parameters
    ----------
    source, lead
        The image, and where along its leading axes.
    box : sequence of slice
        What is wanted.
    geometry : Geometry
        Of the network.

    Returns
    -------
    inner : tuple of slice
        `box` itself where nothing around it can be left out, or all of it is one value.
    blank : tuple of Tile
        With `inner` they hold each pixel of the box once.
    """
    looks = zip(geometry.halo, geometry.context or geometry.halo, geometry.margin, geometry.stride, strict=True)
    # Tiles of one plan read equally much, some of them a few cells more than they need.
    reach = [max(far) + 3 * period for *far, period in looks]
    wanted = tuple(slice(*part.indices(n)[:2]) for part, n in zip(box, source.spatial, strict=True))
    limits = zip(wanted, reach, source.spatial, strict=True)
    looked = [slice(max(0, w.start - r), min(n, w.stop + r)) for w, r, n in limits]
    held = min((_content(source, lead, looked, end) for end in (0, -1)), key=_size)
    if not _size(held):
        return wanted, ()
    inner = tuple(
        slice(max(w.start, h.start - r), min(w.stop, h.stop + r)) for w, h, r in zip(wanted, held, reach, strict=True)
    )
    if any(part.stop <= part.start for part in inner):
        return wanted, ()
    edge = BLANK[source.ndim]
    return inner, tuple(
        tile for part in without(wanted, inner) for tile in plan_tiles(source.spatial, edge, geometry, box=part)
    )


def _size(box: Sequence[slice]) -> int:
    return prod(max(0, part.stop - part.start) for part in box)


def _content(source: ImageSource, lead: Sequence[int], box: Sequence[slice], corner: int) -> list[slice]:
    """A box without the layers at its sides that equal the pixel in its first corner, 0, or in its last, -1."""
    held = list(box)
    places = [range(part.start, part.stop)[corner] for part in held]
    value = source.read(lead, [slice(place, place + 1) for place in places])
    for axis in range(len(held)):
        for end in (False, True):
            while held[axis].stop > held[axis].start:
                part = held[axis]
                cut = max(part.start, part.stop - LAYER) if end else min(part.stop, part.start + LAYER)
                layer, rest = slice(part.start, cut), slice(cut, part.stop)
                layer, rest = (rest, layer) if end else (layer, rest)
                if not _equals(source, lead, [*held[:axis], layer, *held[axis + 1 :]], value):
                    break
                held[axis] = rest
    return held


def _equals(source: ImageSource, lead: Sequence[int], box: Sequence[slice], value: npt.NDArray[Any]) -> bool:
    """Whether all pixels have this value; the block in the middle is looked at first."""
    edge = BLOCK[source.ndim]
    blocks = list(product(*([slice(a, min(a + edge, p.stop)) for a in range(p.start, p.stop, edge)] for p in box)))
    middle = len(blocks) // 2
    return all(bool((source.read(lead, block) == value).all()) for block in (*blocks[middle:], *blocks[:middle]))
