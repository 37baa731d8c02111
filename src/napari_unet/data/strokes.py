"""The strokes of one image as a sparse snapshot: small blocks where something is annotated, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_unet.config import BoundaryConfig, ModelConfig
from napari_unet.data.annotations import (
    IGNORE,
    check_classes,
    check_values,
    class_count,
    objects_of,
    overlap,
    targets_of,
)
from napari_unet.data.source import SPATIAL, ImageSource
from napari_unet.data.weightmap import boundary_term, falk_term, reach
from napari_unet.errors import AnnotationError

Box = tuple[tuple[int, int], ...]
Lead = tuple[int, ...]
Place = tuple[int, ...]
Key = tuple[Lead, Place]
Array = npt.NDArray[Any]

#: Edge of a block, by the number of spatial axes.
EDGE = {2: 64, 3: 32}
#: The boundary term is left out below this in training: 0.02 of w0 = 10 reaches 18 pixels, 1e-6 reaches 28.
NEGLIGIBLE = 0.02


@dataclass(slots=True)
class Block:
    """One block: stroke values, targets, pixels per class, and what is computed later.

    `version` is that of the annotation which last changed the values; `boundary` is None until it is needed.
    """

    values: Array
    targets: npt.NDArray[np.int16]
    counts: npt.NDArray[np.int64]
    version: int = 0
    boundary: npt.NDArray[np.float32] | None = None


class Annotation:
    """What is annotated in one image. Memory follows the annotated area, not the image.

    Parameters
    ----------
    source : ImageSource
        The image.
    model : ModelConfig
        Classes and task.
    boundary : BoundaryConfig, optional
        Boundary weights; distances are in pixels of the finest axis.

    Attributes
    ----------
    blocks : dict
        `Block` by position along the leading axes and place in the grid of blocks.
    version : int
        Rises with every update.
    held_out : callable
        Whether a block, by position and place, is held out from training; such blocks are not read.

    Examples
    --------
    >>> source = ImageSource(np.zeros((8, 8)), "YX", ndim=2)
    >>> annotation = Annotation(source, ModelConfig())
    >>> annotation.update(np.eye(8, dtype=np.uint8) * 2)
    >>> annotation.counts.tolist(), annotation.targets((), (0, 0), (2, 2)).tolist()
    ([0, 8], [[1, -1], [-1, 1]])
    """

    def __init__(self, source: ImageSource, model: ModelConfig, boundary: BoundaryConfig | None = None) -> None:
        self.source = source
        self.model = model
        self.edge = EDGE[source.ndim]
        self.blocks: dict[Key, Block] = {}
        self.version = 0
        self.held_out: Callable[[Key], bool] = lambda key: False
        self._stale: set[Lead] = set()
        self._boundary = boundary or BoundaryConfig()
        self._grid = tuple(-(-size // self.edge) for size in source.spatial)
        spatial = SPATIAL[source.ndim]
        self._spatial_axes = [i for i, axis in enumerate(source.label_axes) if axis in spatial]
        self._lead_axes = [i for i, axis in enumerate(source.label_axes) if axis not in spatial]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Annotated pixels per class."""
        start = np.zeros(class_count(self.model), np.int64)
        return sum((block.counts for block in self.blocks.values()), start=start)

    def use(self, boundary: BoundaryConfig) -> None:
        """Change the boundary weights."""
        if boundary != self._boundary:
            self._boundary = boundary
            self._forget_boundary(self.blocks)

    # ------------------------------------------------------------------ strokes in

    def update(self, strokes: Any, complete: Sequence[Box] = (), changed: Box | None = None) -> None:
        """Take a snapshot of the strokes.

        Parameters
        ----------
        strokes : array-like of int
            Shape ``source.label_shape``.
        complete : sequence of Box
            Boxes over the label axes where every 0 counts as background.
        changed : Box, optional
            Look only at the blocks that this box touches.

        Raises
        ------
        AnnotationError
            When the strokes have another shape than the image, or values without a class.
        """
        self._check_shape(tuple(strokes.shape), complete)
        leads, places = self._touched(changed)
        fresh: dict[Key, Array] = {}
        for lead in leads:
            fresh.update(self._read_plane(strokes, complete, lead, places))
        inside = set(product(leads, product(*places))) if changed is not None else set(self.blocks)
        self._install(fresh, inside & set(self.blocks))

    def choose_again(self, blocks: Mapping[Key, Block]) -> None:
        """Take the values of all `blocks` but those that are held out now."""
        self._install({key: b.values for key, b in blocks.items() if not self.held_out(key)}, set(self.blocks))

    def _check_shape(self, shape: tuple[int, ...], complete: Sequence[Box]) -> None:
        if shape != self.source.label_shape:
            raise AnnotationError(
                f"paint on a labels layer of the image's own shape: the strokes have {shape} pixels, "
                f"the image {self.source.label_shape}"
            )
        if any(len(box) != len(shape) for box in complete):
            raise AnnotationError(f"draw each complete region over the {len(shape)} axes of the strokes")

    def _touched(self, changed: Box | None) -> tuple[list[Lead], list[range]]:
        """Positions along the leading axes, and the range of blocks along each spatial axis, that a box touches."""
        if changed is None:
            return list(self.source.planes()), [range(size) for size in self._grid]
        clipped = [(max(a, 0), min(b, n)) for (a, b), n in zip(changed, self.source.label_shape, strict=True)]
        leads = list(product(*(range(*clipped[axis]) for axis in self._lead_axes)))
        return leads, [range(a // self.edge, -(-b // self.edge)) for a, b in (clipped[i] for i in self._spatial_axes)]

    def _read_plane(
        self, strokes: Any, complete: Sequence[Box], lead: Lead, places: Sequence[range]
    ) -> Iterator[tuple[Key, Array]]:
        """Copies of the annotated blocks at one position."""
        if not all(places):
            return
        region = [
            slice(r.start * self.edge, min(r.stop * self.edge, n))
            for r, n in zip(places, self.source.spatial, strict=True)
        ]
        plane = np.asarray(strokes[self.source.label_index(lead, region)])
        for place in self._annotated(plane, complete, lead, places):
            if self.held_out((lead, place)):
                continue
            box = self.box(place)
            local = tuple(slice(s.start - r.start, s.stop - r.start) for s, r in zip(box, region, strict=True))
            values = np.array(check_values(plane[local]))
            index = self.source.label_index(lead, box)
            for part in filter(None, (overlap(index, region) for region in complete)):
                values[part][values[part] == 0] = 1
            if self.model.ignore_value is not None:
                values[values == self.model.ignore_value] = 0
            yield (lead, place), values

    def _annotated(self, plane: Array, complete: Sequence[Box], lead: Lead, places: Sequence[range]) -> Iterator[Place]:
        """Places of the blocks with any stroke or inside a complete region."""
        if not complete and not plane.any():
            return
        painted = plane != 0
        for axis, size in enumerate(plane.shape):
            painted = np.logical_or.reduceat(painted, np.arange(0, size, self.edge), axis=axis)
        first = tuple(r.start for r in places)
        for offset in np.ndindex(painted.shape):
            place = tuple(a + b for a, b in zip(first, offset, strict=True))
            index = self.source.label_index(lead, self.box(place)) if complete else ()
            if painted[offset] or any(overlap(index, region) is not None for region in complete):
                yield place

    def box(self, place: Place) -> tuple[slice, ...]:
        """Pixels of the block at `place`."""
        return tuple(
            slice(p * self.edge, min((p + 1) * self.edge, n)) for p, n in zip(place, self.source.spatial, strict=True)
        )

    def _install(self, fresh: dict[Key, Array], old: set[Key]) -> None:
        """Put fresh blocks in the place of the old ones, and bring up to date what depends on them."""
        check_classes(max((int(values.max()) for values in fresh.values()), default=0), self.model)
        for key in old - set(fresh):
            del self.blocks[key]
        nothing = np.zeros(0, np.int16), np.zeros(0, np.int64)
        versions = {key: self._version_of(key, values) for key, values in fresh.items()}
        self.blocks.update({key: Block(values, *nothing, versions[key]) for key, values in fresh.items()})
        dirty = old | set(fresh)
        for key in self._near(dirty, 1) if self.model.task == "instances" else fresh:
            self._target(key)
        self._forget_boundary(self._near(dirty, self._reach() + 1))
        self.version += 1

    def _version_of(self, key: Key, values: Array) -> int:
        """The version that a block of these values will be of: a new one, unless they are the same as before."""
        known = self.blocks.get(key)
        same = known is not None and np.array_equal(known.values, values)
        return known.version if known is not None and same else self.version + 1

    def _near(self, keys: Iterable[Key], distance: int) -> set[Key]:
        """Blocks at most `distance` blocks from any of `keys`."""
        steps = list(product(range(-distance, distance + 1), repeat=self.source.ndim))
        moved = (
            (lead, tuple(a + b for a, b in zip(place, step, strict=True))) for lead, place in keys for step in steps
        )
        return {key for key in moved if key in self.blocks}

    def _target(self, key: Key) -> None:
        """Targets of one block; objects that touch from the neighbouring blocks are seen."""
        block, box = self.blocks[key], self.box(key[1])
        halo = 1 if self.model.task == "instances" else 0
        values = (
            self._gather("values", key[0], [s.start - halo for s in box], [s.stop + halo for s in box])
            if halo
            else block.values
        )
        inner = tuple(slice(halo, n - halo) for n in values.shape)
        targets = targets_of(values, self.model.task, self.model.instance_target, self._steps())
        block.targets = np.ascontiguousarray(targets[inner])
        block.counts = np.bincount(block.targets[block.targets >= 0].ravel(), minlength=class_count(self.model))

    # ------------------------------------------------------------------ targets out

    def targets(self, lead: Lead, start: Sequence[int], stop: Sequence[int]) -> npt.NDArray[np.int16]:
        """Class indices of a spatial box, which may reach outside the image; `IGNORE` where nothing is annotated."""
        return self._gather("targets", lead, start, stop)

    def boundary(self, lead: Lead, start: Sequence[int], stop: Sequence[int]) -> npt.NDArray[np.float32]:
        """Boundary term of a spatial box, 0 where nothing is annotated. Computed when first asked for."""
        if lead in self._stale:
            self._weigh(lead)
            self._stale.discard(lead)
        return self._gather("boundary", lead, start, stop)

    def _gather(self, field: str, lead: Lead, start: Sequence[int], stop: Sequence[int]) -> Array:
        """One field of the blocks in a box."""
        dtype, fill = {"values": (np.int64, 0), "targets": (np.int16, IGNORE), "boundary": (np.float32, 0)}[field]
        out = np.full([b - a for a, b in zip(start, stop, strict=True)], fill, dtype)
        ranges = [
            range(max(a // self.edge, 0), min(-(-b // self.edge), n))
            for a, b, n in zip(start, stop, self._grid, strict=True)
        ]
        for place in product(*ranges):
            block = self.blocks.get((lead, place))
            if block is not None:
                box = self.box(place)
                both = [(max(s.start, a), min(s.stop, b)) for s, a, b in zip(box, start, stop, strict=True)]
                to = tuple(slice(a - o, b - o) for (a, b), o in zip(both, start, strict=True))
                of = tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(both, box, strict=True))
                out[to] = getattr(block, field)[of]
        return out

    # ------------------------------------------------------------------ boundary weights

    def _reach(self) -> int:
        """How many blocks away an object still matters."""
        config = self._boundary
        far = reach(config.w0, config.sigma, NEGLIGIBLE)
        if config.method == "falk":
            far = max(far, reach(1 - config.far_weight, config.fade, NEGLIGIBLE))
        return int(-(-far // self.edge))

    def _forget_boundary(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.blocks[key].boundary = None
            self._stale.add(key[0])

    def _weigh(self, lead: Lead) -> None:
        """Fill in missing boundary terms, one cluster of blocks that can see each other at a time."""
        occupied = np.zeros(self._grid, bool)
        places = [place for at, place in self.blocks if at == lead]
        occupied[tuple(np.transpose(places))] = True
        whole = np.ones((3,) * occupied.ndim)
        if (rounds := self._reach() // 2) > 0:
            occupied = ndimage.binary_dilation(occupied, whole, iterations=rounds)
        clusters, _ = ndimage.label(occupied, whole)
        members: dict[int, list[Place]] = {}
        for place in places:
            members.setdefault(int(clusters[place]), []).append(place)
        for group in members.values():
            if any(self.blocks[lead, place].boundary is None for place in group):
                self._weigh_cluster(lead, group)

    def _weigh_cluster(self, lead: Lead, places: Sequence[Place]) -> None:
        boxes = [self.box(place) for place in places]
        start = [min(box[axis].start for box in boxes) for axis in range(self.source.ndim)]
        stop = [max(box[axis].stop for box in boxes) for axis in range(self.source.ndim)]
        targets = self._gather("targets", lead, start, stop)
        values = self._gather("values", lead, start, stop)
        values[targets < 1] = 0
        term = self._term(values)
        for place, box in zip(places, boxes, strict=True):
            local = tuple(slice(s.start - a, s.stop - a) for s, a in zip(box, start, strict=True))
            self.blocks[lead, place].boundary = np.array(term[local])

    def _term(self, values: Array) -> npt.NDArray[np.float32]:
        """Boundary term of stroke values; Falk's is a sum over the classes, and is of background alone."""
        config, task = self._boundary, self.model.task
        if config.method == "ronneberger":
            return boundary_term(objects_of(values, task), config.w0, config.sigma, self._steps(), NEGLIGIBLE)
        term = np.zeros(values.shape, np.float32)
        classes = [np.where(values == value, value, 0) for value in np.unique(values[values > 1])]
        for one in classes if task == "semantic" else [values]:
            objects = objects_of(one, task)
            settings = config.w0, config.sigma, self._steps(), config.far_weight, config.fade, NEGLIGIBLE
            term += falk_term(objects, *settings)
        term[values > 1] = 0
        return term

    def _steps(self) -> tuple[float, ...] | None:
        """Pixel size in units of the finest axis."""
        spacing = self.model.spacing
        return tuple(step / min(spacing) for step in spacing) if spacing else None
