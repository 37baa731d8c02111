"""When the field of view is predicted again."""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds the view must rest after a move, and between two predictions while the network learns.
REST, PAUSE = 0.12, 0.7


@dataclass(slots=True)
class LiveView:
    """A clockwork: it is told what happens and says when to ask.

    While the network learns, a view is asked for again when the last answer has come, the network has changed, and
    at least twice the time of the last answer has passed, so that learning gets most of the machine.
    """

    _moved: float | None = None
    _learnt: bool = False
    _asked: float | None = None
    _answered: float = float("-inf")
    _took: float = 0.0

    def moved(self, now: float) -> None:
        """The user looks at another place."""
        self._moved = now

    def learnt(self) -> None:
        """The network has changed."""
        self._learnt = True

    def answered(self, now: float) -> None:
        """The prediction came, or never will."""
        if self._asked is not None:
            self._took = now - self._asked
        self._asked, self._answered = None, now

    def due(self, now: float) -> bool:
        """Whether to ask now."""
        if self._moved is not None:
            return now - self._moved >= REST
        rested = now - self._answered >= max(PAUSE, 2 * self._took)
        return self._learnt and self._asked is None and rested

    def asked(self, now: float) -> None:
        """A prediction was asked for."""
        self._moved, self._learnt, self._asked = None, False, now
