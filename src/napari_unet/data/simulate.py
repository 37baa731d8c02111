"""Strokes as a person paints them, from a truth: for the demo, the tests and the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count as counter
from itertools import islice, repeat

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_unet.errors import AnnotationError

BACKGROUND, OBJECT = 1, 2

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Strokes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Window = tuple[slice, slice]

_TURNS = np.linspace(-0.5, 0.5, 7)  # radians a hand may turn from one pixel to the next
_IDLE_ROUNDS = 8  # rounds without a new pixel after which a plane is full


def paint_strokes(
    labels: Labels, seed: int = 0, fraction: float = 0.01, brush: int = 3, pairs: int | None = None
) -> Strokes:
    """Paint short strokes: through a few objects, around them, and in free background.

    An object gets a line along its middle and an arc of background close around it; now and then a line
    follows in background further away. This goes on until about `fraction` of the pixels is painted. Objects are
    the connected pieces of equal values in a plane, so a semantic mask (cells 1, membranes 0) works as well.

    Parameters
    ----------
    labels : ndarray of int, shape (..., Y, X)
        The truth: 0 = background, 1.. = objects. Of a stack only a few planes are painted.
    seed : int
        Seed of all random choices.
    fraction : float
        Part of all pixels to paint, about; above 0, at most 1. Each class gets at least one stroke.
    brush : int
        Width of the brush, pixels.
    pairs : int, optional
        Paint so many objects of a plane, each with one stroke through it and one close around it, and nothing else;
        `fraction` says nothing then.

    Returns
    -------
    ndarray of uint8, same shape
        0 = not annotated, 1 = background, 2 = object; never in contradiction to `labels`.

    Raises
    ------
    AnnotationError
        When `labels` is not an image of integers, or `fraction` or `brush` is out of its range.

    Examples
    --------
    >>> truth = np.zeros((64, 64), int)
    >>> truth[20:40, 20:40] = 1
    >>> np.unique(paint_strokes(truth, fraction=0.02)).tolist()
    [0, 1, 2]
    """
    _check(labels, fraction, brush)
    rng = np.random.default_rng(seed)
    strokes = np.zeros(labels.shape, dtype=np.uint8)
    planes = _choose_planes(rng, labels)
    budget = fraction * labels.size / max(len(planes), 1)
    for plane in planes:
        hand = _Hand(rng, labels[plane], strokes[plane], brush)
        if pairs is None:
            hand.paint(budget)
        else:
            hand.paint_pairs(pairs)
    return strokes


def correct_strokes(
    prediction: Labels, labels: Labels, strokes: Strokes, count: int = 10, seed: int = 0, brush: int = 3
) -> Strokes:
    """Add strokes where the prediction is most wrong, the largest error first.

    Parameters
    ----------
    prediction : ndarray of int, shape (..., Y, X)
        What the network says, in stroke values: 1 = background, 2 = object.
    labels : ndarray of int, same shape
        The truth: 0 = background, 1.. = objects.
    strokes : ndarray of uint8, same shape
        What is painted already; not changed.
    count : int
        Strokes to add; fewer are added when fewer errors are left.
    seed : int
        Seed of all random choices.
    brush : int
        Width of the brush, pixels.

    Returns
    -------
    ndarray of uint8, same shape
        The old strokes and the new ones; the new ones never contradict `labels`.

    Raises
    ------
    AnnotationError
        When the shapes differ, or `labels` is not an image of integers.

    Examples
    --------
    >>> truth = np.zeros((32, 32), int)
    >>> truth[8:24, 8:24] = 1
    >>> corrected = correct_strokes(np.ones_like(truth), truth, np.zeros((32, 32), np.uint8), count=1)
    >>> np.unique(corrected).tolist()
    [0, 2]
    """
    _check(labels, 1.0, brush)
    if not prediction.shape == labels.shape == strokes.shape:
        shapes = f"{prediction.shape}, {labels.shape} and {strokes.shape}"
        raise AnnotationError(f"give prediction, truth and strokes of one shape, not {shapes}")
    rng = np.random.default_rng(seed)
    result = strokes.copy()
    wrong = ((prediction >= OBJECT) != (labels > 0)) & (strokes == 0)
    errors = {plane: _largest_error(wrong[plane], labels[plane]) for plane in np.ndindex(labels.shape[:-2])}
    for _ in range(count):
        plane = max(errors, key=lambda key: errors[key].size)
        if errors[plane].size == 0:
            break
        hand = _Hand(rng, labels[plane], result[plane], brush)
        hand.correct(errors[plane].window, errors[plane].mask)
        near = ndimage.binary_dilation(result[plane] > 0, iterations=3 * brush)
        wrong[plane] &= ~near
        errors[plane] = _largest_error(wrong[plane], labels[plane])
    return result


def _check(labels: Labels, fraction: float, brush: int) -> None:
    if labels.ndim < 2 or not np.issubdtype(labels.dtype, np.integer):
        raise AnnotationError(f"give labels of integers with at least 2 axes, not {labels.dtype} {labels.shape}")
    if not 0 < fraction <= 1:
        raise AnnotationError(f"paint a fraction above 0 and at most 1, not {fraction}")
    if brush < 1:
        raise AnnotationError(f"take a brush of at least 1 pixel, not {brush}")


def _choose_planes(rng: np.random.Generator, labels: Labels) -> list[tuple[int, ...]]:
    """Planes to paint: the only one, or about the square root of their number, those with objects first."""
    planes = list(np.ndindex(labels.shape[:-2]))
    wanted = min(len(planes), max(3, round(len(planes) ** 0.5)))
    order = [planes[i] for i in rng.permutation(len(planes))]
    mixed = [plane for plane in order if 0 < np.count_nonzero(labels[plane]) < labels[plane].size]
    rest = [plane for plane in order if plane not in set(mixed)]
    return sorted((mixed + rest)[:wanted])


@dataclass(frozen=True, slots=True)
class _Error:
    """One piece of wrong pixels of one class: where it is, its mask there, its number of pixels."""

    window: Window
    mask: Mask
    size: int


def _largest_error(wrong: Mask, labels: Labels) -> _Error:
    """Find the largest connected piece of missed object, or of background taken for an object."""
    found = [_largest_piece(wrong & (labels > 0)), _largest_piece(wrong & (labels == 0))]
    return max(found, key=lambda error: error.size)


def _largest_piece(mask: Mask) -> _Error:
    pieces, number = ndimage.label(mask)
    if not number:
        return _Error((slice(0, 0), slice(0, 0)), mask[:0, :0], 0)
    sizes = np.bincount(pieces.ravel())[1:]
    largest = int(sizes.argmax())
    window = _grow(ndimage.find_objects(pieces)[largest], mask.shape, 1)
    return _Error(window, pieces[window] == largest + 1, int(sizes[largest]))


def _grow(window: Sequence[slice], shape: Sequence[int], margin: int) -> Window:
    """Widen a window by a margin, within the plane."""
    rows, columns = (
        slice(max(part.start - margin, 0), min(part.stop + margin, size))
        for part, size in zip(window, shape, strict=True)
    )
    return rows, columns


@dataclass(slots=True)
class _Hand:
    """Paints on one plane.

    A stroke is a walk along high values of a *depth* (how far a pixel lies inside the region that is painted), by
    a hand that turns only slowly; then the brush is stamped along it and clipped to the truth.
    """

    rng: np.random.Generator
    labels: Labels
    strokes: Strokes
    brush: int
    stamp: npt.NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        radius = self.brush // 2 + 1
        offsets = np.argwhere(np.ones((2 * radius + 1, 2 * radius + 1))) - radius
        self.stamp = offsets[(offsets**2).sum(1) <= (self.brush / 2) ** 2]

    def paint(self, budget: float) -> None:
        """Paint objects, arcs around them and free background until `budget` pixels are painted."""
        objects = _objects(self.labels)
        background = _inside(self.labels == 0)
        idle = 0
        for turn, piece in zip(counter(), self._endless(objects)):
            before = np.count_nonzero(self.strokes)
            self._paint_round(turn, piece, background, budget)
            painted = np.count_nonzero(self.strokes)
            idle = idle + 1 if painted == before else 0
            if painted >= budget or idle > _IDLE_ROUNDS:
                return

    def paint_pairs(self, count: int) -> None:
        """Paint so many objects, and an arc around each."""
        for piece in islice(self._endless(_objects(self.labels)), count):
            if piece is not None:
                self._line_in_object(*piece, np.inf)
                self._arc_around(*piece, np.inf)

    def correct(self, window: Window, mask: Mask) -> None:
        """Paint one stroke through the middle of an error."""
        allowed = (self.labels[window] > 0) == (self.labels[window][mask][0] > 0)
        value = OBJECT if self.labels[window][mask][0] > 0 else BACKGROUND
        depth = _inside(mask)
        length = np.clip(self.rng.uniform(0.5, 1.0) * float(mask.sum()) ** 0.5, 3 * self.brush, 15 * self.brush)
        self._stroke(window, depth, allowed, value, length, _deepest(depth))

    def _endless(self, objects: list[tuple[Window, Mask]]) -> Iterator[tuple[Window, Mask] | None]:
        """All objects in random order, large ones sooner, again and again; None where there is none."""
        if not objects:
            yield from repeat(None)
        width = np.array([mask.sum() for _, mask in objects]) ** 0.5
        while True:
            yield from (objects[i] for i in np.argsort(self.rng.exponential(1 / width)))

    def _paint_round(self, turn: int, piece: tuple[Window, Mask] | None, background: Floats, budget: float) -> None:
        """One object, the arc around it, and in every second round a line in free background."""
        if piece is not None:
            self._line_in_object(*piece, self._left(budget if turn else 0.4 * budget))
            self._arc_around(*piece, self._left(budget))
        if turn % 2 == 0 or piece is None:
            first = not (self.strokes == BACKGROUND).any()
            self._line_in_background(background, max(self._left(budget), 1) if first else self._left(budget))

    def _left(self, budget: float) -> float:
        """Length of stroke that is left of a budget of pixels."""
        return (budget - np.count_nonzero(self.strokes)) / self.brush

    def _line_in_object(self, window: Window, mask: Mask, left: float) -> None:
        """Follow the middle of an object."""
        first = not (self.strokes == OBJECT).any()
        length = min(self.rng.uniform(0.5, 1.0) * float(mask.sum()) ** 0.5, 12.0 * self.brush, left)
        depth = _inside(mask)
        if length > 0 or first:
            plateau = np.minimum(depth, 0.6 * depth.max())
            self._stroke(window, plateau, mask, OBJECT, max(length, 1), self._start(depth, 0.7))

    def _arc_around(self, window: Window, mask: Mask, left: float) -> None:
        """Follow part of the outline of an object, a little outside it."""
        margin = 2 * self.brush + 4
        near = _grow(window, self.labels.shape, margin)
        inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, near, strict=True))
        whole = np.zeros([part.stop - part.start for part in near], dtype=bool)
        whole[inner] = mask
        middle = 1 + 0.5 * self.brush + self.rng.uniform(0, 2)
        distance = _inside(~whole)
        free = self.labels[near] == 0
        depth = np.where(free, self.brush - np.abs(distance - middle), 0)
        length = min(self.rng.uniform(0.8, 1.8) * float(mask.sum()) ** 0.5, 20.0 * self.brush, left)
        if length > 0 and depth.max() > 0:
            self._stroke(near, depth, free, BACKGROUND, length, self._start(depth, 0.6))

    def _line_in_background(self, depth: Floats, left: float) -> None:
        """Draw a line through background, away from objects where there is room."""
        length = min(self.rng.uniform(5, 12) * self.brush, left)
        if length > 0 and depth.max() > 0:
            window = (slice(0, depth.shape[0]), slice(0, depth.shape[1]))
            capped = np.minimum(depth, 3.0 * self.brush)
            self._stroke(window, capped, depth > 0, BACKGROUND, length, self._free_start(capped))

    def _free_start(self, depth: Floats) -> npt.NDArray[np.float64]:
        """Choose a random place, and go to the middle of the region there."""
        place = self._anywhere(depth)
        reach = 3 * self.brush
        window = _grow([slice(int(i), int(i) + 1) for i in place], depth.shape, reach)
        return np.asarray(_deepest(depth[window]) + [side.start for side in window])

    def _start(self, depth: Floats, part: float) -> npt.NDArray[np.float64]:
        """Choose a random place among the deepest."""
        places = np.argwhere(depth >= part * depth.max())
        return np.asarray(places[self.rng.integers(len(places))], dtype=np.float64)

    def _anywhere(self, depth: Floats) -> npt.NDArray[np.intp]:
        """Choose a random place within the region; a list of all its pixels is the last resort."""
        for _ in range(50):
            place = self.rng.integers(depth.shape)
            if depth[tuple(place)] > 0:
                return np.asarray(place)
        places = np.argwhere(depth > 0)
        return np.asarray(places[self.rng.integers(len(places))])

    def _stroke(
        self,
        window: Window,
        depth: Floats,
        allowed: Mask,
        value: int,
        length: float,
        start: npt.NDArray[np.float64],
    ) -> None:
        """Walk from `start` both ways and stamp the brush where it is allowed."""
        heading = self._first_heading(depth, start)
        points = [start, *self._walk(depth, start, heading, length / 2)]
        points += self._walk(depth, start, heading + np.pi, length / 2)
        pixels = (np.rint(np.array(points)).astype(int)[:, np.newaxis] + self.stamp).reshape(-1, 2)
        pixels = pixels[np.all((pixels >= 0) & (pixels < depth.shape), axis=1)]
        pixels = pixels[allowed[tuple(pixels.T)]]
        self.strokes[window][tuple(pixels.T)] = value

    def _first_heading(self, depth: Floats, start: npt.NDArray[np.float64]) -> float:
        """Choose the direction in which the region goes on, at random among equals."""
        headings = self.rng.uniform(0, 2 * np.pi) + np.arange(0, 2 * np.pi, np.pi / 8)
        ahead = sum(_look(depth, start, headings, reach) for reach in (2, 4, 6))
        return float(headings[np.argmax(ahead + self.rng.uniform(0, 0.5, headings.size))])

    def _walk(
        self, depth: Floats, start: npt.NDArray[np.float64], heading: float, length: float
    ) -> list[npt.NDArray[np.float64]]:
        """Points one pixel apart, until the length is reached or the region ends."""
        points = []
        place, edge = start, min(0.5 * self.brush, 0.6 * float(depth.max()))
        for _ in range(int(length)):
            headings = heading + _TURNS
            merit = _look(depth, place, headings, 2) - 0.4 * np.abs(_TURNS) + self.rng.uniform(0, 0.4, _TURNS.size)
            heading = float(headings[int(merit.argmax())])
            place = place + np.array([np.sin(heading), np.cos(heading)])
            if _look(depth, place, np.zeros(1), 0)[0] < edge:
                break
            points.append(place)
        return points


def _objects(labels: Labels) -> list[tuple[Window, Mask]]:
    """Connected pieces of equal values: a window one pixel wider than the piece, and the piece there."""
    found = []
    for value, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        pieces, _ = ndimage.label(labels[box] == value)
        for number, part in enumerate(ndimage.find_objects(pieces), start=1):
            inside = [slice(a.start + b.start, a.start + b.stop) for a, b in zip(box, part, strict=True)]
            window = _grow(inside, labels.shape, 1)
            mask = np.zeros([side.stop - side.start for side in window], dtype=bool)
            place = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(inside, window, strict=True))
            mask[place] = pieces[part] == number
            found.append((window, mask))
    return found


def _inside(mask: Mask) -> Floats:
    """Distance of each pixel of a region to its edge; the edge of the image is none."""
    if mask.all():
        return np.full(mask.shape, float(max(mask.shape)))
    return np.asarray(ndimage.distance_transform_edt(mask))


def _deepest(depth: Floats) -> npt.NDArray[np.float64]:
    return np.asarray(np.unravel_index(int(depth.argmax()), depth.shape), dtype=np.float64)


def _look(depth: Floats, place: npt.NDArray[np.float64], headings: Floats, reach: float) -> Floats:
    """Depth at `reach` pixels from a place in each direction; -1 outside the plane."""
    ahead = place + reach * np.stack([np.sin(headings), np.cos(headings)], axis=-1)
    pixels = np.rint(ahead).astype(int)
    inside = np.all((pixels >= 0) & (pixels < depth.shape), axis=1)
    found = np.full(len(pixels), -1.0)
    found[inside] = depth[tuple(pixels[inside].T)]
    return found
