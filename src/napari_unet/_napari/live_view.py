"""When the field of view is predicted again, and which part of it first."""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds the view must rest after a move, and between two predictions while the network learns.
REST, PAUSE = 0.12, 0.7
#: Part of the pixels that must change for a prediction to be news, and the longest pause when it is none, seconds.
NEWS, LONGEST = 0.002, 4.0


@dataclass(slots=True)
class LiveView:
    """A clockwork: it is told what happens and says when to ask.

    While the network learns, a view is asked for again when the last answer has come, the network has changed, and
    at least twice the time of the last answer has passed, so that learning gets most of the machine; when little
    changed, the pause grows. A stroke ends the pause: its surroundings are asked for at once, to be predicted as soon
    as the network has learnt from it, so that no step is lost on the way; then the view.
    """

    _moved: float | None = None
    _learnt: bool = False
    _asked: float | None = None
    _part: bool = False
    _answered: float = float("-inf")
    _took: float = 0.0
    _pause: float = PAUSE
    _step: int = 0
    _hurry: int | None = None
    _learning: bool = False
    _waits: bool = False
    _changed: int = 0
    _seen: int = 0

    def moved(self, now: float) -> None:
        """The user looks at another place."""
        self._moved = now

    def learnt(self, step: int | None = None) -> None:
        """The network has changed; it has done `step` steps."""
        self._learnt = True
        self._step = self._step if step is None else step

    def painted(self, step: int, *, learning: bool) -> None:
        """There is a stroke that the network has learnt from when it has done `step` steps; it is `learning` or not."""
        self._hurry, self._learning = step, learning

    def showed(self, changed: int, pixels: int) -> None:
        """Of so many pixels of an answer, `changed` are of another class now."""
        self._changed += changed
        self._seen += pixels

    def answered(self, now: float) -> None:
        """The prediction came, or never will."""
        if self._part:
            self._moved = float("-inf")  # now the rest of the view
        elif self._asked is not None:
            self._took = self._took if self._waits else now - self._asked
            news = self._changed >= NEWS * self._seen
            self._pause = PAUSE if news else min(2 * self._pause, LONGEST)
        self._asked, self._part, self._answered = None, False, now
        self._changed = self._seen = 0

    @property
    def hurried(self) -> bool:
        """Whether a stroke has just been made or learnt, and its surroundings come first."""
        return self._hurry is not None and (self._learning or self._step >= self._hurry)

    @property
    def steps_to_wait(self) -> int:
        """Steps from now to the one that has learnt from the newest stroke, if its surroundings come next."""
        return max(self._hurry - self._step, 0) if self._hurry is not None and self.hurried else 0

    def due(self, now: float) -> bool:
        """Whether to ask now."""
        if self.hurried:
            return True
        if self._moved is not None:
            return now - self._moved >= REST
        rested = now - self._answered >= max(self._pause, 2 * self._took)
        return self._learnt and self._asked is None and rested

    def asked(self, now: float, *, part: bool = False) -> None:
        """A prediction was asked for: of the view, or of a part of it, the view to follow."""
        self._waits = self.steps_to_wait > 0
        if self.hurried:
            self._hurry, self._pause = None, PAUSE
        self._moved, self._learnt, self._asked, self._part = None, False, now, part
        self._changed = self._seen = 0
