"""A session as the dock sees it: numbered requests, and no answer to a question that is no longer asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Protocol

from napari_unet._napari.view import View
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.events import Event
from napari_unet.session.arrays import ArrayRef
from napari_unet.session.commands import (
    Box,
    Cancel,
    Command,
    Compare,
    Meaning,
    PredictFiles,
    PredictImage,
    PredictView,
    Preview,
    PreviewObjects,
    Review,
)
from napari_unet.session.folders import Item
from napari_unet.session.messages import (
    Compared,
    Failed,
    FileDone,
    FilePart,
    Looking,
    PredictionDone,
    Previewed,
    Reviewed,
    Tile,
    WorkerDied,
)

#: What tells which request it answers.
_ANSWERS = Tile | PredictionDone | Compared | Previewed | Failed | Looking | Reviewed | FilePart | FileDone
#: What more comes after.
_PARTS = Tile | Looking | FilePart | FileDone


class Session(Protocol):
    """What trains and predicts: in this process or in another."""

    def send(self, command: Command) -> None: ...
    def poll(self) -> list[Event]: ...
    def close(self) -> None: ...


class SessionClient:
    """Sends commands and hands on what is still wanted.

    Attributes
    ----------
    view, image, scores, patches, objects : int or None
        Numbers of the requests under way: the field of view, an image or files, a comparison, augmented patches, a
        preview of objects.
    reviews : dict
        The same for each kind of review.
    dead : str
        Why the session cannot run; "" when it can.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._numbers = count(1)
        self.view: int | None = None
        self.image: int | None = None
        self.scores: int | None = None
        self.patches: int | None = None
        self.objects: int | None = None
        self.reviews: dict[type[Review], int] = {}
        self.dead = ""

    def send(self, command: Command) -> None:
        """Ask the session to do something."""
        self._session.send(command)

    def predict_view(self, key: str, view: View, *, soft: bool, after: int = 0) -> None:
        """Ask for a field of view, with certainties if `soft`, `after` so many steps; it replaces the one before."""
        self.view = next(self._numbers)
        self.send(PredictView(self.view, key, view.lead, view.box, soft=soft, after=after))

    def predict_image(
        self,
        key: str,
        target: ArrayRef,
        config: PredictConfig,
        leads: tuple[tuple[int, ...], ...] | None = None,
        box: Box | None = None,
    ) -> None:
        """Ask for an image or a part of it, written into `target`."""
        self.image = next(self._numbers)
        self.send(PredictImage(self.image, key, target, config, leads, box))

    def predict_files(self, items: Sequence[Item], config: PredictConfig, *, overwrite: bool) -> None:
        """Ask for image files to be segmented, in the place of an image."""
        self.image = next(self._numbers)
        self.send(PredictFiles(self.image, tuple(items), config, overwrite))

    def preview_objects(self, key: str, view: View, config: PredictConfig) -> None:
        """Ask for the objects of a field of view; they take the place of those asked for before."""
        self.objects = next(self._numbers)
        self.send(PreviewObjects(self.objects, key, view.lead, view.box, config))

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
        """Give up the image or the files; nothing more is heard of them."""
        if self.image is not None:
            self.send(Cancel(self.image))
            self.image = None

    def poll(self) -> list[tuple[Event, str]]:
        """What happened since, each with what it answers: one of the requests above, "review", or ""."""
        return [(event, purpose) for event in self._session.poll() if (purpose := self._purpose(event)) is not None]

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _purpose(self, event: Event) -> str | None:
        """What `event` answers; None when nobody waits for it. Closes requests that are answered."""
        if isinstance(event, WorkerDied):
            self.view = self.image = self.scores = self.patches = self.objects = None
            self.reviews.clear()
            self.dead = "" if event.restarted else event.message
        if not isinstance(event, _ANSWERS) or event.request is None:
            return ""
        if event.request in self.reviews.values():
            if not isinstance(event, Looking):
                self.reviews = {kind: number for kind, number in self.reviews.items() if number != event.request}
            return "review"
        names = ("view", "image", "scores", "patches", "objects")
        purpose = {getattr(self, name): name for name in names}.get(event.request)
        if purpose is not None and not isinstance(event, _PARTS):
            setattr(self, purpose, None)
        return purpose
