"""What a session can be asked to do. Frozen, free of torch, safe to send to another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from napari_unet.config import ModelConfig, Output, PredictConfig, TrainConfig
from napari_unet.session.arrays import ArrayRef
from napari_unet.session.folders import Item

#: ``(start, stop)`` for each axis.
Box = tuple[tuple[int, int], ...]

#: What the values of a mask are: single objects or classes, both with 0 as background, or strokes (0 = not known).
Meaning = Literal["objects", "classes", "strokes"]


@dataclass(frozen=True, slots=True)
class Command:
    """Base of all commands."""


@dataclass(frozen=True, slots=True)
class SetImage(Command):
    """Make the image `array` with named `axes` known as `key`, replacing an older one."""

    key: str
    array: ArrayRef
    axes: str


@dataclass(frozen=True, slots=True)
class SetStrokes(Command):
    """Learn image `key` from the strokes in `array` (label axes of the image) and the `complete` regions.

    Nothing is painted outside the boxes `painted`, which is not even read; None: perhaps anywhere.
    """

    key: str
    array: ArrayRef
    complete: tuple[Box, ...] = ()
    painted: tuple[Box, ...] | None = None


@dataclass(frozen=True, slots=True)
class StrokesChanged(Command):
    """The shared strokes of `key` were written: read them again, wherever something is painted or only in `box`."""

    key: str
    box: Box | None = None
    complete: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Forget(Command):
    """Forget image `key` and its strokes; what was learnt from them stays."""

    key: str


@dataclass(frozen=True, slots=True)
class NewModel(Command):
    """Start again with a new network; `seed` chooses what is random about it."""

    config: ModelConfig
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LoadModel(Command):
    """Go on with the model in the file `path`."""

    path: str


@dataclass(frozen=True, slots=True)
class SaveModel(Command):
    """Write the model to the file `path`."""

    path: str


@dataclass(frozen=True, slots=True)
class NameClasses(Command):
    """Give the classes of the model in use other names and colours; what it knows of them stays, and it goes on."""

    classes: tuple[str, ...]
    colors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AdaptModel(Command):
    """Give the model in use other classes (by name) or another number of channels; what it knows of them stays."""

    config: ModelConfig


@dataclass(frozen=True, slots=True)
class KeepModel(Command):
    """Keep the model safe in the file `path` while it learns; `now` if there is one already."""

    path: str
    now: bool = False


@dataclass(frozen=True, slots=True)
class Train(Command):
    """Learn from all strokes, until the budget of `config` is used or `StopTraining` comes.

    With `resume`, a training that was stopped goes on where it was: its budget and learning rate continue.
    """

    config: TrainConfig
    resume: bool = False


@dataclass(frozen=True, slots=True)
class StopTraining(Command):
    """Stop after the current step and keep the model; ``Train(config, resume=True)`` makes it a pause."""


@dataclass(frozen=True, slots=True)
class GoBack(Command):
    """Make the network what it was at `step`, one of the last `StatesChanged`; answered by `WentBack`."""

    step: int


@dataclass(frozen=True, slots=True)
class Preview(Command):
    """Show `count` augmented patches as training with `config` would learn from them; nothing is learnt."""

    request: int
    config: TrainConfig
    count: int = 6
    seed: int = 0


@dataclass(frozen=True, slots=True)
class UseDevice(Command):
    """Compute on `device` from now on, with so many CPU threads; answered by another `Ready`."""

    device: str
    threads: int


@dataclass(frozen=True, slots=True)
class EstimateCosts(Command):
    """What would a network cost, learnt from an image of spatial size `image`? Answered by `CostsEstimated`."""

    request: int
    model: ModelConfig
    training: TrainConfig
    image: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PredictView(Command):
    """Predict the spatial `box` at position `lead` of image `key`; a newer view replaces it.

    With `soft`, tiles carry labels and the codes of `session.soft`, whatever `output` says. While the network learns it
    is predicted when it has done so many whole steps `after` the command: they know the strokes that were told before.
    """

    request: int
    key: str
    lead: tuple[int, ...]
    box: Box
    output: Output = "labels"
    soft: bool = False
    after: int = 0


@dataclass(frozen=True, slots=True)
class PredictImage(Command):
    """Predict image `key` into the shared array `target`, see `form_of_result`: the whole, or a part of it.

    The part is the positions `leads` along the axes before the spatial ones (all if None), and in each the spatial
    `box` (all if None).
    """

    request: int
    key: str
    target: ArrayRef
    config: PredictConfig = field(default_factory=PredictConfig)
    leads: tuple[tuple[int, ...], ...] | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class PredictFiles(Command):
    """Predict image files into files, one after the other; `key` is none of an image.

    One that cannot be segmented does not stop the others; answered by a `FileDone` for each, last `PredictionDone`.
    What is there already is not touched unless `overwrite`.
    """

    request: int
    items: tuple[Item, ...]
    config: PredictConfig = field(default_factory=PredictConfig)
    overwrite: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True)
class PreviewObjects(Command):
    """Make objects of the spatial `box` at position `lead` of image `key`; a newer preview replaces it.

    What the network found there is kept, so that other settings are answered at once.
    """

    request: int
    key: str
    lead: tuple[int, ...]
    box: Box
    config: PredictConfig = field(default_factory=PredictConfig)


@dataclass(frozen=True, slots=True)
class Cancel(Command):
    """Give up the prediction `request`; the tiles that are done stay."""

    request: int


@dataclass(frozen=True, slots=True)
class Compare(Command):
    """Score the label image `prediction` (1 = background) against `truth`, two shared arrays of one shape.

    `meaning` says what the values of the truth are; see `session.comparing`. The last `ndim` axes are spatial.
    """

    request: int
    prediction: ArrayRef
    truth: ArrayRef
    meaning: Meaning
    classes: tuple[str, ...] = ()
    ndim: int = 2


@dataclass(frozen=True, slots=True)
class Review(Command):
    """Base of what is asked about image `key` and the model as it is; a newer one of the same kind replaces it."""

    request: int
    key: str


@dataclass(frozen=True, slots=True)
class Advise(Review):
    """Where would a stroke teach most? Answered by `Advised`.

    A large image is looked at in a bounded sample, another one for each `request`, and at `near`, a pixel of its label
    image. Pixels of `seen` count as painted. `painted` pixels of each class say how rare it is.
    """

    near: tuple[int, ...]
    painted: tuple[int, ...]
    seen: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class MeasureObjects(Review):
    """Number the objects in `found` into `target` (uint32), and measure them; answered by `ObjectsMeasured`.

    Both have the label shape of the image. `found` holds objects where `numbered`, else classes (1 = background), of
    which each connected piece of a plane (a volume in 3D) is an object.
    """

    found: ArrayRef
    target: ArrayRef
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class CheckStrokes(Review):
    """Which strokes does the model not fit? Answered by `StrokesChecked`."""


@dataclass(frozen=True, slots=True)
class Shutdown(Command):
    """End the session after the commands sent before."""
