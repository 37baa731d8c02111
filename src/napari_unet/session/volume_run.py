"""Stages of a large segmentation, each of which can be killed and resumed: network, joining of objects, pyramid."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.config import InstanceConfig
from napari_unet.errors import PredictionError
from napari_unet.events import Event, Masked, VolumeDone, VolumeProgress
from napari_unet.io.ledger import Ledger
from napari_unet.io.ome_zarr_store import ResultStore, coarser, pyramid_factors, sync
from napari_unet.prediction.linking import Numbering, Overlaps, overlaps_of
from napari_unet.prediction.out_of_core import Clock, Unit, VolumePredictor, write_units
from napari_unet.prediction.seams import ObjectTable, object_table
from napari_unet.prediction.units import Box, UnitGrid

Steps = Generator[VolumeProgress, None, bool]


class VolumeRun:
    """One process at work on a store.

    Parameters
    ----------
    store : ResultStore
        The store.
    grid : UnitGrid
        Its write units.
    spatial : str
        Axes that the network sees together.
    instances : InstanceConfig
        How objects are made.
    linked : bool
        Whether pieces are joined where they are linked only.
    """

    def __init__(
        self, store: ResultStore, grid: UnitGrid, spatial: str, instances: InstanceConfig, *, linked: bool
    ) -> None:
        self._instances = instances
        self._linked = linked
        self._store = store
        self._grid = grid
        self._spatial = spatial
        self._axes: str = store.layout["axes"]
        self._lead_axes = "".join(axis for axis in self._axes if axis not in spatial)
        self._ledger = Ledger(store.work)
        self._has_objects = store.job["settings"]["output"] == "instances"

    def predict(
        self, volume: Callable[[], VolumePredictor], share: tuple[int, int], should_stop: Callable[[], bool]
    ) -> Iterator[Event]:
        """Compute and write the units of a share that are not finished."""
        done = self._ledger.done("predict")
        todo = [number for number in range(share[0], len(self._grid), share[1]) if number not in done]
        if not todo:
            return
        target = self._store.pieces() if self._has_objects else self._store.level(0)

        def write(unit: Unit) -> None:
            target[unit.box] = unit.data.astype(target.dtype, copy=False)
            sync(target, self._grid.place(unit.number))
            if self._has_objects:
                self._store.write_kinds(unit.number, unit.kinds)
            self._ledger.record("predict", unit.number, masked=unit.masked)

        yield from write_units(volume(), todo, write, should_stop)

    def complete(self, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Join objects and make the pyramid once all units are predicted; last comes `VolumeDone`."""
        predicted = self._ledger.done("predict")
        complete = len(predicted) == len(self._grid) and not should_stop()
        objects: int | None = None
        if complete and self._has_objects:
            objects = yield from self._join(should_stop)
            complete = objects is not None
        complete = complete and (yield from self._pyramid(should_stop))
        self._ledger.close()
        masked = sum(int(facts.get("masked", 0)) for facts in predicted.values())
        if masked:
            yield Masked(f"{masked} values of the image are NaN or infinite; they were taken as 0", masked)
        yield VolumeDone(str(self._store.path), complete, len(predicted), len(self._grid), objects)

    # ------------------------------------------------------------------ objects

    def _join(self, should_stop: Callable[[], bool]) -> Generator[VolumeProgress, None, int | None]:
        """Pieces to objects, one position along the leading axes after the other; their number, None after a stop."""
        done = self._ledger.done("join")
        clock = Clock("join", len(self._grid), len(done))
        numbering = Numbering(self._instances.link)
        for lead, numbers in self._by_lead().items():
            pieces = _Plane(self._store.pieces(), self._axes, self._spatial, lead)
            boxes = [pieces.box(self._grid[number]) for number in numbers]
            table = object_table(
                pieces,
                boxes,
                [self._store.read_kinds(number) for number in numbers],
                linked=self._linked,
                **self._instances.model_dump(include={"min_size", "max_size", "fill_holes"}),
            )
            found = _Found(table, pieces, boxes)
            final = numbering.add(table.sizes, *self._stack(lead), partial(self._overlaps, lead, found))
            if numbering.count > np.iinfo(np.uint32).max:
                raise PredictionError("segment the image in parts: it has more objects than 32 bits can number")
            for row, number in enumerate(numbers):
                if should_stop():
                    return None
                if number not in done:
                    self._renumber(number, final[found.objects(row)])
                    clock.done += 1
                    yield clock.now()
        return numbering.count

    def _stack(self, lead: tuple[int, ...]) -> tuple[tuple[int, ...], int | None]:
        """Which stack a plane belongs to, and its place along z; None without z."""
        z = self._lead_axes.find("Z")
        return (lead, None) if z < 0 else ((*lead[:z], *lead[z + 1 :]), lead[z])

    def _overlaps(self, lead: tuple[int, ...], found: _Found) -> Overlaps:
        """What the objects of a plane share with those of the plane before, which are in the result already."""
        before = tuple(n - (axis == "Z") for n, axis in zip(lead, self._lead_axes, strict=True))
        plane = _Plane(self._store.level(0), self._axes, self._spatial, before)
        return overlaps_of((found.objects(row), plane[box]) for row, box in enumerate(found.boxes))

    def _by_lead(self) -> dict[tuple[int, ...], list[int]]:
        """Units of each position along the leading axes, in order."""
        found: dict[tuple[int, ...], list[int]] = {}
        for number, box in enumerate(self._grid):
            parts = zip(self._axes, box, strict=True)
            lead = tuple(part.start for axis, part in parts if axis not in self._spatial)
            found.setdefault(lead, []).append(number)
        return found

    def _renumber(self, number: int, objects: npt.NDArray[Any]) -> None:
        """Write the final numbers of a unit."""
        box, target = self._grid[number], self._store.level(0)
        target[box] = objects.astype(target.dtype).reshape([part.stop - part.start for part in box])
        sync(target, self._grid.place(number))
        self._ledger.record("join", number)

    # ------------------------------------------------------------------ pyramid

    def _pyramid(self, should_stop: Callable[[], bool]) -> Steps:
        """Each level from the one before, by whole write units; whether it was completed."""
        layout = self._store.layout
        factors = pyramid_factors(layout["shape"], self._axes, layout["spacing"])
        shapes = [tuple(-(-n // f) for n, f in zip(layout["shape"], factor, strict=True)) for factor in factors]
        grids = [UnitGrid(shape, self._grid.unit) for shape in shapes]
        done = self._ledger.done("pyramid")
        clock = Clock("pyramid", sum(map(len, grids)), len(done))
        before, first = (1,) * len(self._axes), 0
        for level, (factor, grid) in enumerate(zip(factors, grids, strict=True), start=1):
            fine, target = self._store.level(level - 1), self._store.add_level(level, grid.shape)
            halved = [a > b for a, b in zip(factor, before, strict=True)]
            for number in range(len(grid)):
                if should_stop():
                    return False
                if first + number in done:
                    continue
                target[grid[number]] = _coarser_unit(fine, grid[number], target.chunks, halved)
                sync(target, grid.place(number))
                self._ledger.record("pyramid", first + number)
                clock.done += 1
                yield clock.now()
            before, first = factor, first + len(grid)
        self._ledger.close()
        self._store.finish(factors)
        return True


@dataclass(frozen=True, slots=True)
class _Found:
    """Objects of a plane, numbered from 1 in it, to be read unit by unit."""

    table: ObjectTable
    pieces: _Plane
    boxes: list[Box]

    def objects(self, row: int) -> npt.NDArray[Any]:
        """Of one unit."""
        return self.table.renumbered(row, self.pieces[self.boxes[row]])


class _Plane:
    """A plane or volume of an array, at one position along its other axes."""

    def __init__(self, array: Any, axes: str, spatial: str, lead: Sequence[int]) -> None:
        self._array = array
        self._inside = [axis in spatial for axis in axes]
        self._lead = tuple(lead)
        self.shape = self._kept(array.shape)
        self.dtype = array.dtype

    def box(self, unit: Box) -> Box:
        """The part of a write unit in the plane."""
        return self._kept(unit)

    def __getitem__(self, box: Box, /) -> npt.NDArray[Any]:
        parts, lead = iter(box), iter(self._lead)
        return np.asarray(self._array[tuple(next(parts) if inside else next(lead) for inside in self._inside)])

    def _kept(self, parts: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(part for part, inside in zip(parts, self._inside, strict=True) if inside)


def _coarser_unit(fine: Any, box: Box, chunks: Sequence[int], halved: Sequence[bool]) -> npt.NDArray[Any]:
    """A unit of a coarser level, chunk by chunk, so that no more than a few chunks are in memory besides."""
    found = np.zeros([part.stop - part.start for part in box], fine.dtype)
    starts = [range(0, n, chunk) for n, chunk in zip(found.shape, chunks, strict=True)]
    for corner in product(*starts):
        inside = tuple(slice(a, min(a + c, n)) for a, c, n in zip(corner, chunks, found.shape, strict=True))
        steps = zip(inside, box, halved, fine.shape, strict=True)
        source = [_doubled(part, whole.start, half, size) for part, whole, half, size in steps]
        found[inside] = coarser(np.asarray(fine[tuple(source)]), halved, smooth=found.dtype.kind == "f")
    return found


def _doubled(part: slice, start: int, half: bool, size: int) -> slice:
    """The pixels of the finer level under a part of a unit that begins at `start`."""
    factor = 2 if half else 1
    return slice((part.start + start) * factor, min((part.stop + start) * factor, size))
