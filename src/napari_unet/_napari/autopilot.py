"""When training starts and rests by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Seconds without a stroke after which a training that began by itself rests, and seconds without anything to do
#: after which the rest of the image is segmented.
REST_SECONDS, IDLE_SECONDS = 300.0, 8.0
#: Seconds in which a click on the button that has just changed from Train to Stop still means Train.
CLICK_SECONDS = 1.0


@dataclass(slots=True)
class Autopilot:
    """A clockwork: it is told what happens and says when to start, to rest, to segment.

    A stroke wants training. The wish is fulfilled once, when there is enough to learn from and nothing is under way:
    what the user stopped, what failed, and what used up its budget begins again with the next stroke only.

    Attributes
    ----------
    on : bool
        The user's switch.
    started : bool
        Whether the training under way began by itself.
    """

    on: bool = True
    started: bool = False
    _wanted: bool = False
    _took_off: float = float("-inf")
    _touched: float = float("-inf")
    _segmented: tuple[object, int] = (None, 0)

    def stroke(self, now: float, *, learning: bool) -> None:
        """The user painted, erased or undid; what is `learning` already learns from it."""
        self._wanted = not learning
        self._touched = now

    def touched(self, now: float) -> None:
        """The user did something that is no stroke."""
        self._touched = max(self._touched, now)

    def ended(self) -> None:
        """Training has ended."""
        self.started = False

    def stopped(self) -> None:
        """The user does not want training now."""
        self._wanted = self.started = False

    def takes_off(self, now: float, painted: Sequence[int]) -> bool:
        """Whether to start training now, nothing being under way; asked for once it is true, it is done."""
        enough = bool(painted) and painted[0] > 0 and any(painted[1:])
        if not (self.on and self._wanted and enough):
            return False
        self._wanted, self.started, self._took_off = False, True, now
        return True

    def has_just_started(self, now: float) -> bool:
        """Whether training began by itself so lately that a click on the same button was meant to start it."""
        return self.started and now - self._took_off < CLICK_SECONDS

    def is_tired(self, now: float) -> bool:
        """Whether a training that began by itself should rest."""
        return self.started and now - self._touched >= REST_SECONDS

    def segments(self, now: float, image: object, step: int) -> bool:
        """Whether to segment the rest of `image` with the model of `step` steps, nothing being under way."""
        key = (image, step)
        if not self.on or not step or key == self._segmented or now - self._touched < IDLE_SECONDS:
            return False
        self._segmented = key
        return True
