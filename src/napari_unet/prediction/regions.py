"""A list of boxes of an image, those near to where the user looks first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.config import Output
from napari_unet.data.normalize import Normalizer, fit_normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError
from napari_unet.events import Event, Masked, TileDone, Warned, never
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.tiling import without

Box = tuple[slice, ...]


def predict_boxes(
    predictor: Predictor,
    source: ImageSource,
    boxes: Sequence[Sequence[slice]],
    *,
    output: Output = "labels",
    normalizer: Normalizer | None = None,
    leads: Sequence[tuple[int, ...]] | None = None,
    centre: Sequence[int] | None = None,
    should_stop: Callable[[], bool] = never,
) -> Iterator[TileDone | Warned]:
    """Segment parts of an image; nothing but them and their halo is read.

    Parameters
    ----------
    predictor : Predictor
        What segments.
    source, output, normalizer, leads, should_stop
        As for `Predictor.tiles`; objects need the whole image.
    boxes : sequence of sequence of slice
        Spatial parts; where they overlap, a pixel comes once.
    centre : sequence of int, optional
        Boxes near this spatial pixel come first, and in them the tiles; by default the boxes come as they are given.

    Returns
    -------
    iterator of TileDone and Warned
        As of `Predictor.tiles`; ``total`` grows until the last box has begun.

    Raises
    ------
    ConfigError
        When objects are asked for, or a box has another number of ranges than the image has axes.
    """
    if output == "instances":
        raise ConfigError("ask for labels or probabilities of boxes: an object may reach beyond its box")
    if any(len(box) != source.ndim for box in boxes):
        raise ConfigError(f"give a box as {source.ndim} ranges of pixels, along {' '.join(source.spatial_axes)}")
    parts = disjoint(boxes, source.spatial)
    if centre is not None:
        place = tuple(centre)
        parts.sort(key=lambda box: _distance(box, place))
    known = normalizer or fit_normalizer(source, predictor.model.normalization)
    options: dict[str, Any] = {"output": output, "normalizer": known, "leads": leads, "centre": centre}
    return _each(predictor, source, parts, should_stop, options)


def predict_parts(
    predictor: Predictor,
    source: ImageSource,
    parts: Sequence[tuple[tuple[int, ...], Sequence[slice]]],
    *,
    output: Output = "labels",
    should_stop: Callable[[], bool] = never,
    report: Callable[[Event], object] = lambda event: None,
) -> npt.NDArray[Any]:
    """Segment parts of an image into an array of its size, which is 0 elsewhere.

    Parameters
    ----------
    predictor, source, output, should_stop
        As for `predict_boxes`.
    parts : sequence of (lead, box)
        Positions along the leading axes, or ``()`` for all, each with a spatial box.
    report : callable
        Told every event.
    """
    normalizer = fit_normalizer(source, predictor.model.normalization)
    result: npt.NDArray[Any] = np.zeros(source.label_shape, np.uint8)
    begun = False
    for lead in dict.fromkeys(lead for lead, _ in parts):
        boxes = [box for other, box in parts if other == lead]
        options: dict[str, Any] = {"output": output, "normalizer": normalizer, "should_stop": should_stop}
        for event in predict_boxes(predictor, source, boxes, leads=[lead] if lead else None, **options):
            report(event)
            if not isinstance(event, TileDone) or event.data is None:
                continue
            if not begun:
                more = event.data.shape[: event.data.ndim - source.ndim]
                result, begun = np.zeros(more + source.label_shape, event.data.dtype), True
            result[(slice(None),) * (result.ndim - len(event.index)) + event.index] = event.data
    return result


def disjoint(boxes: Sequence[Sequence[slice]], shape: Sequence[int]) -> list[Box]:
    """Boxes without a common pixel that cover the same pixels; empty ones are left out.

    Examples
    --------
    >>> disjoint([[slice(0, 4), slice(0, 4)], [slice(2, 6), slice(0, 4)]], (9, 9))
    [(slice(0, 4, None), slice(0, 4, None)), (slice(4, 6, None), slice(0, 4, None))]
    """
    found: list[Box] = []
    for box in boxes:
        ranges = [part.indices(n)[:2] for part, n in zip(box, shape, strict=True)]
        rest = [tuple(slice(a, b) for a, b in ranges)] if all(b > a for a, b in ranges) else []
        for known in list(found):
            rest = [piece for part in rest for piece in without(part, known)]
        found += rest
    return found


def _each(
    predictor: Predictor,
    source: ImageSource,
    boxes: Sequence[Box],
    should_stop: Callable[[], bool],
    options: dict[str, Any],
) -> Iterator[TileDone | Warned]:
    done = total = bad = 0
    for box in boxes:
        if should_stop():
            return
        first = total
        for event in predictor.tiles(source, box=box, should_stop=should_stop, **options):
            if isinstance(event, TileDone):
                done, total = done + 1, first + event.total
                yield TileDone(event.index, event.data, done, total)
            elif isinstance(event, Masked):
                bad += event.count
            elif done == 0:
                yield event
    if bad:
        yield Masked(f"{bad} values of the image are NaN or infinite; they were taken as 0", bad)


def _distance(box: Box, centre: tuple[int, ...]) -> float:
    """Squared distance from the nearest pixel of a box to a place."""
    outside = [max(part.start - c, c - part.stop + 1, 0) for part, c in zip(box, centre, strict=True)]
    return float(sum(d * d for d in outside))
