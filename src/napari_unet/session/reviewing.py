"""What a model and strokes say about each other: work of many small parts, one answer at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import islice, product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.config import ModelConfig
from napari_unet.data.annotations import overlap
from napari_unet.data.normalize import Normalizer
from napari_unet.data.source import ImageSource, Index
from napari_unet.errors import SessionError
from napari_unet.events import Event, Finding, Place, TileDone
from napari_unet.prediction.advice import REACH, distance_to, places
from napari_unet.prediction.checking import findings
from napari_unet.prediction.instances import connected
from napari_unet.prediction.measuring import Measuring, boxes_of
from napari_unet.prediction.predictor import Predictor
from napari_unet.session.arrays import close_array, open_array
from napari_unet.session.commands import Advise, Box, CheckStrokes, MeasureObjects, Review
from napari_unet.session.messages import Advised, Looking, ObjectsMeasured, StrokesChecked
from napari_unet.session.soft import per_class

Chances = npt.NDArray[np.float32]
Lead = tuple[int, ...]
#: Edge of the windows of a sample, pixels, and how many are looked at.
EDGE = {2: 256, 3: 64}
WINDOWS = {2: 12, 3: 6}
#: Windows that are looked at a second time, mirrored.
SECOND_LOOKS = 4
#: Context that a mirrored window is predicted with, pixels.
CONTEXT = {2: 32, 3: 12}
#: Places that are told.
PLACES = 24
#: Windows whose strokes are checked, and findings that are told, at most.
MOST_CHECKED = 128
MOST_FINDINGS = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """An image, the model as it is, and the strokes on it.

    Attributes
    ----------
    predictor : Predictor
    source : ImageSource
    normalizer : Normalizer
    strokes : array-like or None
        Of the image's label shape.
    complete : tuple of Box
        Complete regions.
    """

    predictor: Predictor
    source: ImageSource
    normalizer: Normalizer
    strokes: Any = None
    complete: tuple[Box, ...] = ()

    @property
    def model(self) -> ModelConfig:
        """What the network is."""
        return self.predictor.model

    def chances(self, window: Window) -> Chances:
        """Probabilities ``(K, *window)``, one plane for each class."""
        return self._predict(self.source, self.normalizer, window)

    def mirrored_chances(self, window: Window) -> Chances:
        """The same, predicted from the mirrored image."""
        pad = CONTEXT[self.source.ndim]
        start, stop = [side.start - pad for side in window.box], [side.stop + pad for side in window.box]
        block = self.source.read_mirrored(window.lead, start, stop)[..., ::-1]
        mirrored = ImageSource(block, "C" + self.source.spatial_axes, self.source.ndim)
        inner = tuple(slice(pad, n - pad) for n in mirrored.spatial)
        return self._predict(mirrored, self.normalizer, Window((), inner))[..., ::-1]

    def _predict(self, source: ImageSource, normalizer: Normalizer, window: Window) -> Chances:
        found: Chances | None = None
        tiles = self.predictor.tiles(
            source, output="probabilities", normalizer=normalizer, leads=[window.lead], box=window.box
        )
        for tile in tiles:
            if not isinstance(tile, TileDone) or tile.data is None:
                continue
            if found is None:
                found = np.zeros((len(tile.data), *window.shape), np.float32)
            found[(slice(None), *_local(tile.index, source, window))] = tile.data
        if found is None:
            raise SessionError("choose another part of the image: nothing was predicted here")
        return per_class(found, len(self.model.classes))

    def painted(self, window: Window, seen: Sequence[tuple[int, ...]] = ()) -> npt.NDArray[np.bool_]:
        """Which pixels of a window are annotated, or in `seen`."""
        index = self.source.label_index(window.lead, window.box)
        found = np.zeros(window.shape, bool)
        if self.strokes is not None:
            found |= np.asarray(self.strokes[index]) != 0
        points = [tuple((at, at + 1) for at in point) for point in seen]
        for box in (*self.complete, *points):
            part = overlap(index, box)
            if part is not None:
                found[part] = True
        return found

    def around(self, window: Window, margin: int) -> tuple[Window, tuple[slice, ...]]:
        """A larger window, as far as the image goes, and where the old one lies in it."""
        sizes = self.source.spatial
        box = tuple(
            slice(max(s.start - margin, 0), min(s.stop + margin, n)) for s, n in zip(window.box, sizes, strict=True)
        )
        inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(window.box, box, strict=True))
        return Window(window.lead, box), inner


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an image: position along the leading axes, and a spatial box."""

    lead: Lead
    box: tuple[slice, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along each spatial axis."""
        return tuple(side.stop - side.start for side in self.box)


@singledispatch
def review(command: Review, subject: Subject) -> Iterator[Event]:
    """Do what `command` asks, one small part at a time; the last event is the answer."""
    raise SessionError(f"update napari-unet: this session does not know {type(command).__name__}")


@review.register
def _(command: Advise, subject: Subject) -> Iterator[Event]:
    windows = sample_windows(subject.source, command.near, command.request)
    total = len(windows) + min(len(windows), SECOND_LOOKS)
    first: list[tuple[float, Window, Chances]] = []
    for window in windows:
        chances = subject.chances(window)
        best = _places(command, subject, window, chances)
        first.append((best[0].score if best else 0.0, window, chances))
        yield Looking(command.request, len(first), total)
    first.sort(key=lambda one: -one[0])
    found: list[Place] = []
    for number, (score, window, chances) in enumerate(first):
        others = subject.mirrored_chances(window) if number < SECOND_LOOKS and score else None
        found += _places(command, subject, window, chances, others)
        if others is not None:
            yield Looking(command.request, len(windows) + number + 1, total)
    found.sort(key=lambda place: -place.score)
    yield Advised(command.request, tuple(found[:PLACES]))


@review.register
def _(command: MeasureObjects, subject: Subject) -> Iterator[Event]:
    (found, mine), (target, theirs) = open_array(command.found), open_array(command.target)
    try:
        yield from _measure(command, subject, found, target)
    finally:
        del found, target
        close_array(mine)
        close_array(theirs)


def _measure(command: MeasureObjects, subject: Subject, found: Any, target: Any) -> Iterator[Event]:
    """Number all objects, then go through the image once."""
    source = subject.source
    if command.numbered:
        numbers, objects = np.unique(found, return_inverse=True)
        target[...] = objects.reshape(found.shape) + (numbers[0] > 0)
        boxes, values = boxes_of(target, int(target.max(initial=0))), np.zeros(0, np.int64)
    else:
        boxes, values = _number(source, found, target)
    measuring = Measuring(boxes, len(subject.model.classes) if len(subject.model.classes) > 1 else 2)
    tiles = subject.predictor.tiles(source, output="probabilities", normalizer=subject.normalizer)
    for tile in tiles:
        if isinstance(tile, TileDone) and tile.data is not None:
            chances = per_class(np.asarray(tile.data, np.float32), len(subject.model.classes))
            lead, box = _places_of(tile.index, source)
            measuring.add(target[tile.index], chances, source.read(lead, box).mean(0))
            yield Looking(command.request, tile.done, tile.total)
    yield ObjectsMeasured(command.request, measuring.rows(values))


def _number(source: ImageSource, found: Any, target: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number the pieces of each plane; their boxes and classes."""
    boxes, values, count = [], [], 0
    for lead in source.planes():
        index = source.label_index(lead, [slice(0, n) for n in source.spatial])
        classes = np.asarray(found[index])
        pieces, more = connected(classes)
        target[index] = np.where(pieces > 0, pieces + np.uint32(count), 0)
        flat = np.zeros(more + 1, np.int64)
        flat[pieces] = classes
        values.append(flat[1:])
        boxes.append(_with_lead(boxes_of(pieces, more), index))
        count += more
    return np.concatenate(boxes), np.concatenate(values)


def _with_lead(boxes: npt.NDArray[np.int64], index: Index) -> npt.NDArray[np.int64]:
    """Boxes of a plane as boxes of the label image."""
    out = np.zeros((len(boxes), len(index), 2), np.int64)
    out[:, [axis for axis, part in enumerate(index) if isinstance(part, slice)]] = boxes
    for axis, part in enumerate(index):
        if not isinstance(part, slice):
            out[:, axis] = part, part + 1
    return out


def _places_of(index: Index, source: ImageSource) -> tuple[Lead, list[slice]]:
    """Position along the leading axes and spatial box of a tile."""
    place = dict(zip(source.label_axes, index, strict=True))
    lead = tuple(at for axis in source.lead_axes if isinstance(at := place[axis], int))
    return lead, [side for axis in source.spatial_axes if isinstance(side := place[axis], slice)]


@review.register
def _(command: CheckStrokes, subject: Subject) -> Iterator[Event]:
    windows = list(islice(_painted_windows(subject), MOST_CHECKED + 1))
    found: list[Finding] = []
    for number, window in enumerate(windows[:MOST_CHECKED], start=1):
        strokes = np.asarray(subject.strokes[subject.source.label_index(window.lead, window.box)])
        for one in findings(strokes, subject.chances(window), objects=subject.model.task == "instances"):
            inside = [slice(a + side.start, a + side.start + 1) for a, side in zip(one.point, window.box, strict=True)]
            index = subject.source.label_index(window.lead, inside)
            point = tuple(part.start if isinstance(part, slice) else part for part in index)
            found.append(replace(one, point=point))
        yield Looking(command.request, number, min(len(windows), MOST_CHECKED))
    found.sort(key=lambda one: one.chance)
    yield StrokesChecked(command.request, tuple(found[:MOST_FINDINGS]), len(windows) <= MOST_CHECKED)


def _painted_windows(subject: Subject) -> Iterator[Window]:
    """All windows with strokes."""
    source, edge = subject.source, EDGE[subject.source.ndim]
    grid = [range(-(-n // edge)) for n in source.spatial]
    for lead in source.planes() if subject.strokes is not None else ():
        for cell in product(*grid):
            window = _window(source, (*lead, *cell), edge)
            if np.asarray(subject.strokes[source.label_index(lead, window.box)]).any():
                yield window


def _places(
    command: Advise, subject: Subject, window: Window, chances: Chances, others: Chances | None = None
) -> list[Place]:
    """The best places of one window; strokes around it count as well."""
    wide, inner = subject.around(window, int(2 * REACH[subject.source.ndim]))
    distance = distance_to(subject.painted(wide, command.seen))[inner]
    origin = [side.start for side in window.box]
    painted = command.painted[: len(chances)]
    found = places(chances, distance, painted, others=others, origin=origin, lead=window.lead)
    return [_in_order(place, subject.source) for place in found]


def _in_order(place: Place, source: ImageSource) -> Place:
    """With the point in the order of the label axes."""
    lead = len(source.lead)
    box = [slice(at, at + 1) for at in place.point[lead:]]
    index = source.label_index(place.point[:lead], box)
    point = tuple(part.start if isinstance(part, slice) else part for part in index)
    return Place(point, place.value, place.second, place.score, place.reason)


def sample_windows(source: ImageSource, near: Sequence[int], seed: int) -> list[Window]:
    """Windows that cover a small image, or a random few of a large one and the one at `near`, a pixel of its labels.

    Examples
    --------
    >>> source = ImageSource(np.zeros((9, 600, 300), np.uint8), "ZYX", 2)
    >>> windows = sample_windows(source, (4, 599, 0), seed=0)
    >>> len(windows), windows[0].lead, windows[0].box[0]
    (12, (4,), slice(512, 600, None))
    """
    edge, most = EDGE[source.ndim], WINDOWS[source.ndim]
    grid = [-(-n // edge) for n in source.spatial]
    sizes = (*source.lead, *grid)
    total = prod(sizes)
    place = dict(zip(source.label_axes, near, strict=True))
    here = (
        *(place[axis] for axis in source.lead_axes),
        *(place[axis] // edge for axis in source.spatial_axes),
    )
    first = int(np.ravel_multi_index(here, sizes))
    if total <= most:
        drawn = list(range(total))
    else:
        drawn = [int(n) for n in np.random.default_rng(seed).choice(total, most, replace=False)]
    others = (np.unravel_index(number, sizes) for number in drawn if number != first)
    cells: list[Sequence[Any]] = [here, *islice(others, most - 1)]
    return [_window(source, cell, edge) for cell in cells]


def _local(index: Index, source: ImageSource, window: Window) -> list[slice]:
    """Where a tile lies in a window."""
    _, sides = _places_of(index, source)
    return [slice(a.start - b.start, a.stop - b.start) for a, b in zip(sides, window.box, strict=True)]


def _window(source: ImageSource, cell: Sequence[Any], edge: int) -> Window:
    count = len(source.lead)
    box = tuple(
        slice(int(at) * edge, min((int(at) + 1) * edge, n)) for at, n in zip(cell[count:], source.spatial, strict=True)
    )
    return Window(tuple(int(at) for at in cell[:count]), box)
