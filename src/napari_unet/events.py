"""What the engine reports while it works. Frozen, free of torch and Qt, safe to send to another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

StopReason = Literal["steps", "seconds", "stopped", "converged"]
#: Why a place is worth a stroke: the model is unsure, nothing was painted near, or its class was hardly painted.
Reason = Literal["unsure", "far", "rare"]


def never() -> bool:
    """The `should_stop` of those who let the engine work to the end."""
    return False


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something the user should know; the work goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Masked(Warned):
    """Pixels were NaN or infinite, and taken as 0.

    Attributes
    ----------
    count : int
        How many, over all channels.
    """

    count: int


@dataclass(frozen=True, slots=True)
class Started(Event):
    """Training begins.

    Attributes
    ----------
    device : str
        Where it runs, for example ``"cpu"`` or ``"cuda:0"``.
    parameters : int
        Number of trainable weights.
    annotated : dict[str, int]
        Annotated pixels per class name.
    """

    device: str
    parameters: int
    annotated: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step(Event):
    """One optimiser step is done.

    Attributes
    ----------
    step : int
        Steps done in the life of the model, from 1.
    loss : float
        Training loss of this step's batch.
    learning_rate : float
        Learning rate this step used.
    seconds : float
        Wall time since training began.
    progress : float or None
        Part of the budget that is used, 0 to 1; None for open-ended training.
    """

    step: int
    loss: float
    learning_rate: float
    seconds: float
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A score between 0 and 1, with the interval it lies in with 95 % confidence.

    Attributes
    ----------
    value : float
        The score.
    low, high : float
        The interval.
    pixels : int
        Annotated pixels it was computed from.
    """

    value: float
    low: float
    high: float
    pixels: int


@dataclass(frozen=True, slots=True)
class Validated(Event):
    """The network was tried on strokes that it has never learnt from, or there are too few to hold any out.

    Attributes
    ----------
    step : int
        Age of the network.
    score : Score or None
        Mean IoU of the foreground classes on held-out strokes; None where no honest number exists.
    classes : dict[str, Score]
        IoU of each class, background included; classes without held-out strokes are missing.
    areas : int
        Held-out areas looked at.
    best : bool
        Whether it is the best score so far.
    reason : str
        Without a score, one sentence that says why; else "".
    """

    step: int
    score: Score | None
    classes: dict[str, Score] = field(default_factory=dict)
    areas: int = 0
    best: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Corrected(Event):
    """New strokes came, and were scored before anything was learnt from them.

    Annotators paint where a prediction is wrong, so this understates how good the network is elsewhere.

    Attributes
    ----------
    number : int
        1 for the first correction of this session.
    step : int
        Age of the network that was asked.
    key : str
        Image they were painted on.
    pixels : int
        New annotated pixels.
    right : float
        Part of them that was predicted right, 0 to 1.
    classes : dict[str, float]
        The same for each class painted.
    recent : Score or None
        Mean of the last corrections, each counting alike; None while there are fewer than three.
    """

    number: int
    step: int
    key: str
    pixels: int
    right: float
    classes: dict[str, float] = field(default_factory=dict)
    recent: Score | None = None


@dataclass(frozen=True, slots=True)
class KeptState:
    """An earlier state of the network that can be gone back to.

    Attributes
    ----------
    step : int
        Its age; the name by which it is asked for.
    loss : float
        Mean training loss of the steps before it.
    score : Score or None
        Its score on held-out strokes.
    best : bool
        Whether that is the best of all.
    """

    step: int
    loss: float
    score: Score | None = None
    best: bool = False


@dataclass(frozen=True, slots=True)
class StatesChanged(Event):
    """The `states` that can be gone back to, the oldest first."""

    states: tuple[KeptState, ...]


@dataclass(frozen=True, slots=True)
class WentBack(Event):
    """The network is again as it was at `step`; it was at `before`."""

    step: int
    before: int


@dataclass(frozen=True, slots=True)
class CheckpointSaved(Event):
    """All that is needed to go on from `step` as if nothing had happened is safely on disk at `path`."""

    path: str
    step: int


@dataclass(frozen=True, slots=True)
class Saved(Event):
    """The model is safely on disk at `path`."""

    path: str


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """Training ended; a stop asked for by the user is not a failure.

    Attributes
    ----------
    reason : {"steps", "seconds", "stopped", "converged"}
        What ended it; "converged" when it stopped improving.
    step : int
        Steps done in the life of the model.
    seconds : float
        Wall time of this training.
    model : napari_unet.Model or None
        The trained model, for callers in the same process; None when the event crossed a process border.
    """

    reason: StopReason
    step: int
    seconds: float
    model: Any = None


@dataclass(frozen=True, slots=True)
class VolumeProgress(Event):
    """How far the segmentation of a large image is.

    Attributes
    ----------
    stage : {"predict", "join", "pyramid"}
        What is going on: the network, the joining of objects, the coarser levels.
    done, total : int
        Write units of this stage that are finished, and all of them.
    fraction : float
        Part of the stage that is done, 0 to 1, with the unit in hand.
    seconds : float
        Time since this run began the stage.
    remaining : float or None
        Seconds that the rest of the stage will take at the pace of this run; None until that is known.
    """

    stage: Literal["predict", "join", "pyramid"]
    done: int
    total: int
    fraction: float
    seconds: float
    remaining: float | None


@dataclass(frozen=True, slots=True)
class VolumeDone(Event):
    """The segmentation of a large image is complete, or was stopped and can be resumed.

    Attributes
    ----------
    path : str
        The store.
    complete : bool
        Whether all of it is done.
    done, total : int
        Predicted write units, and all of them.
    objects : int or None
        Number of objects, when they were asked for and are complete.
    """

    path: str
    complete: bool
    done: int
    total: int
    objects: int | None = None


@dataclass(frozen=True, slots=True)
class TileDone(Event):
    """One tile of a prediction is ready.

    Attributes
    ----------
    index : tuple of int or slice
        Where the tile lies: ``labels[index] = data``, or ``probabilities[(slice(None), *index)] = data``.
    data : ndarray or None
        The tile: ``(*tile,)`` for labels and instances, ``(K, *tile)`` for probabilities; None when it was written
        to shared memory.
    done, total : int
        Tiles finished, this one included, and tiles planned.
    """

    index: tuple[int | slice, ...]
    data: npt.NDArray[np.generic] | None
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Place:
    """A place that is worth a stroke.

    Attributes
    ----------
    point : tuple of int
        Pixel of the label image.
    value : int
        The likeliest class, as strokes say it: 1 = background, 2, 3, ... = classes.
    second : int
        The next likely one.
    score : float
        How much it teaches, compared with other places.
    reason : {"unsure", "far", "rare"}
        What it scores by.
    """

    point: tuple[int, ...]
    value: int
    second: int
    score: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class ObjectRows:
    """Objects 1..N as columns.

    Attributes
    ----------
    values : ndarray of int, shape (N,)
        Class, as strokes say it: 2, 3, ...
    sizes : ndarray of int, shape (N,)
        Pixels.
    intensities : ndarray, shape (N,)
        Mean over pixels and channels.
    confidences : ndarray, shape (N,)
        Mean probability of the object's class, 0 to 1.
    boxes : ndarray of int, shape (N, axes, 2)
        Start and stop along each axis of the label image.
    """

    values: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    intensities: npt.NDArray[np.float64]
    confidences: npt.NDArray[np.float64]
    boxes: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about strokes that the user should look at.

    Attributes
    ----------
    kind : {"misfit", "swapped", "shared"}
        The network sees another class, though not surely; is sure of another class; one value lies on two objects.
    point : tuple of int
        A painted pixel of the label image.
    value : int
        What is painted.
    seen : int
        The class that the network sees, as strokes say it.
    chance : float
        Mean probability of what is painted.
    size : int
        Painted pixels.
    """

    kind: Literal["misfit", "swapped", "shared"]
    point: tuple[int, ...]
    value: int
    seen: int
    chance: float
    size: int
