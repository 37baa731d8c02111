"""Where training patches come from: around strokes, every class as often, and where there is most to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.config import BoundaryConfig, ModelConfig, SamplingConfig
from napari_unet.data.annotations import class_count
from napari_unet.data.channels import source_for
from napari_unet.data.focus import Focus
from napari_unet.data.normalize import Normalizer, fit_normalizer
from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.data.strokes import Annotation, Box, Key, Lead
from napari_unet.errors import AnnotationError, ImageError


@dataclass(frozen=True, slots=True)
class Spot:
    """An annotated pixel that a patch is drawn around, and the place of its block of strokes."""

    key: str
    lead: Lead
    pixel: tuple[int, ...]
    place: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Patches of one step.

    Attributes
    ----------
    images : ndarray
        float32 ``(N, C, *shape)``, normalised, mirrored outside the image.
    targets : ndarray
        int16 ``(N, *shape)``, class indices, -1 = ignore.
    boundary : ndarray
        float32 ``(N, *shape)``, boundary term of the weights.
    """

    images: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int16]
    boundary: npt.NDArray[np.float32]


class Example:
    """An image, how to normalise it, and its strokes. The image is never copied."""

    def __init__(
        self,
        image: ArrayLike,
        axes: str,
        model: ModelConfig,
        boundary: BoundaryConfig | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self.image = image
        self.axes = axes
        named = names and model.channels
        self.source = source_for(model, image, axes, names=names) if named else ImageSource(image, axes, model.ndim)
        if self.source.channels != model.in_channels:
            raise ImageError(
                f"choose an image with {model.in_channels} channels, or make a new model: this image has "
                f"{self.source.channels}"
            )
        self.normalizer: Normalizer = fit_normalizer(self.source, model.normalization)
        self.annotation = Annotation(self.source, model, boundary)


class Sampler:
    """Draws patches from examples.

    Parameters
    ----------
    model : ModelConfig
        Classes of the strokes.
    """

    def __init__(self, model: ModelConfig) -> None:
        self._classes = class_count(model)
        self.examples: dict[str, Example] = {}
        self._tables: dict[str, tuple[int, list[Key], npt.NDArray[np.int64]]] = {}
        self._focus = Focus()

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Annotated pixels per class."""
        start = np.zeros(self._classes, np.int64)
        return sum((example.annotation.counts for example in self.examples.values()), start=start)

    def state_dict(self) -> dict[str, Any]:
        """What drawing depends on besides images, strokes and the seed, as plain values for a checkpoint."""
        return self._focus.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over such a state; images and strokes are known already."""
        for key in self.examples:
            self._table(key)
        self._focus.load_state_dict(state)

    def remove(self, key: str) -> None:
        """Forget an example, if it is known."""
        self.examples.pop(key, None)
        self._tables.pop(key, None)
        self._focus.forget(key)

    def set_strokes(self, key: str, strokes: Any, complete: Sequence[Box] = (), changed: Box | None = None) -> None:
        """Take over the strokes of an example; see `Annotation.update`."""
        if key not in self.examples:
            raise AnnotationError(f"choose the image of these strokes first: '{key}' is not known")
        self.examples[key].annotation.update(strokes, complete, changed)

    def draw(self, rng: np.random.Generator, count: int, config: SamplingConfig | None = None) -> list[Spot]:
        """Annotated pixels: classes in turn, an image by the root of its share, then a pixel.

        Parameters
        ----------
        rng : Generator
            Of all choices.
        count : int
            Pixels.
        config : SamplingConfig, optional
            How much more often pixels in newly painted or badly learnt blocks are drawn than others.

        Raises
        ------
        AnnotationError
            When nothing is annotated.
        """
        config = config or SamplingConfig()
        tables = {key: self._weighted(key, config) for key in self.examples}
        totals = np.array([table.sum(axis=0) for _, table in tables.values()])
        if not totals.any():
            raise AnnotationError("paint strokes on at least two classes first")
        return [self._spot(rng, tables, totals, target) for target in _turns(rng, totals.sum(axis=0), count, config)]

    def learnt(self, spots: Sequence[Spot], losses: Sequence[float]) -> None:
        """Note how well the patches of one batch were learnt; NaN where nothing in a patch is annotated."""
        self._focus.clock += 1
        for spot, loss in zip(spots, losses, strict=True):
            self._focus.learnt(spot.key, (spot.lead, spot.place), loss)

    def _weighted(self, key: str, config: SamplingConfig) -> tuple[list[Key], npt.NDArray[np.float64]]:
        """Blocks of an example, and what their pixels of each class weigh together."""
        blocks, counts = self._table(key)
        return blocks, counts * self._focus.weights(key, blocks, config)[:, None]

    def _table(self, key: str) -> tuple[list[Key], npt.NDArray[np.int64]]:
        """Blocks of an example, and their pixels per class; kept until the strokes change."""
        annotation = self.examples[key].annotation
        known = self._tables.get(key)
        if known is None or known[0] != annotation.version:
            blocks = sorted(annotation.blocks)  # in whatever order they were painted
            counts = np.array([annotation.blocks[b].counts for b in blocks], np.int64).reshape(-1, self._classes)
            known = self._tables[key] = (annotation.version, blocks, counts)
            self._focus.look(key, annotation)
        return known[1:]

    def _spot(
        self,
        rng: np.random.Generator,
        tables: Mapping[str, tuple[list[Key], npt.NDArray[np.float64]]],
        totals: npt.NDArray[np.float64],
        target: int,
    ) -> Spot:
        key = list(tables)[_choose(rng, np.sqrt(totals[:, target]))]
        blocks, weights = tables[key]
        lead, place = blocks[_choose(rng, weights[:, target])]
        annotation = self.examples[key].annotation
        pixels = np.flatnonzero(annotation.blocks[lead, place].targets == target)
        shape = annotation.blocks[lead, place].targets.shape
        local = np.unravel_index(int(pixels[rng.integers(pixels.size)]), shape)
        origin = (side.start for side in annotation.box(place))
        return Spot(key, lead, tuple(int(a) + int(b) for a, b in zip(origin, local, strict=True)), place)

    def start(self, rng: np.random.Generator, spot: Spot, shape: Sequence[int], kept: Sequence[int]) -> tuple[int, ...]:
        """Corner of a patch around a spot.

        Parameters
        ----------
        rng : Generator
            Moves the patch, so that the spot is somewhere in the middle half of the kept part.
        spot : Spot
            From `draw`.
        shape, kept : sequence of int
            Size of the patch, and of its middle that is learnt from. That middle stays inside the image if it fits.
        """
        sizes = self.examples[spot.key].source.spatial
        corner = []
        for pixel, edge, inner, size in zip(spot.pixel, shape, kept, sizes, strict=True):
            jitter = int(rng.integers(-(inner // 4), inner // 4 + 1))
            first = pixel + jitter - inner // 2
            first = min(max(first, 0), size - inner) if size >= inner else (size - inner) // 2
            corner.append(first - (edge - inner) // 2)
        return tuple(corner)

    def read(self, spots: Sequence[Spot], starts: Sequence[Sequence[int]], shape: Sequence[int]) -> Batch:
        """Patches of `shape` at `starts`, which may reach outside the images."""
        parts = [self._patch(spot, start, shape) for spot, start in zip(spots, starts, strict=True)]
        images, targets, boundary = (np.stack(field) for field in zip(*parts, strict=True))
        return Batch(images, targets, boundary)

    def _patch(
        self, spot: Spot, start: Sequence[int], shape: Sequence[int]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int16], npt.NDArray[np.float32]]:
        example = self.examples[spot.key]
        stop = [a + n for a, n in zip(start, shape, strict=True)]
        image = example.normalizer(example.source.read_mirrored(spot.lead, start, stop))
        annotation = example.annotation
        return image, annotation.targets(spot.lead, start, stop), annotation.boundary(spot.lead, start, stop)


def _turns(rng: np.random.Generator, totals: npt.NDArray[np.float64], count: int, config: SamplingConfig) -> list[int]:
    """The class of each patch: every painted class in turn, or a class as often as its pixels (Falk et al. 2019)."""
    if config.turns == "pixels":
        density = np.where(np.arange(totals.size) == 0, config.background, 1.0)
        return [_choose(rng, totals * density) for _ in range(count)]
    painted = np.flatnonzero(totals)
    start = int(rng.integers(painted.size))
    return [int(painted[(start + i) % painted.size]) for i in range(count)]


def _choose(rng: np.random.Generator, weights: npt.NDArray[Any]) -> int:
    """Index drawn with the given weights."""
    ends = np.cumsum(weights, dtype=np.float64)
    return int(np.searchsorted(ends, min(rng.random() * ends[-1], np.nextafter(ends[-1], 0)), side="right"))
