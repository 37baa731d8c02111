"""What a session reports besides the engine's own events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.config import ModelConfig
from napari_unet.events import Event, Finding, ObjectRows, Place

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_unet.session.costs import Costs


@dataclass(frozen=True, slots=True)
class Ready(Event):
    """The session is up, or computes elsewhere now.

    Attributes
    ----------
    device : str
        Where it computes.
    torch : str
        Version of torch.
    devices : tuple of (str, str)
        Where it could compute: names for `UseDevice`, and what they are, in words.
    """

    device: str
    torch: str
    devices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CostsEstimated(Event):
    """What a network costs, unless `trouble` says in one sentence why that cannot be known.

    Attributes
    ----------
    request : int
        Number of the question.
    costs : Costs or None
    free : int or None
        Bytes that are free where the session computes; None where it cannot be known.
    trouble : str
    """

    request: int
    costs: Costs | None
    free: int | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ModelChanged(Event):
    """Another model is in use: a new one, or the one in the file `path`; `step` steps have been trained."""

    config: ModelConfig
    step: int
    path: str | None = None


@dataclass(frozen=True, slots=True)
class SnapshotSaved(Event):
    """The model as it is after `step` steps is safe in the file `path`."""

    path: str
    step: int


@dataclass(frozen=True, slots=True)
class Tile(Event):
    """A part of the prediction `request` is ready.

    Attributes
    ----------
    request : int
        Number of the command it answers.
    index : tuple of int or slice
        Where it lies in the label image.
    data : ndarray or None
        The tile; None when it was written into the shared target.
    done, total : int
        Tiles finished, and tiles planned.
    step : int
        Age of the model it was predicted with.
    soft : ndarray or None
        Class and certainty of each pixel, see `session.soft`; only when asked for.
    """

    request: int
    index: tuple[int | slice, ...]
    data: npt.NDArray[np.generic] | None
    done: int
    total: int
    step: int
    soft: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class PredictionDone(Event):
    """The prediction `request` is complete, or was given up."""

    request: int
    cancelled: bool
    step: int


@dataclass(frozen=True, slots=True)
class FilePart(Event):
    """A tile of an image of a folder is done.

    Attributes
    ----------
    request : int
        Number of the command it answers.
    source : str
        The image.
    part : float
        How much of it is done, 0 to 1.
    done, total : int
        Images finished, and images in all.
    """

    request: int
    source: str
    part: float
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class FileDone(Event):
    """An image of a folder is segmented, or cannot be.

    Attributes
    ----------
    request : int
        Number of the command it answers.
    source, target : str
        The image, and the file of its result.
    problem : str
        Why there is no result; "" when there is one.
    done, total : int
        Images finished, this one included, and images in all.
    """

    request: int
    source: str
    target: str
    problem: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Compared(Event):
    """The scores that `Compare` asked for, as `napari_unet.score` names them."""

    request: int
    scores: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reviewed(Event):
    """Base of the answers to `Review`."""

    request: int


@dataclass(frozen=True, slots=True)
class Looking(Event):
    """How far the answer to the review `request` is."""

    request: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Advised(Reviewed):
    """Where a stroke teaches most, the best place first; none where the model is sure of all it looked at."""

    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class ObjectsMeasured(Reviewed):
    """Objects 1..N; their numbers are in the target of the command."""

    rows: ObjectRows


@dataclass(frozen=True, slots=True)
class Previewed(Event):
    """The augmented patches that `Preview` asked for; of volumes one plane each.

    Attributes
    ----------
    request : int
    images : ndarray
        uint8 ``(N, C, *plane)``.
    targets : ndarray
        int16 ``(N, *plane)``, class indices, -1 = not annotated.
    weights : ndarray
        float32 ``(N, *plane)``, what each pixel counts.
    """

    request: int
    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int16]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StrokesChecked(Reviewed):
    """What is to be looked at, the worst fit first; `complete` when all strokes were looked at."""

    findings: tuple[Finding, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """Something could not be done; `message` tells the user what to do. The session goes on."""

    message: str
    request: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerDied(Event):
    """The session's process was lost; whether a new one goes on with images, strokes and the last snapshot."""

    message: str
    restarted: bool = True
