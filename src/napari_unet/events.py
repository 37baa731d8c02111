"""What the engine reports while it works. Frozen, free of torch and Qt, safe to send to another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

StopReason = Literal["steps", "seconds", "stopped"]


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
class Saved(Event):
    """The model is safely on disk at `path`."""

    path: str


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """Training ended; a stop asked for by the user is not a failure.

    Attributes
    ----------
    reason : {"steps", "seconds", "stopped"}
        What ended it.
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
