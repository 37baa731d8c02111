"""How good the prediction is, and where it is to be corrected."""

from __future__ import annotations

from typing import Any

from psygnal import Signal

from napari_unet._napari.advice import Advice
from napari_unet._napari.axes import label_shape, pixels
from napari_unet._napari.board import Board
from napari_unet._napari.checks import Checks
from napari_unet._napari.client import SessionClient
from napari_unet._napari.model_in_use import ModelInUse
from napari_unet._napari.objects import Objects
from napari_unet._napari.strokes import Strokes
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import ModelConfig
from napari_unet.errors import AnnotationError
from napari_unet.session.arrays import SharedArray, share
from napari_unet.session.commands import Meaning
from napari_unet.session.messages import Advised, Compared, Looking, ObjectsMeasured, Reviewed, StrokesChecked


class Reviewing:
    """At most one question of each kind at a time.

    Parameters
    ----------
    link : ViewerLink
    client : SessionClient
    strokes : Strokes
    model : ModelInUse
    board : Board

    Attributes
    ----------
    advice : Advice
        Leads to where a stroke teaches most.
    objects : Objects
        What was found, to be accepted or corrected.
    checks : Checks
        Strokes that the model does not fit.
    """

    scored = Signal(dict)  #: scores came, as `napari_unet.score` names them

    def __init__(
        self, link: ViewerLink, client: SessionClient, strokes: Strokes, model: ModelInUse, board: Board
    ) -> None:
        self._link, self._client = link, client
        self.advice = Advice(link, client, strokes, model, board)
        self.objects = Objects(link, client, strokes, model, board)
        self.checks = Checks(link, client, strokes, model, board)
        self._shared: list[Any] = []

    def compare(self, truth: Any, meaning: Meaning, model: ModelConfig) -> None:
        """Score the prediction layer against the labels layer `truth`.

        Raises
        ------
        NapariUnetError
            When there is nothing to compare, or no memory left to share it.
        """
        prediction = self._link.prediction
        if prediction is None:
            raise AnnotationError("There is no prediction to compare yet: press Segment image first.")
        if truth is None:
            raise AnnotationError("Choose a labels layer that holds the truth.")
        if tuple(pixels(truth).shape) != label_shape(self._link.image):
            raise AnnotationError(f"'{truth.name}' has another shape than the image: choose a truth for this image.")
        self.drop()
        self._shared = [_copy(prediction.data), share(pixels(truth))]
        self._client.compare(self._shared[0].ref, self._shared[1].ref, meaning, model)

    def take(self, answer: Compared) -> None:
        """The scores have come."""
        self.drop()
        self.scored.emit(answer.scores)

    def take_review(self, answer: Reviewed | Looking) -> None:
        """A part of an answer has come, or all of it."""
        if isinstance(answer, Advised):
            self.advice.take(answer)
        elif isinstance(answer, ObjectsMeasured):
            self.objects.take(answer)
        elif isinstance(answer, StrokesChecked):
            self.checks.take(answer)
        elif isinstance(answer, Looking):
            self.objects.note(answer)

    def failed(self) -> None:
        """What was asked is not answered."""
        self.objects.failed()

    def close(self) -> None:
        """Let go of the viewer and of all memory."""
        self.drop()
        self.advice.close()
        self.objects.close()

    def drop(self) -> None:
        """Give the shared memory back; nothing more will come."""
        for shared in self._shared:
            shared.close()
        self._shared = []


def _copy(data: Any) -> SharedArray:
    """Pixels that change while they are compared are compared as they are now."""
    shared = SharedArray(tuple(data.shape), data.dtype)
    shared.array[...] = data
    return shared
