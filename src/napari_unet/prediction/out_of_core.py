"""Segment an image of any size into an array on the disk, one whole write unit after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_unet.config import ModelConfig, Output, PredictConfig
from napari_unet.data.normalize import Normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import PredictionError
from napari_unet.events import Event, Masked, TileDone, VolumeProgress, Warned, never
from napari_unet.prediction.constant import Answers
from napari_unet.prediction.instances import marks_of, pieces_of, reach
from napari_unet.prediction.outputs import as_wanted
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.reader import inner
from napari_unet.prediction.units import Box, UnitGrid

Stage = Literal["predict", "join", "pyramid"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A finished write unit.

    Attributes
    ----------
    number : int
        Its place in the grid, counted in C order.
    box : tuple of slice
        Where it lies in the target.
    data : ndarray
        Its pixels, in the order of the target's axes.
    masked : int
        Values of the image in it that are NaN or infinite.
    kinds : ndarray of int16
        Of objects: the kind of each piece, from piece 1; else empty.
    """

    number: int
    box: Box
    data: npt.NDArray[Any]
    masked: int
    kinds: npt.NDArray[np.int16]


class Clock:
    """How far a stage is, and how long the rest of it takes."""

    def __init__(self, stage: Stage, total: int, done: int = 0) -> None:
        self.stage: Stage = stage
        self.total, self.done = total, done
        self._before = done
        self._start = time.monotonic()

    def now(self, part: float = 0.0) -> VolumeProgress:
        """Progress, with a part of the unit in hand."""
        seconds = time.monotonic() - self._start
        gone = self.done + part - self._before
        left = seconds / gone * (self.total - self.done - part) if gone > 0 else None
        return VolumeProgress(self.stage, self.done, self.total, (self.done + part) / max(1, self.total), seconds, left)


def is_soft(model: ModelConfig, config: PredictConfig) -> bool:
    """Whether objects are made of probabilities."""
    return model.has_boundary or config.instances.smoothing > 0


def are_linked(model: ModelConfig, config: PredictConfig) -> bool:
    """Whether pieces of one class that touch may be objects of their own, so that it takes a link to join them."""
    return config.output == "instances" and (is_soft(model, config) or config.instances.split > 0)


class VolumePredictor:
    """Computes write units of the segmentation of a large image.

    Parameters
    ----------
    predictor : Predictor
        What segments.
    source : ImageSource
        The image.
    normalizer : Normalizer
        Of the whole image.
    config : PredictConfig
        The output. For ``instances`` a unit holds pieces of objects, numbered from 1, to be joined by `object_table`;
        it then must be of one position along the leading axes.
    axes : str
        Axes of the target: the label axes of the image in any order, and ``C`` for probabilities.
    grid : UnitGrid
        Write units of the target.
    """

    def __init__(
        self,
        predictor: Predictor,
        source: ImageSource,
        normalizer: Normalizer,
        config: PredictConfig,
        axes: str,
        grid: UnitGrid,
    ) -> None:
        self.grid = grid
        self._predictor = predictor
        self._source = source
        self._normalizer = normalizer
        self._config = config
        self._axes = axes
        self._objects = config.output == "instances"
        model = predictor.model
        self._margin = reach(config.instances, boundary=model.has_boundary) if are_linked(model, config) else 0
        made_of: Output = "probabilities" if is_soft(model, config) else "labels"
        self._output: Output = made_of if self._objects else config.output
        self._told: set[str] = set()

    def units(
        self, numbers: Sequence[int], should_stop: Callable[[], bool] = never
    ) -> Iterator[Unit | VolumeProgress | Warned]:
        """Compute units.

        Parameters
        ----------
        numbers : sequence of int
            Which.
        should_stop : callable
            Polled before every tile; a unit that is not whole is given up.

        Yields
        ------
        Unit or VolumeProgress or Warned
            Progress after each tile, and each unit once.
        """
        self._predictor.settle(self._source, self._normalizer)
        answers = self._predictor.answers()
        clock = Clock("predict", len(self.grid), len(self.grid) - len(numbers))
        for number in numbers:
            unit = yield from self._unit(number, clock, answers, should_stop)
            if unit is None:
                return
            yield unit
            clock.done += 1
            yield clock.now()

    def _unit(
        self, number: int, clock: Clock, answers: Answers, should_stop: Callable[[], bool]
    ) -> Generator[VolumeProgress | Warned, None, Unit | None]:
        box = self.grid[number]
        parts = dict(zip(self._axes, box, strict=True))
        inside = [parts[a] for a in self._source.spatial_axes]
        parts |= dict(zip(self._source.spatial_axes, self._around(inside), strict=True))
        tiles = self._predictor.tiles(
            self._source,
            output=self._output,
            normalizer=self._normalizer,
            leads=list(product(*(range(parts[a].start, parts[a].stop) for a in self._source.lead_axes))),
            box=[parts[a] for a in self._source.spatial_axes],
            answers=answers,
            should_stop=should_stop,
        )
        part = [parts[a] for a in self._source.label_axes]
        whole: npt.NDArray[Any] | None = None
        masked, rest = 0, 1
        for event in tiles:
            if isinstance(event, TileDone) and event.data is not None:
                whole = _put(whole, event.data, event.index, part)
                rest = event.total - event.done
                yield clock.now(event.done / event.total)
            elif isinstance(event, Masked):
                masked += event.count
            elif isinstance(event, Warned) and event.message not in self._told:
                self._told.add(event.message)
                yield event
        return None if whole is None or rest else self._finished(number, box, whole, masked)

    def _around(self, inside: Sequence[slice]) -> list[slice]:
        """The spatial part of a unit, and what its objects are told apart by around it."""
        margin = self._margin
        sizes = zip(inside, self._source.spatial, strict=True)
        return [slice(max(0, part.start - margin), min(n, part.stop + margin)) for part, n in sizes]

    def _pieces(self, box: Box, data: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int16]]:
        """Pieces of objects of a unit, from what was found in it and around it."""
        parts = dict(zip(self._axes, box, strict=True))
        inside = [parts[a] for a in self._source.spatial_axes]
        around = self._around(inside)
        more = data.shape[: data.ndim - len(self._source.label_axes)]
        found = data.reshape(more + tuple(part.stop - part.start for part in around))
        boundary = self._predictor.model.has_boundary
        marks = marks_of(found, self._config.instances, boundary=boundary)
        unit = inner(inside, [part.start for part in around])
        pieces, kinds = pieces_of(marks, self._config.instances, unit, boundary=boundary)
        return pieces.reshape([parts[a].stop - parts[a].start for a in self._source.label_axes]), kinds

    def _finished(self, number: int, box: Box, data: npt.NDArray[Any], masked: int) -> Unit:
        """A whole unit in the order of the target."""
        kinds = np.zeros(0, np.int16)
        if self._objects:
            data, kinds = self._pieces(box, data)
        else:
            data = as_wanted(data, self._config)
        axes = "C" * (data.ndim > len(self._source.label_axes)) + self._source.label_axes
        return Unit(number, box, np.transpose(data, [axes.index(a) for a in self._axes]), masked, kinds)


class UnitWriter:
    """Writes one unit while the next is computed; leaving it waits for the last.

    Parameters
    ----------
    write : callable
        Puts a unit where it belongs, and returns when it is safe there.
    """

    def __init__(self, write: Callable[[Unit], object]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(1)
        self._waiting: Future[object] | None = None

    def __enter__(self) -> UnitWriter:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._wait()
        finally:
            self._pool.shutdown()

    def put(self, unit: Unit) -> None:
        """Write a unit after the one before.

        Raises
        ------
        PredictionError
            When the one before could not be written.
        """
        self._wait()
        self._waiting = self._pool.submit(self._write, unit)

    def _wait(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        try:
            waiting.result()
        except OSError as error:
            reason = error.strerror or "the disk did not take it"
            raise PredictionError(f"free some space and resume: a part could not be written ({reason})") from error


def write_units(
    volume: VolumePredictor,
    numbers: Sequence[int],
    write: Callable[[Unit], object],
    should_stop: Callable[[], bool] = never,
) -> Iterator[Event]:
    """Compute units and write each while the next is computed; the events of `VolumePredictor.units` but the units."""
    with UnitWriter(write) as writer:
        for event in volume.units(numbers, should_stop):
            if isinstance(event, Unit):
                writer.put(event)
            else:
                yield event


def _put(
    whole: npt.NDArray[Any] | None, data: npt.NDArray[Any], index: tuple[int | slice, ...], part: Sequence[slice]
) -> npt.NDArray[Any]:
    """Put a tile into the label axes `part`, made when the first one comes."""
    spatial = [piece for piece in index if isinstance(piece, slice)]
    more = data.shape[: data.ndim - len(spatial)]
    if whole is None:
        whole = np.zeros(more + tuple(piece.stop - piece.start for piece in part), data.dtype)
    boxes = [piece if isinstance(piece, slice) else slice(piece, piece + 1) for piece in index]
    where: tuple[Any, ...] = (..., *inner(boxes, [piece.start for piece in part]))
    whole[where] = data.reshape(more + tuple(box.stop - box.start for box in boxes))
    return whole
