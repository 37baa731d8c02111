"""The key that leads to where a stroke teaches most."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from napari_unet._napari.jumping import jump
from napari_unet._napari.keys import Keys
from napari_unet._napari.parts import Parts
from napari_unet._napari.view import slice_point
from napari_unet.config import ModelConfig
from napari_unet.errors import AnnotationError
from napari_unet.events import Place
from napari_unet.session.commands import Advise
from napari_unet.session.messages import Advised

NEXT_KEY = "N"
#: Places that are not gone to again so soon.
MEMORY = 64


class Advice:
    """Goes from place to place, the best first, with the brush in the user's hand.

    Parameters
    ----------
    parts : Parts
    """

    def __init__(self, parts: Parts) -> None:
        self._parts, self._link, self._strokes, self._board = parts, parts.link, parts.strokes, parts.board
        self._keys = Keys()
        self._bound: Any = None
        self._places: list[Place] = []
        self._seen: deque[tuple[int, ...]] = deque(maxlen=MEMORY)
        self._image: Any = None
        self._step = 0

    def bind(self, action: Callable[[], object]) -> None:
        """Let the key do `action`, on the canvas and on the strokes."""
        self._keys.bind(self._link.viewer, {NEXT_KEY: action})

        def on_roles() -> None:
            if self._bound is not self._link.strokes:
                self._bound = self._link.strokes
                if self._bound is not None:
                    self._keys.bind(self._bound, {NEXT_KEY: action})

        self._link.roles_changed.connect(on_roles)

    def next(self) -> None:
        """Go to the next place, or ask for places first.

        Raises
        ------
        NapariUnetError
            When there is no model to ask, or nothing to paint on.
        """
        model = self._parts.need_model()
        if self._link.strokes is None:
            raise AnnotationError("Press New strokes first: there is nothing to paint on.")
        if self._is_fresh() and self._go(model):
            return
        if Advise in self._parts.client.reviews:
            return
        self._strokes.teach()
        if self._image is not self._link.image:
            self._seen.clear()
        self._image, self._step = self._link.image, self._board.state.step
        near, painted = slice_point(self._link.viewer, self._link.image), self._strokes.painted(model)
        self._parts.client.review(Advise, self._strokes.share_image(), near, painted, tuple(self._seen))
        self._board.say("Looking for the place where a stroke teaches most.")

    def take(self, answer: Advised) -> None:
        """The places have come."""
        self._places = list(answer.places)
        model = self._parts.model.config
        if self._image is not self._link.image or self._link.strokes is None or model is None:
            return
        if not self._go(model):
            self._board.say("The model is sure wherever it looked. Look yourself, and paint where it is wrong.")

    def close(self) -> None:
        """Give the keys back."""
        self._keys.release()

    # ------------------------------------------------------------------ parts

    def _is_fresh(self) -> bool:
        """Whether the model is still about the one that was asked."""
        return self._image is self._link.image and self._board.state.step <= self._step * 1.2 + 10

    def _go(self, model: ModelConfig) -> bool:
        """Go to the best place that is not painted by now; whether there was one."""
        strokes = self._link.strokes
        while self._places:
            place = self._places.pop(0)
            if int(strokes.data[place.point]):
                continue
            self._seen.append(place.point)
            jump(self._link.viewer, strokes, place.point)
            single = model.task == "instances" and place.value > 1
            self._link.take_brush((self._strokes.free_values() or [place.value])[0] if single else place.value)
            self._board.say(words(place, model.classes))
            return True
        return False


def words(place: Place, classes: tuple[str, ...]) -> str:
    """Why the user is here, and what to do.

    Examples
    --------
    >>> words(Place((5, 5), 2, 1, 0.5, "unsure"), ("background", "cell"))
    'In the middle of the view the model is unsure: cell or background? Paint what it is. N goes on.'
    """
    first, second = (classes[min(value, len(classes)) - 1] for value in (place.value, place.second))
    why = {
        "unsure": f"the model is unsure: {first} or {second}?",
        "rare": f"there seems to be {first}, and little of it is painted.",
        "far": f"nothing is painted far and wide; it looks like {first}.",
    }[place.reason]
    return f"In the middle of the view {why} Paint what it is. {NEXT_KEY} goes on."
