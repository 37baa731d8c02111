"""What the command line writes: results to stdout, progress to stderr."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from napari_unet.events import (
    CheckpointSaved,
    Event,
    Finished,
    Score,
    Started,
    Step,
    TileDone,
    Validated,
    VolumeDone,
    VolumeProgress,
    Warned,
    WentBack,
)

REFRESH_SECONDS = 0.2
QUIET_SECONDS = 10.0


def say(text: str) -> None:
    """Write one line of the result."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Progress:
    """Shows events on one line of a terminal, or now and then in a log."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._shown = 0.0
        self._open = False

    def show(self, event: Event) -> None:
        """Tell the user what `event` means."""
        if isinstance(event, Started):
            pixels = ", ".join(f"{name}: {count}" for name, count in event.annotated.items())
            self.line(f"Training {event.parameters:,} weights on {event.device}; annotated pixels: {pixels}")
        elif isinstance(event, Warned):
            self.line(f"Note: {event.message}")
        elif isinstance(event, Step):
            self._update(f"step {event.step}  loss {event.loss:.3f}  {event.seconds:.0f} s", last=event.progress == 1)
        elif isinstance(event, TileDone):
            self._update(f"tile {event.done} of {event.total}", last=event.done == event.total)
        elif isinstance(event, Validated):
            self.line(_validated(event))
        elif isinstance(event, WentBack):
            self.line(f"Back from step {event.before} to step {event.step}, the best one.")
        elif isinstance(event, CheckpointSaved):
            self._update(f"step {event.step} is safe in {event.path}", last=False)
        elif isinstance(event, VolumeProgress):
            self._update(_volume_line(event), last=event.done == event.total)
        elif isinstance(event, VolumeDone) and event.objects is not None:
            self.line(f"{event.objects:,} objects")
        elif isinstance(event, Finished):
            self.line(f"Training ended after {event.step} steps and {event.seconds:.0f} s ({event.reason}).")

    def line(self, text: str) -> None:
        """Write a whole line."""
        sys.stderr.write(("\n" if self._open else "") + text + "\n")
        sys.stderr.flush()
        self._open = False

    def status(self, text: str) -> None:
        """Write a line that the next one may take the place of."""
        self._update(text, last=False)

    def _update(self, text: str, *, last: bool) -> None:
        now = time.monotonic()
        if not last and now - self._shown < (REFRESH_SECONDS if self._live else QUIET_SECONDS):
            return
        self._shown = now
        if self._live:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self._open = True
        else:
            self.line(text)


def _validated(event: Validated) -> str:
    """One line about held-out strokes."""
    if event.score is None:
        return f"Note: {event.reason}"
    parts = [f"IoU {_interval(event.score)}", *(f"{name} {_interval(score)}" for name, score in event.classes.items())]
    return f"Held-out strokes in {event.areas} areas, step {event.step}: {', '.join(parts)}"


def _interval(score: Score) -> str:
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def _volume_line(event: VolumeProgress) -> str:
    """How far a large image is, and how long the rest takes."""
    left = "" if event.remaining is None else f", {_duration(event.remaining)} left"
    return f"{event.stage}: part {event.done} of {event.total}, {100 * event.fraction:.1f} %{left}"


def _duration(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks the work to stop and keep its result, a second one ends the program."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
