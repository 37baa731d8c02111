"""What is done without being asked: learning begins and rests, the rest of the image is segmented."""

from __future__ import annotations

from collections.abc import Callable

from napari_unet._napari.autopilot import Autopilot
from napari_unet._napari.guidance import Phase
from napari_unet._napari.in_words import in_words
from napari_unet._napari.parts import Parts
from napari_unet._napari.segmentation import Segmentation


class Pilot:
    """Does what the autopilot wants.

    Parameters
    ----------
    parts : Parts
    autopilot : Autopilot
    segmentation : Segmentation
    train, stop : callable
        Begin and end a training.
    """

    def __init__(
        self,
        parts: Parts,
        autopilot: Autopilot,
        segmentation: Segmentation,
        train: Callable[[], None],
        stop: Callable[[], None],
    ) -> None:
        self._parts, self._autopilot, self._segmentation = parts, autopilot, segmentation
        self._train, self._stop = train, stop
        self.board = parts.board

    @in_words
    def fly(self, now: float) -> None:
        """Begin or end what is to begin or end by itself."""
        state = self.board.state
        if self._autopilot.is_tired(now) and state.phase is Phase.TRAINING:
            self._stop()
            self.board.say("Learning rests: there was no new stroke for some minutes.")
        if state.phase is not Phase.IDLE or state.paused or self._parts.client.dead:
            return
        if self._autopilot.takes_off(now, state.painted):
            self._train()
        elif self._segmentation.can_start_quietly() and self._autopilot.segments(
            now, self._parts.link.image, state.step
        ):
            self._segmentation.start_quietly()
