"""How good the prediction is, and where it is to be corrected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psygnal import Signal

from napari_unet._napari.advice import Advice
from napari_unet._napari.axes import label_shape, pixels
from napari_unet._napari.checks import Checks
from napari_unet._napari.in_words import in_words
from napari_unet._napari.objects import Objects
from napari_unet._napari.parts import Parts
from napari_unet.errors import AnnotationError
from napari_unet.session.arrays import SharedArray, share
from napari_unet.session.commands import Meaning
from napari_unet.session.messages import Advised, Compared, Looking, ObjectsMeasured, Reviewed, StrokesChecked
from napari_unet.session.projects import Settings


class Reviewing:
    """At most one question of each kind at a time.

    Parameters
    ----------
    parts : Parts
    settings : callable
        Gives what the forms say.
    take_strokes : callable
        Tells the session what was painted just now.

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

    def __init__(self, parts: Parts, settings: Callable[[], Settings], take_strokes: Callable[[], object]) -> None:
        self._parts, self._link, self.board = parts, parts.link, parts.board
        self.advice, self.objects, self.checks = Advice(parts), Objects(parts, settings), Checks(parts)
        self._take_strokes = take_strokes
        self._shared: list[Any] = []

    @in_words
    def attempt(self, wish: Callable[[], object]) -> None:
        """Do what is wished of the parts, with the newest stroke, or say in one sentence why not."""
        self._parts.need_image()
        self._parts.need_session()
        self._take_strokes()
        wish()

    @in_words
    def compare(self, truth: Any, meaning: Meaning) -> None:
        """Score the prediction layer against a labels layer; `scored` tells the result.

        Parameters
        ----------
        truth : Labels
            Of the image's shape.
        meaning : {"objects", "classes", "strokes"}
            What its values are; the first two have 0 as background, in strokes 0 is not known.
        """
        self._parts.need_image()
        self._parts.need_session()
        prediction = self._link.prediction
        if prediction is None:
            raise AnnotationError(
                "There is no prediction to compare yet: segment the image first, on the page Segment."
            )
        if truth is None:
            raise AnnotationError("Choose a labels layer that holds the truth.")
        if tuple(pixels(truth).shape) != label_shape(self._link.image):
            raise AnnotationError(f"'{truth.name}' has another shape than the image: choose a truth for this image.")
        self.drop()
        self._shared = [_copy(prediction.data), share(pixels(truth))]
        self._parts.client.compare(self._shared[0].ref, self._shared[1].ref, meaning, self._parts.trained())
        self.board.say("Comparing the prediction with the truth.")

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
