"""Keeps the field of view predicted."""

from __future__ import annotations

from napari_unet._napari.axes import channels
from napari_unet._napari.live_view import LiveView
from napari_unet._napari.parts import Parts
from napari_unet._napari.view import View, part_around


class Looking:
    """Asks for what the user sees when it is time.

    Parameters
    ----------
    parts : Parts
    live : LiveView

    Attributes
    ----------
    wanted : bool
        False after the user deleted the prediction, until there is a wish for one again.
    """

    def __init__(self, parts: Parts, live: LiveView) -> None:
        self._parts, self._link, self._strokes, self._live = parts, parts.link, parts.strokes, live
        self.wanted = True

    def look(self, now: float) -> None:
        """Ask for the field of view when it is time.

        Raises
        ------
        NapariUnetError
            When the image cannot be segmented, or there is no memory left to share it.
        """
        model, image = self._parts.model.config, self._link.image
        if model is None or not self._parts.board.state.predicts or image is None or not self._live.due(now):
            return
        hidden = self._link.prediction is None and not self.wanted
        view = None if hidden or model.in_channels != channels(image) else self._link.view(model.ndim)
        part, after = self._newest(view, model.ndim), self._live.steps_to_wait
        self._live.asked(now, part=part is not None)
        if view is None:
            self._live.answered(now)
            return
        self._link.display.make(model)
        soft = self._link.display.mode == "soft"
        self._parts.client.predict_view(self._strokes.share_image(), part or view, soft=soft, after=after)

    def _newest(self, view: View | None, ndim: int) -> View | None:
        """The surroundings of the newest stroke, when they are to come first."""
        if view is None or not self._live.hurried or self._strokes.newest is None:
            return None
        return part_around(view, self._strokes.newest, ndim)
