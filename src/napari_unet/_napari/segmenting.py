"""The segmentation under way: images or parts of them into layers, or files into files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_unet._napari import prediction_layer
from napari_unet._napari.axes import label_shape
from napari_unet._napari.client import SessionClient
from napari_unet._napari.targets import Target
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import ModelConfig, PredictConfig
from napari_unet.errors import NapariUnetError
from napari_unet.session.arrays import SharedArray
from napari_unet.session.commands import Box
from napari_unet.session.folders import Item
from napari_unet.session.messages import FileDone, FilePart, Tile
from napari_unet.session.results import form_of_result
from napari_unet.standard import standard_model

#: Parts that the progress of one of several images is told in.
FINE = 1000
#: What to say when it is done.
_DONE = {
    "probabilities": "The probabilities of the {} are there, a layer for each class.",
    "uncertainty": "The Uncertainty layer shows where the model is not sure in the {}.",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes
    ----------
    done, total : int
        Tiles, or thousandths of images where there are several.
    seconds : float or None
        What is left, once it can be told.
    name : str
        Of several images the one that is worked on.
    """

    done: int
    total: int
    seconds: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """An image layer, or a part of it.

    Attributes
    ----------
    image : Image
    key : str
        What the session calls it.
    leads : tuple or None
        Positions along the axes before the spatial ones; None for all.
    box : Box or None
        Part of the spatial axes; None for all.
    """

    image: Any
    key: str
    leads: tuple[tuple[int, ...], ...] | None = None
    box: Box | None = None

    @property
    def index(self) -> prediction_layer.Index:
        """Where it lies in the label image; only of one position."""
        lead = self.leads[0] if self.leads else ()
        return (*lead, *(slice(*edge) for edge in self.box or ()))

    @property
    def whole(self) -> bool:
        """Whether it is all of the image."""
        return self.leads is None and self.box is None


class Segmenting:
    """At most one segmentation at a time, of one or more images.

    Parameters
    ----------
    link : ViewerLink
    client : SessionClient
    clock : callable
        Seconds that only grow.

    Attributes
    ----------
    progress : Progress or None
    complete : int
        Steps of the model that the image in use was last segmented with as a whole; 0 when it was not.
    """

    finished = Signal(object, Piece, PredictConfig, int)  #: layer, what it shows, settings, and steps of the model
    file_done = Signal(FileDone)  #: an image of a folder is done, or cannot be

    def __init__(self, link: ViewerLink, client: SessionClient, clock: Callable[[], float]) -> None:
        self._link, self._client, self._clock = link, client, clock
        self._waiting: deque[Piece] = deque()
        self._piece: Piece | None = None
        self._target: SharedArray | None = None
        self._into: Target | None = None
        self._config, self._model = PredictConfig(), standard_model()
        self._began = 0.0
        self._count = self._number = 0
        self._problems: list[str] = []
        self._quiet = False
        self.progress: Progress | None = None
        self.complete = 0

    # ------------------------------------------------------------------ begin

    def start(self, pieces: Sequence[Piece], config: PredictConfig, model: ModelConfig, *, quiet: bool = False) -> None:
        """Fill the result layers of images, one after the other; `quiet` when nobody asked for it."""
        self._begin(len(pieces), config)
        self._waiting, self._model, self._quiet = deque(pieces), model, quiet
        self._next()

    def start_files(self, items: Sequence[Item], config: PredictConfig, *, overwrite: bool) -> None:
        """Segment image files into files."""
        self._begin(len(items), config)
        self._client.predict_files(items, config, overwrite=overwrite)

    def _begin(self, count: int, config: PredictConfig) -> None:
        self.cancel()
        self._quiet, self._config, self._count, self._number = False, config, count, 0
        self._problems = []
        self._began = self._clock()
        self.progress = Progress(0, 0)

    def _next(self) -> None:
        """Begin with the next image; the error of the last one is the caller's."""
        piece = self._waiting.popleft()
        try:
            self._into = self._link.display.target(piece.image, self._model, self._config)
            self._target = SharedArray(*form_of_result(self._model, self._config, label_shape(piece.image)))
        except NapariUnetError:
            self.progress = None
            raise
        self._piece = piece
        self._into.begin(None if piece.whole else piece.index)
        self._client.predict_image(piece.key, self._target.ref, self._config, piece.leads, piece.box)

    # ------------------------------------------------------------------ what comes

    def take(self, tile: Tile) -> None:
        """Show a finished tile."""
        if self._target is None or self._piece is None or self._into is None:
            return
        self._into.write(tile.index, self._target.array[(..., *tile.index)])
        if self._count == 1:
            self._tell(tile.done, tile.total)
        else:
            self._tell_part(self._number, tile.done / tile.total, self._piece.image.name)

    def take_file(self, event: FilePart | FileDone) -> None:
        """A part of a file is done, or all of it."""
        if isinstance(event, FilePart):
            self._tell_part(event.done, event.part, Path(event.source).name)
            return
        if event.problem:
            self._problems.append(f"{Path(event.source).name}: {event.problem}")
        self._tell_part(event.done, 0.0, Path(event.source).name)
        self.file_done.emit(event)

    def finish(self, step: int) -> str:
        """All of an image has come, predicted by a model of `step` steps; what to say, "" while there is more."""
        piece, into = self._piece, self._into
        if piece is not None and into is not None:
            for layer in into.layers:
                self.finished.emit(layer, piece, self._config, step)
        return self._go_on(step)

    def fail(self, message: str) -> str:
        """An image cannot be segmented; what to say, "" while there is more."""
        self._problems.append(message)
        return self._go_on(0)

    def _go_on(self, step: int) -> str:
        piece, self._piece = self._piece, None
        self._number += 1
        self.close()
        while self._waiting:
            try:
                self._next()
            except NapariUnetError as error:
                self._problems.append(str(error))
                self._number += 1
            else:
                return ""
        words = self._summary(piece)
        self.drop()
        is_all = piece is not None and piece.whole and piece.image is self._link.image
        self.complete = step if is_all and self._config.output in ("labels", "instances") else 0
        self._link.display.refresh()
        return words

    def _summary(self, piece: Piece | None) -> str:
        """How it went."""
        good = self._count - len(self._problems)
        if piece is not None and self._count == 1:
            part = "whole image" if piece.whole else "view" if piece.box else "slice"
            return _DONE.get(self._config.output, "The {} is segmented.").format(part)
        bad = f" {len(self._problems)} could not be, the first is {self._problems[0]}." if self._problems else ""
        return f"{good} of {self._count} images are segmented.{bad}"

    # ------------------------------------------------------------------ end

    def give_way(self) -> None:
        """There is something better to do than what nobody asked for."""
        if self.progress is not None and self._quiet:
            self.cancel()

    def leave(self, image: Any) -> None:
        """The image is no longer looked at: what nobody asked for ends, the rest goes on."""
        if self._quiet or (self._piece is not None and self._count == 1 and self._piece.image is image):
            self.cancel()

    def cancel(self) -> None:
        """Give up; finished tiles and files stay."""
        self._client.cancel_image()
        self.drop()

    def drop(self) -> None:
        """Nothing more will come."""
        self.progress = None
        self.complete = 0
        self._into = self._piece = None
        self._waiting.clear()
        self.close()

    def close(self) -> None:
        """Give the shared memory back."""
        if self._target is not None:
            self._target.close()
            self._target = None

    # ------------------------------------------------------------------ parts

    def _tell_part(self, done: int, part: float, name: str) -> None:
        self._tell(int(FINE * (done + part)), FINE * self._count, name)

    def _tell(self, done: int, total: int, name: str = "") -> None:
        spent = self._clock() - self._began
        self.progress = Progress(done, total, spent / done * (total - done) if done else None, name)
