"""Write units of a large result: what one task writes, whole and alone. Integers only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

Ints = tuple[int, ...]
Box = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class UnitGrid:
    """An array parted into its write units (shards, else chunks), counted in C order.

    Attributes
    ----------
    shape : tuple of int
        Of the array.
    unit : tuple of int
        Of a write unit; those at the end of an axis are cut off.

    Examples
    --------
    >>> grid = UnitGrid((5, 4), (2, 4))
    >>> len(grid), grid[2]
    (3, (slice(4, 5, None), slice(0, 4, None)))
    """

    shape: Ints
    unit: Ints

    @property
    def counts(self) -> Ints:
        """Units along each axis."""
        return tuple(-(-n // u) for n, u in zip(self.shape, self.unit, strict=True))

    def __len__(self) -> int:
        return prod(self.counts)

    def __getitem__(self, number: int) -> Box:
        places = self.place(number)
        return tuple(slice(i * u, min((i + 1) * u, n)) for i, u, n in zip(places, self.unit, self.shape, strict=True))

    def __iter__(self) -> Iterator[Box]:
        return (self[number] for number in range(len(self)))

    def place(self, number: int) -> Ints:
        """Position of a unit in the grid."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        return tuple(int(i) for i in np.unravel_index(number, self.counts))


def choose_unit(shape: Sequence[int], axes: str, spatial: str, chunk: int, edge: int) -> tuple[Ints, Ints]:
    """Chunk and write unit for a result.

    Parameters
    ----------
    shape : sequence of int
        Of the result.
    axes : str
        Its axes; those in `spatial` are cut, ``C`` is whole in a unit, others are taken one by one.
    spatial : str
        Axes that the network sees together.
    chunk, edge : int
        Wished edges of a chunk, and of a unit of whole chunks.

    Returns
    -------
    chunks, unit : tuple of int
        No larger than needed.

    Examples
    --------
    >>> choose_unit((9, 2, 100, 5000), "TCYX", "YX", chunk=512, edge=2048)
    ((1, 1, 100, 512), (1, 2, 100, 2048))
    """
    chunks = tuple(min(n, chunk) if axis in spatial else 1 for n, axis in zip(shape, axes, strict=True))
    whole = dict.fromkeys(spatial, edge) | {"C": max(shape)}
    wished = (min(n, whole.get(axis, 1)) for n, axis in zip(shape, axes, strict=True))
    return chunks, tuple(-(-wish // c) * c for wish, c in zip(wished, chunks, strict=True))
