"""Where tiles are written, read and cropped: integers only, no pixels, no torch.

Overlap-tile strategy of Ronneberger et al. 2015. A tile is read with all pixels that its network can see, on the grid
of the network's pooling, so that every pixel comes out as in one pass over the mirrored image: nothing to blend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise, product
from math import prod
from typing import TypeVar

from napari_unet.networks.geometry import Geometry
from napari_unet.networks.sweep_plan import Sweep

Ints = tuple[int, ...]
Part = TypeVar("Part", int, slice)


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of the work. All places are pixels from the first pixel of the image.

    Attributes
    ----------
    write : tuple of slice
        The pixels this tile is for.
    start, stop : tuple of int
        The pixels it reads; they may lie outside the image and are mirrored there.
    crop : tuple of slice
        Where the written pixels lie in what the network makes of the read ones.
    slab : Slab or None
        For one slab of a larger tile: it reads only what the slabs before it did not, see `Sweep`.
    """

    write: tuple[slice, ...]
    start: Ints
    stop: Ints
    crop: tuple[slice, ...]
    slab: Slab | None = None

    @property
    def shape(self) -> Ints:
        """Size of the written box."""
        return tuple(part.stop - part.start for part in self.write)


@dataclass(frozen=True, slots=True)
class Slab:
    """What is known of a tile that is computed slab by slab.

    Attributes
    ----------
    sweep : Sweep
        The way through the tile.
    number : int
        Which slab, from 0; they come in order.
    read : tuple of slice
        The pixels of the tile that this slab is the first to read: of all slabs together each that is written, once.
    """

    sweep: Sweep
    number: int
    read: tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Tiles that together write a box, each pixel exactly once. Made by `plan_tiles`, listed on demand.

    Attributes
    ----------
    spans : tuple
        For each axis ``(write start, write stop, read start)`` of every tile along it.
    read_shape : tuple of int
        Size of the read box, the same for all tiles.
    margin : tuple of int
        Pixels the network removes at each side.
    centre : tuple of int or None
        Tiles near this pixel come first; None for the order of the array.
    slabs : (int, int, int) or None
        Tiles are cut into slabs: along which axis, of how many pixels, and how many more pixels one of them reads.
    blank : tuple of Tile
        Tiles beside the others that are likely of one value, of any size; they come first.
    """

    spans: tuple[tuple[tuple[int, int, int], ...], ...]
    read_shape: Ints
    margin: Ints
    centre: Ints | None = field(default=None)
    slabs: tuple[int, int, int] | None = field(default=None)
    blank: tuple[Tile, ...] = field(default=())

    @property
    def box(self) -> tuple[slice, ...]:
        """All that the tiles write."""
        parts = [tuple(slice(axis[0][0], axis[-1][1]) if axis else slice(0, 0) for axis in self.spans)]
        parts += [tile.write for tile in self.blank]
        return tuple(slice(min(p.start for p in axis), max(p.stop for p in axis)) for axis in zip(*parts, strict=True))

    def __len__(self) -> int:
        if self.slabs is None:
            return prod(len(axis) for axis in self.spans) + len(self.blank)
        along, step, _ = self.slabs
        slabs = sum(-(-(b - a) // step) for a, b, _ in self.spans[along])
        return slabs * prod(len(axis) for i, axis in enumerate(self.spans) if i != along) + len(self.blank)

    def __iter__(self) -> Iterator[Tile]:
        tiles = (self._tile(spans) for spans in self._ordered())
        rest = tiles if self.slabs is None else (slab for tile in tiles for slab in self._cut(tile, *self.slabs))
        return chain(self.blank, rest)

    def swept(self, along: int, step: int, geometry: Geometry) -> TilePlan:
        """The same tiles, each computed in slabs of `step` pixels along an axis."""
        context = geometry.context[along] if geometry.context else 0
        reach = 2 * self.margin[along] + max(context, geometry.halo[along]) + geometry.stride[along]
        return replace(self, slabs=(along, step, reach))

    def _ordered(self) -> Iterator[tuple[tuple[int, int, int], ...]]:
        centre = self.centre
        if centre is None:
            return product(*self.spans)
        return iter(sorted(product(*self.spans), key=lambda spans: _distance(spans, centre)))

    def _tile(self, spans: tuple[tuple[int, int, int], ...]) -> Tile:
        start = tuple(read for _, _, read in spans)
        first = [write - read - cut for (write, _, read), cut in zip(spans, self.margin, strict=True)]
        return Tile(
            write=tuple(slice(a, b) for a, b, _ in spans),
            start=start,
            stop=tuple(a + size for a, size in zip(start, self.read_shape, strict=True)),
            crop=tuple(slice(c, c + b - a) for (a, b, _), c in zip(spans, first, strict=True)),
        )

    def _cut(self, tile: Tile, along: int, step: int, reach: int) -> Iterator[Tile]:
        """The slabs of a tile."""
        sweep = Sweep(along, self.read_shape, tile.crop, step)
        write, crop = tile.write[along], tile.crop[along]
        read, before = tile.start[along], crop.start
        for number, stop in enumerate(sweep.stops):
            part = slice(write.start + before - crop.start, write.start + stop - crop.start)
            end = tile.stop[along] if stop == crop.stop else min(tile.stop[along], tile.start[along] + stop + reach)
            first = slice(min(max(read, write.start), write.stop), min(max(end, write.start), write.stop))
            yield Tile(
                write=_put(tile.write, along, part),
                start=_put(tile.start, along, read),
                stop=_put(tile.stop, along, end),
                crop=_put(tile.crop, along, slice(before, stop)),
                slab=Slab(sweep, number, _put(tile.write, along, first)),
            )
            read, before = end, stop


def plan_tiles(
    shape: Sequence[int],
    tile: int | Sequence[int],
    geometry: Geometry,
    *,
    box: Sequence[slice] | None = None,
    unit: Sequence[int] | None = None,
    centre: Sequence[int] | None = None,
) -> TilePlan:
    """Cut an image into tiles for a network.

    Parameters
    ----------
    shape : sequence of int
        Spatial shape of the image.
    tile : int or sequence of int
        Wished edge of the written boxes. They are balanced, so most are a little smaller; they may be larger by
        less than a stride.
    geometry : Geometry
        Stride, receptive field and legal sizes of the network.
    box : sequence of slice, optional
        Write only this part of the image. Its pixels come out as they do for the whole image.
    unit : sequence of int, optional
        Borders between tiles lie at multiples of it, for example the shards of the target; by default where the
        network reads least.
    centre : sequence of int, optional
        Tiles near this pixel come first.

    Returns
    -------
    TilePlan
        Empty when the box is.

    Examples
    --------
    >>> plan = plan_tiles((40,), 16, Geometry(stride=(4,), halo=(6,), margin=(0,), residue=(0,)))
    >>> [(tile.write[0].start, tile.write[0].stop, tile.start[0], tile.stop[0]) for tile in plan]
    [(0, 10, -8, 20), (10, 26, 4, 32), (26, 40, 20, 48)]
    """
    sides = [tile] * len(shape) if isinstance(tile, int) else list(tile)
    ranges = [part.indices(n)[:2] for part, n in zip(box or [slice(None)] * len(shape), shape, strict=True)]
    axes = [_axis(ranges[i], sides[i], _Grid(geometry, i, unit[i] if unit else None)) for i in range(len(shape))]
    return TilePlan(
        tuple(spans for spans, _ in axes),
        tuple(size for _, size in axes),
        geometry.margin,
        tuple(centre) if centre is not None else None,
    )


def without(box: tuple[slice, ...], other: Sequence[slice]) -> Iterator[tuple[slice, ...]]:
    """`box` without `other`, in at most two boxes per axis."""
    common = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, other, strict=True)]
    if any(part.stop <= part.start for part in common):
        yield box
        return
    for axis, (whole, cut) in enumerate(zip(box, common, strict=True)):
        for part in (slice(whole.start, cut.start), slice(cut.stop, whole.stop)):
            if part.stop > part.start:
                yield (*common[:axis], part, *box[axis + 1 :])


class _Grid:
    """Along one axis: how far a network looks, where it may start reading, where tiles may meet.

    All that an unpadded network puts out is exact, so its margin is context enough. Of a padded one the context of
    whole blocks is used where it is known, else the halo of each pixel.
    """

    def __init__(self, geometry: Geometry, axis: int, unit: int | None) -> None:
        self.stride = geometry.stride[axis]
        self.residue = geometry.residue[axis] % self.stride
        margin = geometry.margin[axis]
        blocks = bool(geometry.context) and not margin
        self.block = self.stride if blocks else 1
        self.context = geometry.context[axis] if blocks else margin or geometry.halo[axis]
        self.unit = unit or self.stride
        self.phase = 0 if unit or blocks else self.context % self.stride

    def read_start(self, write_start: int) -> int:
        """Last legal start that leaves the context."""
        return (write_start // self.block * self.block - self.context) // self.stride * self.stride

    def read_stop(self, write_stop: int) -> int:
        """First stop that leaves the context."""
        return -(-write_stop // self.block) * self.block + self.context

    def legal(self, size: int) -> int:
        """Smallest legal input of at least this size."""
        return size + (self.residue - size) % self.stride


def _axis(bounds: tuple[int, int], tile: int, grid: _Grid) -> tuple[tuple[tuple[int, int, int], ...], int]:
    """Spans of the tiles along one axis, and their common read size."""
    low, high = bounds
    if high <= low:
        return (), 0
    first = (low - grid.phase) // grid.unit
    cells = -((grid.phase - high) // grid.unit) - first
    count = min(cells, -((low - high) // max(1, tile)))
    edges = [grid.phase + grid.unit * (first + cells * i // count) for i in range(count + 1)]
    inside = [min(max(edge, low), high) for edge in edges]
    spans = tuple((a, b, grid.read_start(a)) for a, b in pairwise(inside))
    return spans, grid.legal(max(grid.read_stop(b) - read for _, b, read in spans))


def _put(parts: tuple[Part, ...], place: int, part: Part) -> tuple[Part, ...]:
    """A tuple with another value at one place."""
    return tuple(part if i == place else each for i, each in enumerate(parts))


def _distance(spans: Sequence[tuple[int, int, int]], centre: Sequence[int]) -> float:
    """Squared distance from the middle of a tile to a pixel."""
    return sum((0.5 * (a + b) - c) ** 2 for (a, b, _), c in zip(spans, centre, strict=True))
