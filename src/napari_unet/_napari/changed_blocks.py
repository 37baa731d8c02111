"""Which blocks of a strokes layer are not kept yet; whatever changed them, and whether anybody told or not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from napari_unet.session.commands import Box
from napari_unet.session.projects import BLOCK, At, block_index, blocks_in

#: Pixels to look at in one turn: of a layer that is new, and later.
FIRST_PIXELS, LATER_PIXELS = 2**22, 2**18
KNOWN_BLOCKS = 4


class ChangedBlocks:
    """Finds the blocks of a label array that differ from what was taken before.

    Parameters
    ----------
    data : array-like of int
        The strokes; only ever read, and never kept.
    """

    def __init__(self, data: Any) -> None:
        self.shape = tuple(int(size) for size in data.shape)
        self.dtype = np.dtype(data.dtype)
        self._sums: dict[At, int] = {}
        self._changed: dict[At, None] = {}
        self._bands = self._walk()
        self._known: Iterator[At] = iter(())
        self._pixels = FIRST_PIXELS

    def matches(self, data: Any) -> bool:
        """Whether `data` still has the shape and type."""
        return tuple(data.shape) == self.shape and np.dtype(data.dtype) == self.dtype

    def note(self, box: Box) -> None:
        """Something in `box` changed."""
        self._changed.update(dict.fromkeys(blocks_in(box)))

    def note_known(self, plane: Box) -> None:
        """Perhaps something in `plane` changed that was there before, as undo and redo do."""
        inside = [range(start, stop) for start, stop in plane[:-2]]
        for at in self._sums:
            if all(place in span for place, span in zip(at[:-2], inside, strict=True)):
                self._changed[at] = None

    def keep(self, data: Any) -> None:
        """Everything in `data` is kept already."""
        for box in _bands(self.shape):
            self._find(data, box)
        self.take(data, 2**62)

    def look(self, data: Any) -> None:
        """Look at a few more pixels for changes that no event told of: by a script, or by undo on another slice."""
        for _ in range(KNOWN_BLOCKS):
            at = next(self._known, None)
            if at is None:
                self._known = iter(list(self._sums))
                break
            self._changed[at] = None
        if not isinstance(data, np.ndarray) and self._pixels == LATER_PIXELS:
            return
        # no pixel twice in one look, however small the layer
        pixels = min(self._pixels, prod(self.shape))
        while pixels > 0:
            band = next(self._bands)
            pixels -= self._find(data, band)

    def take(self, data: Any, size: int) -> list[tuple[At, npt.NDArray[Any]]]:
        """Copies of changed blocks, about `size` bytes at most; the rest comes with the next call."""
        taken = []
        while self._changed and size > 0:
            at = next(iter(self._changed))
            del self._changed[at]
            block = np.array(data[block_index(at, self.shape)], order="C")
            size -= block.nbytes
            if self._is_new(at, block):
                taken.append((at, block))
        return taken

    def _is_new(self, at: At, block: npt.NDArray[Any]) -> bool:
        total = crc32(block.data)
        if self._sums.get(at) == total or (at not in self._sums and not block.any()):
            return False
        self._sums[at] = total
        return True

    def _find(self, data: Any, band: Box) -> int:
        """Note the painted blocks of a band that are not known; the pixels that were looked at."""
        index = (*(start for start, _ in band[:-2]), slice(*band[-2]))
        pixels = np.asarray(data[index])
        # max and min are 15 times faster than any() on integers
        if pixels.max() or pixels.min():
            self._changed.update(dict.fromkeys(at for at in blocks_in(band) if at not in self._sums))
        return int(pixels.size)

    def _walk(self) -> Iterator[Box]:
        """All bands, again and again; from the second time on without haste."""
        while True:
            yield from _bands(self.shape)
            self._pixels = LATER_PIXELS


def _bands(shape: tuple[int, ...]) -> Iterator[Box]:
    """Rows of blocks, one after the other."""
    rows = range(0, shape[-2], BLOCK)
    for *lead, top in product(*(range(size) for size in shape[:-2]), rows):
        yield (*((at, at + 1) for at in lead), (top, min(top + BLOCK, shape[-2])), (0, shape[-1]))
