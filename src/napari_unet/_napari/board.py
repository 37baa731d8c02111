"""What the dock shows: one frozen state, and who is told when it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from psygnal import Signal

from napari_unet._napari.guidance import NAMES, Button, Phase, Situation, next_step
from napari_unet._napari.segmenting import Progress


@dataclass(frozen=True, slots=True)
class State:
    """Everything the dock shows.

    Attributes
    ----------
    phase : Phase
    ready : bool
        Whether the session has answered.
    device : str
        Where it computes.
    step : int
        Steps the model in use was trained.
    suggested : bool
        Whether a network that has learnt nothing here yet is shown all the same: the one that comes along.
    saved : int
        Steps it had when it was last written to a file, or read from one; 0 when it never was.
    live : bool
        Whether strokes start training by themselves.
    paused : bool
        Whether the user holds training until going on.
    painted : tuple of int
        Painted pixels per class.
    made : tuple of int
        Strokes per class that were made since the layer came into use.
    sources : tuple of (str, int)
        Images that are learnt from, and their annotated pixels.
    progress : Progress or None
        Of the segmentation under way.
    message : str
        The sentence to show.
    failed : bool
        Whether it says what went wrong.
    button : str
        The button it speaks of.
    """

    phase: Phase = Phase.IDLE
    ready: bool = False
    device: str = ""
    step: int = 0
    suggested: bool = False
    saved: int = 0
    live: bool = True
    paused: bool = False
    painted: tuple[int, ...] = (0, 0)
    made: tuple[int, ...] = ()
    sources: tuple[tuple[str, int], ...] = ()
    progress: Progress | None = None
    message: str = ""
    failed: bool = False
    button: Button = "none"

    @property
    def predicts(self) -> bool:
        """Whether there is a model worth predicting with."""
        return self.step > 0 or self.suggested


@dataclass(frozen=True, slots=True)
class Facts:
    """What the viewer has to say: layers in use, classes, painted pixels, the segmentation."""

    image: bool
    strokes: bool
    classes: tuple[str, ...]
    painted: tuple[int, ...]
    made: tuple[int, ...]
    sources: tuple[tuple[str, int], ...]
    progress: Progress | None
    segmented: int


class Board:
    """Holds the state and finds the words for it.

    Parameters
    ----------
    facts : callable
        Gives the facts as they are now.
    """

    changed = Signal(State)
    complained = Signal(str)  #: something went wrong; one sentence

    def __init__(self, facts: Callable[[], Facts]) -> None:
        self.state = State()
        self._facts = facts
        self._news = ""
        self._failed = False
        self._names = dict(NAMES)

    def name(self, button: Button, text: str) -> None:
        """A button is called something else now; hints call it so too."""
        self._names[button] = text
        self.update()

    def set(self, **news: Any) -> None:
        """Change parts of the state; listeners hear of it if it is another one then."""
        state = replace(self.state, **news)
        if state != self.state:
            self.state = state
            self.changed.emit(state)

    def say(self, news: str = "") -> None:
        """Show `news`, then what to do next."""
        self._news, self._failed = news, False
        self.update()

    def complain(self, message: str) -> None:
        """Show what went wrong, until the user does something about it."""
        self._news, self._failed = _sentence(message), True
        self.update()
        self.complained.emit(self._news)

    def forgive(self) -> None:
        """The user did something about it."""
        if self._failed:
            self.say()

    def update(self) -> None:
        """Bring counts, progress and words up to date."""
        facts, now = self._facts(), self.state
        advice = next_step(
            Situation(
                image=facts.image,
                strokes=facts.strokes,
                ready=now.ready,
                segmenting=facts.progress is not None,
                segmented=facts.segmented == now.step > 0,
                classes=facts.classes,
                painted=facts.painted,
                phase=now.phase,
                step=now.step,
                suggested=now.suggested,
                live=now.live,
                paused=now.paused,
                saved=now.saved == now.step > 0,
            ),
            self._names,
        )
        message = self._news if self._failed else " ".join(filter(None, (self._news, advice.words)))
        self.set(
            painted=facts.painted,
            made=facts.made,
            sources=facts.sources,
            progress=facts.progress,
            message=message,
            failed=self._failed,
            button=advice.button,
        )


def _sentence(message: str) -> str:
    """With a capital letter and a full stop."""
    message = message.strip()
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")
