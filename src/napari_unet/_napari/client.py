"""A session as the dock sees it: numbered requests, and no answer to a question that is no longer asked."""

from __future__ import annotations

from itertools import count
from typing import Any, Protocol

from napari_unet._napari.view import View
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.events import Event
from napari_unet.session.arrays import ArrayRef
from napari_unet.session.commands import Cancel, Command, Compare, Meaning, PredictImage, PredictView, Preview, Review
from napari_unet.session.messages import (
    Compared,
    Failed,
    Looking,
    PredictionDone,
    Previewed,
    Reviewed,
    Tile,
    WorkerDied,
)

#: What tells which request it answers.
_ANSWERS = Tile | PredictionDone | Compared | Previewed | Failed | Looking | Reviewed


class Session(Protocol):
    """What trains and predicts: in this process or in another."""

    def send(self, command: Command) -> None: ...
    def poll(self) -> list[Event]: ...
    def close(self) -> None: ...


class SessionClient:
    """Sends commands and hands on what is still wanted.

    Attributes
    ----------
    view, image, scores, patches : int or None
        Numbers of the requests under way: the field of view, a whole image, a comparison, augmented patches.
    reviews : dict
        The same for each kind of review.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._numbers = count(1)
        self.view: int | None = None
        self.image: int | None = None
        self.scores: int | None = None
        self.patches: int | None = None
        self.reviews: dict[type[Review], int] = {}

    def send(self, command: Command) -> None:
        """Ask the session to do something."""
        self._session.send(command)

    def predict_view(self, key: str, view: View, *, soft: bool, after: int = 0) -> None:
        """Ask for a field of view, with certainties if `soft`, `after` so many steps; it replaces the one before."""
        self.view = next(self._numbers)
        self.send(PredictView(self.view, key, view.lead, view.box, soft=soft, after=after))

    def predict_image(self, key: str, target: ArrayRef, config: PredictConfig) -> None:
        """Ask for a whole image, written into `target`."""
        self.image = next(self._numbers)
        self.send(PredictImage(self.image, key, target, config))

    def compare(self, prediction: ArrayRef, truth: ArrayRef, meaning: Meaning, model: ModelConfig) -> None:
        """Ask for scores of a prediction; they take the place of those asked for before."""
        self.scores = next(self._numbers)
        self.send(Compare(self.scores, prediction, truth, meaning, model.classes, model.ndim))

    def preview(self, config: TrainConfig, seed: int) -> None:
        """Ask for augmented patches; they take the place of those asked for before."""
        self.patches = next(self._numbers)
        self.send(Preview(self.patches, config, seed=seed))

    def review(self, kind: type[Review], key: str, *parts: Any) -> None:
        """Ask for a review of image `key`; it takes the place of the one of its kind asked for before."""
        self.reviews[kind] = next(self._numbers)
        self.send(kind(self.reviews[kind], key, *parts))

    def cancel_image(self) -> None:
        """Give up the whole image; nothing more is heard of it."""
        if self.image is not None:
            self.send(Cancel(self.image))
            self.image = None

    def poll(self) -> list[tuple[Event, str]]:
        """What happened since, each with what it answers: "view", "image", "scores", "patches", "review", or ""."""
        return [(event, purpose) for event in self._session.poll() if (purpose := self._purpose(event)) is not None]

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _purpose(self, event: Event) -> str | None:
        """What `event` answers; None when nobody waits for it. Closes requests that are answered."""
        if isinstance(event, WorkerDied):
            self.view = self.image = self.scores = self.patches = None
            self.reviews.clear()
        if not isinstance(event, _ANSWERS) or event.request is None:
            return ""
        if event.request in self.reviews.values():
            if not isinstance(event, Looking):
                self.reviews = {kind: number for kind, number in self.reviews.items() if number != event.request}
            return "review"
        asked = {self.view: "view", self.image: "image", self.scores: "scores", self.patches: "patches"}
        purpose = asked.get(event.request)
        if purpose is not None and not isinstance(event, Tile):
            setattr(self, purpose, None)
        return purpose
