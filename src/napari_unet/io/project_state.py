"""What the records of a project's journal add up to: strokes, complete regions, settings.

Strokes are kept in blocks of 256 x 256 pixels of one plane. A record replaces a whole block, so the latest record of
each block is all that is needed, and the rest is history.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from napari_unet.config import Config, ModelConfig, PredictConfig, TrainConfig
from napari_unet.errors import ConfigError, ProjectError
from napari_unet.io.journal import Record
from napari_unet.standard import standard_model

log = logging.getLogger(__name__)

BLOCK = 256
#: A block of one plane: the positions along the leading axes, then the row and the column of blocks.
At = tuple[int, ...]
LARGEST_STROKES = 2**40


class Settings(Config):
    """Everything the forms of the dock say."""

    model: ModelConfig = Field(standard_model(), description="The network and its classes.")
    training: TrainConfig = Field(TrainConfig(), description="How it learns.")
    predicting: PredictConfig = Field(PredictConfig(), description="How images are segmented.")


@dataclass(slots=True)
class StrokesLayer:
    """The strokes of one labels layer.

    Attributes
    ----------
    image : str
        Key of the image they were painted on.
    name : str
        Name of the layer.
    shape : tuple of int
        Of the label image.
    dtype : dtype
    blocks : dict
        The latest record of each block.
    """

    image: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: dict[At, Record] = field(default_factory=dict)

    def array(self) -> npt.NDArray[Any]:
        """The strokes as one array.

        Raises
        ------
        ProjectError
            When a block is not what it should be, or there is not enough memory.
        """
        try:
            strokes = np.zeros(self.shape, self.dtype)
        except (MemoryError, ValueError) as error:
            raise ProjectError(f"free some memory: '{self.name}' has the shape {self.shape}") from error
        for at, record in self.blocks.items():
            index = block_index(at, self.shape)
            part = strokes[index]
            part[...] = np.frombuffer(record.data(part.nbytes), self.dtype).reshape(part.shape)
        return strokes


@dataclass(slots=True)
class ProjectState:
    """What a project holds now.

    Attributes
    ----------
    layers : dict[str, StrokesLayer]
        Strokes by key.
    regions : dict[str, list]
        Shapes that mark complete regions, by the key of their image: ``{"kind": "rectangle", "vertices": [...]}``.
    settings : Settings
    strokes : int
        Strokes painted so far.
    step : int
        Steps of the model in the project; 0 when it has none.
    time : float
        When it last changed, seconds since 1970.
    ended : str
        ``"closed"`` by the last session, ``"discarded"`` when the user did not want it any more, else ``""``.
    """

    layers: dict[str, StrokesLayer] = field(default_factory=dict)
    regions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    strokes: int = 0
    step: int = 0
    time: float = 0.0
    ended: str = ""

    def take(self, record: Record) -> None:
        """Let one record count; what cannot be understood is left out."""
        about = record.about
        try:
            match about.get("kind"):
                case "layer":
                    self._take_layer(about)
                case "block":
                    self._take_block(about, record)
                case "removed":
                    self.layers.pop(about["layer"], None)
                case "regions":
                    self.regions[about["image"]] = [dict(shape) for shape in about["shapes"]]
                case "settings":
                    self.settings = Settings(**{name: about[name] for name in Settings.model_fields if name in about})
                case "mark":
                    self._take_mark(about)
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            log.warning("an entry of the journal is left out: %s", error)

    def records(self) -> Iterator[Record]:
        """The shortest journal that adds up to this state."""
        for key, layer in self.layers.items():
            yield layer_record(key, layer)
            yield from layer.blocks.values()
        for image, shapes in self.regions.items():
            yield Record({"kind": "regions", "image": image, "shapes": shapes})
        yield Record({"kind": "settings", **self.settings.model_dump(mode="json")})
        yield Record(
            {"kind": "mark", "strokes": self.strokes, "step": self.step, "time": self.time, "ended": self.ended}
        )

    def _take_layer(self, about: dict[str, Any]) -> None:
        """A layer is new, has another name, or another shape and then no strokes yet."""
        shape, dtype = tuple(int(size) for size in about["shape"]), np.dtype(str(about["dtype"]))
        if dtype.kind not in "iu" or len(shape) < 2 or min(shape) < 1 or np.prod(shape, dtype=float) > LARGEST_STROKES:
            raise ValueError(f"strokes of type {dtype} and shape {shape}")
        old = self.layers.get(about["layer"])
        kept = old.blocks if old is not None and (old.shape, old.dtype) == (shape, dtype) else {}
        self.layers[about["layer"]] = StrokesLayer(str(about["image"]), str(about["name"]), shape, dtype, kept)

    def _take_block(self, about: dict[str, Any], record: Record) -> None:
        layer, at = self.layers[about["layer"]], tuple(int(place) for place in about["at"])
        if len(at) != len(layer.shape) or any(
            not 0 <= place < size for place, size in zip(at, grid(layer.shape), strict=True)
        ):
            raise ValueError(f"there is no block {at} in {layer.shape}")
        layer.blocks[at] = record

    def _take_mark(self, about: dict[str, Any]) -> None:
        self.strokes = int(about.get("strokes", self.strokes))
        self.step = int(about.get("step", self.step))
        self.time = float(about.get("time", self.time))
        self.ended = str(about.get("ended", self.ended))


def state_of(records: Iterable[Record]) -> ProjectState:
    """What `records` add up to."""
    state = ProjectState()
    for record in records:
        state.take(record)
    return state


def layer_record(key: str, layer: StrokesLayer) -> Record:
    """The record that announces strokes."""
    about = {"kind": "layer", "layer": key, "image": layer.image, "name": layer.name}
    return Record({**about, "shape": list(layer.shape), "dtype": layer.dtype.str})


def block_record(key: str, at: At, pixels: npt.NDArray[Any]) -> Record:
    """The record of one block of strokes."""
    data = np.ascontiguousarray(pixels).data.cast("B")
    return Record.of({"kind": "block", "layer": key, "at": list(at)}, data)


def grid(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Number of blocks along each axis."""
    return (*shape[:-2], *(-(-size // BLOCK) for size in shape[-2:]))


def block_index(at: At, shape: tuple[int, ...]) -> tuple[int | slice, ...]:
    """The block `at` as an index of an array of `shape`.

    Examples
    --------
    >>> block_index((3, 0, 1), (5, 100, 300))
    (3, slice(0, 100, None), slice(256, 300, None))
    """
    plane = zip(at[-2:], shape[-2:], strict=True)
    return (*at[:-2], *(slice(place * BLOCK, min((place + 1) * BLOCK, size)) for place, size in plane))


def blocks_in(box: Iterable[tuple[int, int]]) -> Iterator[At]:
    """The blocks that a box, ``(start, stop)`` for each axis, has a part in."""
    edges = list(box)
    lead = [range(start, stop) for start, stop in edges[:-2]]
    plane = [range(start // BLOCK, -(-stop // BLOCK)) for start, stop in edges[-2:]]
    return product(*lead, *plane)
