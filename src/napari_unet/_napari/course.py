"""How training goes, as the session tells it: what the curve and the time line show. No widgets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

from psygnal import Signal

from napari_unet.events import Corrected, Event, KeptState, Score, StatesChanged, Step, Validated, WentBack
from napari_unet.session.messages import ModelChanged

#: Points of the loss that are kept; of a longer training every second, every fourth, and so on.
MOST_POINTS = 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """A state that can be gone back to, and when it was reached, seconds since the epoch."""

    state: KeptState
    time: float

    def in_words(self) -> str:
        """For example ``"step 150 · 14:02 · score 0.82 (0.75 to 0.88) · best"``."""
        state = self.state
        parts = [f"step {state.step:,}", time.strftime("%H:%M", time.localtime(self.time))]
        if state.score is not None:
            parts.append(f"score {state.score.value:.2f} ({state.score.low:.2f} to {state.score.high:.2f})")
        elif isfinite(state.loss):
            parts.append(f"loss {state.loss:.2f}")
        return " · ".join([*parts, *(["best"] if state.best else [])])


class Course:
    """Takes events, and keeps what is worth drawing; forgets detail, never the whole.

    Parameters
    ----------
    clock : callable
        Seconds since the epoch.

    Attributes
    ----------
    losses : list of (float, float)
        Step and smoothed training loss.
    scores : list of (int, Score)
        Step and score on held-out strokes.
    corrections : list of (int, float)
        Step and the part of a correction that was predicted right before it was learnt.
    recent : Score or None
        Mean of the last corrections.
    reason : str
        Why there is no score; "" when there is one, or nothing was tried yet.
    marks : tuple of Mark
        States that can be gone back to, the oldest first.
    step : int
        Age of the network.
    """

    changed = Signal()

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget everything: another model is in use."""
        self.losses: list[tuple[float, float]] = []
        self.scores: list[tuple[int, Score]] = []
        self.corrections: list[tuple[int, float]] = []
        self.recent: Score | None = None
        self.reason = ""
        self.marks: tuple[Mark, ...] = ()
        self.step = 0
        self._before: int | None = None
        self._smooth: float | None = None
        self._every = 1
        self.changed.emit()

    @property
    def undo(self) -> int | None:
        """The step that the network had before it was taken back, while that can be undone."""
        return self._before if self._before in [mark.state.step for mark in self.marks] else None

    def take(self, event: Event) -> None:
        """Take note of `event` if it is about training."""
        match event:
            case Step():
                self._on_step(event)
            case Validated():
                self._on_validated(event)
            case Corrected():
                self.corrections.append((event.step, event.right))
                self.recent = event.recent
            case StatesChanged():
                self._on_states(event.states)
            case WentBack():
                self.step, self._before, self._smooth = event.step, event.before, None
            case ModelChanged() if event.path or not event.step:
                self.clear()
                self.step = event.step
            case _:
                return
        self.changed.emit()

    def _on_step(self, event: Step) -> None:
        self._before = None
        if self.losses and event.step <= self.losses[-1][0]:
            self._cut(event.step)
        self.step = event.step
        if not isfinite(event.loss):
            return
        self._smooth = event.loss if self._smooth is None else 0.9 * self._smooth + 0.1 * event.loss
        if event.step % self._every == 0 or not self.losses:
            self.losses.append((float(event.step), self._smooth))
        if len(self.losses) > MOST_POINTS:
            self.losses, self._every = self.losses[::2], self._every * 2

    def _on_validated(self, event: Validated) -> None:
        self.reason = event.reason
        if event.score is not None:
            self.scores.append((event.step, event.score))

    def _on_states(self, states: tuple[KeptState, ...]) -> None:
        known = {(mark.state.step, _comparable(mark.state.loss)): mark.time for mark in self.marks}
        now = self._clock()
        self.marks = tuple(Mark(s, known.get((s.step, _comparable(s.loss)), now)) for s in states)

    def _cut(self, step: int) -> None:
        """The network was taken back and learns again: what was after `step` is another story."""
        self.losses = [point for point in self.losses if point[0] < step]
        self.scores = [point for point in self.scores if point[0] < step]
        self.corrections = [point for point in self.corrections if point[0] < step]
        if not self.losses:
            self._smooth, self._every = None, 1


def _comparable(loss: float) -> float:
    """The loss, or -1 where it is not a number."""
    return loss if isfinite(loss) else -1.0


def in_words(course: Course) -> tuple[str, str, str]:
    """Loss, held-out score and corrections, each as one plain sentence; "" where there is nothing to say.

    Examples
    --------
    >>> course = Course()
    >>> course.take(Step(step=7, loss=0.5, learning_rate=1e-3, seconds=1.0))
    >>> in_words(course)[0]
    'Loss 0.500 after 7 steps.'
    """
    return _loss(course), _score(course), _corrections(course)


def _loss(course: Course) -> str:
    if not course.losses:
        return ""
    step, loss = course.losses[-1]
    return f"Loss {loss:.3f} after {step:,.0f} step{'s' * (step != 1)}."


def _score(course: Course) -> str:
    if course.reason:
        return f"No score yet: {course.reason}."
    if not course.scores:
        return ""
    score = course.scores[-1][1]
    return f"Score {score.value:.2f} on strokes it never learnt from (most likely {score.low:.2f} to {score.high:.2f})."


def _corrections(course: Course) -> str:
    if not course.corrections:
        return ""
    right = course.corrections[-1][1]
    words = f"Of your last correction it knew {right:.0%} before it learnt it"
    if course.recent is not None:
        words += f", of the last few {course.recent.value:.0%} ({course.recent.low:.0%} to {course.recent.high:.0%})"
    return words + "."
