"""Apply a network to an image of any size, tile by tile, with the result of one pass over the mirrored image."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from napari_unet.config import Augmented, InstanceConfig, ModelConfig, Output, Precision, Uncertainty
from napari_unet.data.normalize import Normalizer, fit_normalizer
from napari_unet.data.source import ImageSource, Index
from napari_unet.errors import ImageError
from napari_unet.events import Event, Masked, TileDone, Warned, never
from napari_unet.networks.device import choose_device, keep_memory, return_memory
from napari_unet.networks.geometry import geometry
from napari_unet.networks.precision import NAMED, candidates
from napari_unet.networks.snapshot import Snapshot
from napari_unet.prediction.budget import (
    LARGE,
    choose_batch,
    choose_plan,
    cost_of,
    free_memory,
    measure_speed,
    prompt_operations,
    work_of_plan,
)
from napari_unet.prediction.constant import Answers, blank_around
from napari_unet.prediction.ensemble import ensemble, turns
from napari_unet.prediction.instances import marks_of, objects_of
from napari_unet.prediction.linking import Linker
from napari_unet.prediction.outputs import smallest_type, to_entropy, to_labels, to_last, to_probabilities, to_whole
from napari_unet.prediction.precision import TEST_EDGE, in_type, is_long, type_on
from napari_unet.prediction.reader import Batch, Place, TileReader, check_part, inner
from napari_unet.prediction.solver import Form, Solver, form_of
from napari_unet.prediction.sweeping import WORTH, Slabs, choose_sweep, sweeps
from napari_unet.prediction.tiling import TilePlan, plan_tiles

log = logging.getLogger(__name__)

_CONVERT: dict[str, Callable[[Tensor], npt.NDArray[Any]]] = {
    "labels": to_labels,
    "probabilities": to_probabilities,
    "uncertainty": to_entropy,
}
#: The same where boundaries are a class of their own.
_CONVERT_BOUNDARY = {**_CONVERT, "labels": to_whole}
_TYPE: dict[str, npt.DTypeLike] = {
    "labels": np.uint8,
    "instances": np.uint32,
    "probabilities": np.float32,
    "uncertainty": np.float32,
}
#: Operations from which on it is worth looking for parts of an image that are one value.
WORK = 1e10
_FORMAT = {2: torch.channels_last, 3: torch.channels_last_3d}


@dataclass(frozen=True, slots=True)
class Work:
    """One prediction: what is read, where, and who may end it."""

    reader: TileReader
    plan: TilePlan
    leads: tuple[tuple[int, ...], ...]
    form: Form
    answers: Answers
    should_stop: Callable[[], bool]

    @property
    def total(self) -> int:
        """Tiles in all."""
        return len(self.plan) * len(self.leads)

    def places(self) -> Iterator[Place]:
        """Where the tiles belong, in order."""
        return ((lead, tile) for lead in self.leads for tile in self.plan)


class Predictor:
    """Segments images with a network.

    Parameters
    ----------
    network : torch.nn.Module
        Made by ``build_network(model)``; it is moved to the device, and each prediction uses it as it is when it
        begins, so that it may learn meanwhile.
    model : ModelConfig
        What the network is.
    device : str
        ``"auto"`` for a GPU if there is one, or ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    tile : int, optional
        Edge of a tile in pixels; by default as large as memory allows. The result does not depend on it.
    memory : int, optional
        Bytes to work in; by default 2 GB on the CPU, half of what is free on a GPU.
    instances : InstanceConfig, optional
        How objects are made.
    augmented : {"none", "flips", "rotations"}
        Mean over mirrored, and turned, copies.
    uncertainty : {"entropy", "disagreement"}
        What the output of that name is; copies disagree over all flips and rotations unless `augmented` says which.
    precision : {"auto", "off", "bf16", "fp16"}
        As in `PredictConfig`; a short prediction, and any on a CPU, is in float32 by itself.

    Examples
    --------
    >>> from napari_unet.networks import build_network
    >>> config = ModelConfig(width=4, depth=2)
    >>> predictor = Predictor(build_network(config), config, device="cpu")
    >>> predictor.predict(ImageSource(np.eye(33), "YX", ndim=2)).shape
    (33, 33)
    """

    def __init__(
        self,
        network: nn.Module,
        model: ModelConfig,
        *,
        device: str = "auto",
        tile: int | None = None,
        memory: int | None = None,
        instances: InstanceConfig | None = None,
        augmented: Augmented = "none",
        uncertainty: Uncertainty = "entropy",
        precision: Precision = "auto",
    ) -> None:
        self.device = choose_device(device)
        self.instances = instances or InstanceConfig()
        self.model = model
        self.geometry = geometry(model)
        self._copies = turns(augmented, model.ndim, self.geometry)
        self._disagreement = uncertainty == "disagreement"
        moved = network.to(self.device, memory_format=_FORMAT[model.ndim])  # type: ignore[call-overload]
        self._network = moved
        self._solver = Solver(self.geometry, self.device)
        self._tile = tile
        self._memory_given = memory
        self._speed: float | None = None
        self._dtype = NAMED.get(precision)
        if self.device.type == "cpu":
            keep_memory()

    def tiles(
        self,
        source: ImageSource,
        *,
        output: Output = "labels",
        normalizer: Normalizer | None = None,
        leads: Sequence[tuple[int, ...]] | None = None,
        box: Sequence[slice] | None = None,
        centre: Sequence[int] | None = None,
        answers: Answers | None = None,
        should_stop: Callable[[], bool] = never,
    ) -> Iterator[TileDone | Warned]:
        """Segment an image or a part of it, one tile at a time.

        Parameters
        ----------
        source : ImageSource
            The image.
        output : {"labels", "probabilities", "instances", "uncertainty"}
            ``labels``: uint8 in the strokes' values, 1 = background, 2, 3, ... = classes. ``probabilities``: float32,
            one plane per class, but a single one (the foreground's) for a model of one class. ``instances``: uint32;
            each tile comes with preliminary numbers, and when all tiles of a plane (a volume in 3D) are there it
            comes once more as a whole with the final ones, 0 and 1..N, no number twice in the image. ``uncertainty``:
            float32, 0 to 1, one plane.
        normalizer : Normalizer, optional
            Found over the whole image if not given; give it to ask for many views of one image.
        leads : sequence of tuple of int, optional
            Positions along the leading axes; by default all.
        box : sequence of slice, optional
            Spatial part to segment; only it and its halo are read. Labels and probabilities are those of the whole.
        centre : sequence of int, optional
            Tiles near this spatial pixel come first.
        answers : Answers, optional
            What this network says of constant pixels, see `answers`; give it for many parts of one image.
        should_stop : callable
            Polled before every tile; returning True ends the prediction.

        Returns
        -------
        iterator of TileDone and Warned
            Warned at most twice: when tiles of this network differ from the whole, and, last, when pixels were NaN
            or infinite.

        Raises
        ------
        ImageError
            When the image has other channels than the model, or no such part.
        PredictionError
            When not even a small tile fits in memory.
        """
        self._check(source)
        check_part(source, leads, box)
        reader = TileReader(source, normalizer or fit_normalizer(source, self.model.normalization))
        plan = self._plan(source, box, centre)
        places = tuple(source.planes() if leads is None else leads)
        dtype = self._dtype or self._found_type(reader, plan, len(places))
        form = in_type(self._form(output), self.device, dtype)
        if isinstance(form, Snapshot) and self._tile is None and centre is None:
            plan = self._spared(source, plan, places)
        work = Work(reader, plan, places, form, answers or self.answers(), should_stop)
        return self._objects(work) if output == "instances" else self._classes(work, output)

    def settle(self, source: ImageSource, normalizer: Normalizer) -> None:
        """Choose the precision of all that follows, as for the whole image; for one that is predicted part by part."""
        if self._dtype is None:
            positions = sum(1 for _ in source.planes())
            self._dtype = self._found_type(TileReader(source, normalizer), self._plan(source, None, None), positions)

    def answers(self) -> Answers:
        """To remember what the network, as it is now, says of constant pixels: for one output of one image."""
        return Answers(self.geometry, self.device)

    def predict(
        self,
        source: ImageSource,
        *,
        output: Output = "labels",
        normalizer: Normalizer | None = None,
        leads: Sequence[tuple[int, ...]] | None = None,
        box: Sequence[slice] | None = None,
        should_stop: Callable[[], bool] = never,
        report: Callable[[Event], object] | None = None,
    ) -> npt.NDArray[Any]:
        """Segment a whole image, or a part of it.

        Parameters
        ----------
        source, output, normalizer, leads, box, should_stop
            As for `tiles`.
        report : callable, optional
            Told every event, for progress; by default warnings are logged.

        Returns
        -------
        ndarray
            Shape ``source.label_shape``, preceded by the classes for probabilities. Instances come in the smallest
            unsigned type that holds their number. Where a stop came first, and outside a part, it is 0.

        Raises
        ------
        ImageError, PredictionError
            As for `tiles`.
        """
        planes = (len(self.model.outputs),) if output == "probabilities" else ()
        result = np.zeros(planes + source.label_shape, _TYPE[output])
        options = {"normalizer": normalizer, "leads": leads, "box": box, "should_stop": should_stop}
        for event in self.tiles(source, output=output, **options):  # type: ignore[arg-type]
            if isinstance(event, TileDone):
                result[(slice(None),) * len(planes) + event.index] = event.data
            elif report is None:
                log.warning(event.message)
            if report is not None:
                report(event)
        if self.device.type == "cpu":
            return_memory()
        return result.astype(smallest_type(int(result.max())), copy=False) if output == "instances" else result

    def _check(self, source: ImageSource) -> None:
        wanted = self.model.in_channels
        if source.ndim != self.model.ndim:
            raise ImageError(f"this model segments in {self.model.ndim}D; give it the image's axes for that")
        if source.channels != wanted:
            raise ImageError(
                f"choose {wanted} of the image's {source.channels} channels; the model learnt from {wanted}"
            )

    def _form(self, output: Output) -> Form:
        """The network as it is now, and its copies."""
        form = form_of(self._network, self.geometry)
        apart = output == "uncertainty" and self._disagreement
        copies = self._copies
        if apart and len(copies) == 1:
            copies = turns("rotations", self.model.ndim, self.geometry)
        return form if len(copies) == 1 else ensemble(form, copies, self.geometry.margin, disagreement=apart)

    def _found_type(self, reader: TileReader, plan: TilePlan, positions: int) -> torch.dtype:
        """Half precision where the prediction is long, and a test finds it faster and right."""
        if not candidates(self.device) or not len(plan):
            return torch.float32
        operations = cost_of(self.model, plan, self.geometry).flops * len(plan) * positions * len(self._copies)
        small = plan_tiles(reader.source.spatial, TEST_EDGE[self.model.ndim], self.geometry)
        if not is_long(operations, cost_of(self.model, small, self.geometry).flops):
            return torch.float32
        form = form_of(self._network, self.geometry)
        return type_on(reader, form, self.geometry, self.device, (str(self.device), self.model))

    def _plan(self, source: ImageSource, box: Sequence[slice] | None, centre: Sequence[int] | None) -> TilePlan:
        if self._tile is not None:
            return plan_tiles(source.spatial, self._tile, self.geometry, box=box, centre=centre)
        options = (source, self.model, self.geometry, self.device, self._memory(), box, centre)
        plan = choose_plan(*options)
        if self._speed is None and work_of_plan(self.model, plan, self.geometry) > LARGE:
            self._speed = measure_speed(form_of(self._network, self.geometry), self.model, self.geometry, self.device)
        return plan if self._speed is None else choose_plan(*options, speed=self._speed)

    def _spared(self, source: ImageSource, plan: TilePlan, places: Sequence[tuple[int, ...]]) -> TilePlan:
        """The same with less work: without the parts that are one value, and slab by slab."""
        if len(places) > 1 or work_of_plan(self.model, plan, self.geometry) < WORK:
            return self._swept(source, plan, plan.box)
        box, blank = blank_around(source, places[0], plan.box, self.geometry)
        return replace(self._swept(source, self._plan(source, box, None) if blank else plan, box), blank=blank)

    def _swept(self, source: ImageSource, plan: TilePlan, box: Sequence[slice] | None) -> TilePlan:
        """The same work in larger tiles, slab by slab, where that saves halo."""
        if len(plan) < 2 or not sweeps(self.model, self.geometry):
            return plan
        operations = prompt_operations(self.device, self._speed)
        found = choose_sweep(source, self.model, self.geometry, self._memory(), operations, box)
        works = [work_of_plan(self.model, each, self.geometry) for each in (plan, found or plan)]
        return found if found is not None and works[1] < WORTH * works[0] else plan

    def _memory(self) -> int:
        return self._memory_given or free_memory(self.device)

    def _classes(self, work: Work, output: Output) -> Iterator[TileDone | Warned]:
        """Each tile of each position as soon as it is computed."""
        if not self.geometry.exact and len(work.plan) > 1:
            yield Warned("this network looks at a whole image at once, so its tiles differ a little from the whole")
        alone = work.total == 1 or work.plan.slabs is not None or work.plan.blank
        size = 1 if alone else choose_batch(work.plan, self.model, self.geometry, self.device, self._memory())
        slabs = Slabs(self._solver)
        done = bad = 0
        with closing(work.reader.ahead(work.places(), size)) as batches:
            for batch in takewhile(lambda _: not work.should_stop(), batches):
                bad += batch.nonfinite
                for index, data in self._solved(work, slabs, batch, output):
                    done += 1
                    yield TileDone(index, data, done, work.total)
        if bad:
            yield Masked(f"{bad} values of the image are NaN or infinite; they were taken as 0", bad)

    def _solved(
        self, work: Work, slabs: Slabs, batch: Batch, output: Output
    ) -> Iterator[tuple[Index, npt.NDArray[Any]]]:
        """Place and result of each tile of a batch, up to a stop."""
        convert = (_CONVERT_BOUNDARY if self.model.has_boundary else _CONVERT)[output]
        if output == "uncertainty" and self._disagreement:
            convert = to_last
        found = work.answers.solve(slabs.solve, work.form, work.reader, batch, convert)
        for (lead, tile), data in zip(batch.places, found, strict=True):
            if work.should_stop():
                return
            yield work.reader.source.label_index(lead, tile.write), data

    def _objects(self, work: Work) -> Iterator[TileDone | Warned]:
        """Tiles with preliminary numbers, then each plane as a whole with the final ones."""
        places, box = work.places(), work.plan.box
        start, linker = [part.start for part in box], Linker(self.instances.link)
        plane: npt.NDArray[Any] | None = None
        planes = 0
        for event in self._classes(work, "probabilities" if self._soft else "labels"):
            if isinstance(event, Warned) or event.data is None:
                yield event
                continue
            lead, tile = next(places)
            if plane is None:
                shape = event.data.shape[: event.data.ndim - len(box)] + tuple(part.stop - part.start for part in box)
                plane = np.zeros(shape, event.data.dtype)
            where: tuple[Any, ...] = (..., *inner(tile.write, start))
            plane[where] = event.data
            total = work.total + len(work.leads)
            yield TileDone(event.index, linker.preliminary(self._found(event.data)), event.done + planes, total)
            if event.done % len(work.plan) == 0:
                planes += 1
                objects = linker.add(self._found(plane), *work.reader.source.stack(lead))
                yield TileDone(work.reader.source.label_index(lead, box), objects, event.done + planes, total)

    @property
    def _soft(self) -> bool:
        """Whether objects are made of probabilities."""
        return self.model.has_boundary or self.instances.smoothing > 0

    def _found(self, found: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
        """Objects of a plane or volume, or of a part of one by itself."""
        boundary = self.model.has_boundary
        return objects_of(marks_of(found, self.instances, boundary=boundary), self.instances, boundary=boundary)[0]
