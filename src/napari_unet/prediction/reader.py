"""Tiles as network input, read one batch ahead of the computation."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from napari_unet.data.normalize import Normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import ImageError
from napari_unet.prediction.tiling import Tile

Place = tuple[tuple[int, ...], Tile]


@dataclass(frozen=True, slots=True)
class Batch:
    """Tiles that go through the network together.

    Attributes
    ----------
    places : list of (lead, Tile)
        Where they belong.
    pixels : ndarray
        float32 network input, shape ``(N, C, *read_shape)``.
    nonfinite : int
        Values in the written boxes that are NaN or infinite.
    """

    places: list[Place]
    pixels: npt.NDArray[np.float32]
    nonfinite: int = 0


@dataclass(frozen=True, slots=True)
class TileReader:
    """Reads and normalises tiles of an image."""

    source: ImageSource
    normalizer: Normalizer

    def __call__(self, places: list[Place]) -> Batch:
        """Read tiles of one size."""
        size = tuple(b - a for a, b in zip(places[0][1].start, places[0][1].stop, strict=True))
        if not all(size):  # the slabs before have read all that this one needs
            return Batch(places, np.zeros((len(places), self.source.channels, *size), np.float32))
        blocks = [self.source.read_mirrored(lead, tile.start, tile.stop) for lead, tile in places]
        bad = sum(_count_nonfinite(block, tile) for block, (_, tile) in zip(blocks, places, strict=True))
        return Batch(places, np.stack([self.normalizer(block) for block in blocks]), bad)

    def ahead(self, places: Iterable[Place], size: int) -> Generator[Batch, None, None]:
        """Batches of `size` tiles; the next one is read in a thread while the caller computes."""
        groups = _groups(places, size)
        with ThreadPoolExecutor(1) as pool:
            waiting: deque[Future[Batch]] = deque()
            for group in groups:
                waiting.append(pool.submit(self, group))
                if len(waiting) > 1:
                    yield waiting.popleft().result()
            if waiting:
                yield waiting.popleft().result()


def _groups(places: Iterable[Place], size: int) -> Iterator[list[Place]]:
    """Lists of at most `size` places in a row."""
    rest = iter(places)
    while group := list(islice(rest, size)):
        yield group


def _count_nonfinite(block: npt.NDArray[np.generic], tile: Tile) -> int:
    """NaN and infinite values of the written part of a block ``(C, *read_shape)``."""
    if block.dtype.kind != "f":
        return 0
    counted = tile.write if tile.slab is None else tile.slab.read
    return int(np.count_nonzero(~np.isfinite(block[(slice(None), *inner(counted, tile.start))])))


def check_part(source: ImageSource, leads: Sequence[tuple[int, ...]] | None, box: Sequence[slice] | None) -> None:
    """Raise `ImageError` where an image has no such positions, or no such box."""
    for lead in leads or ():
        if len(lead) != len(source.lead) or not all(0 <= i < n for i, n in zip(lead, source.lead, strict=True)):
            axes = ", ".join(f"{axis} below {n}" for axis, n in zip(source.lead_axes, source.lead, strict=True))
            raise ImageError(f"choose positions that the image has ({axes or 'none'}), not {lead}")
    if box is None:
        return
    if len(box) != source.ndim or any(part.step not in (None, 1) for part in box):
        raise ImageError(f"give a box as {source.ndim} ranges of pixels without steps, along {source.spatial_axes}")
    if any(not len(range(*part.indices(n))) for part, n in zip(box, source.spatial, strict=True)):
        sizes = " x ".join(map(str, source.spatial))
        raise ImageError(f"choose a box with pixels of the image, which has {sizes}")


def inner(write: Sequence[slice], start: Sequence[int]) -> tuple[slice, ...]:
    """A box of the image, counted from `start`."""
    return tuple(slice(part.start - a, part.stop - a) for part, a in zip(write, start, strict=True))
