"""What the session reports, put on the board, into the layers and into the clockwork of the live view."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from psygnal import Signal

from napari_unet._napari.autopilot import Autopilot
from napari_unet._napari.board import Board
from napari_unet._napari.guidance import Phase
from napari_unet._napari.live_view import LiveView
from napari_unet._napari.model_in_use import ModelInUse, check_fit
from napari_unet._napari.object_preview import ObjectPreview
from napari_unet._napari.reviewing import Reviewing
from napari_unet._napari.segmenting import Segmenting
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import ModelConfig
from napari_unet.errors import NapariUnetError
from napari_unet.events import Event, Finished, Saved, Started, Step, Warned, WentBack
from napari_unet.session.messages import (
    Compared,
    Failed,
    FileDone,
    FilePart,
    Looking,
    ModelChanged,
    PredictionDone,
    Ready,
    Reviewed,
    SnapshotSaved,
    Tile,
    WorkerDied,
)


class Answers:
    """Takes events, one after the other.

    Parameters
    ----------
    board : Board
    link : ViewerLink
    live : LiveView
    segmenting : Segmenting
    reviewing : Reviewing
    preview : ObjectPreview
    model : ModelInUse
    autopilot : Autopilot
    clock : callable
        Seconds that only grow.

    Attributes
    ----------
    opening : str
        The file that the user wants to load; "" when none.
    saving : bool
        Whether a file is being written.
    """

    loaded = Signal(ModelConfig)  #: a file brought other settings
    snapshot_saved = Signal(int)  #: the model as it is after so many steps is safe

    def __init__(
        self,
        board: Board,
        link: ViewerLink,
        live: LiveView,
        segmenting: Segmenting,
        reviewing: Reviewing,
        preview: ObjectPreview,
        model: ModelInUse,
        autopilot: Autopilot,
        clock: Callable[[], float],
    ) -> None:
        self._board, self._link, self._live, self._clock = board, link, live, clock
        self._segmenting, self._reviewing, self._preview, self._model = segmenting, reviewing, preview, model
        self._autopilot = autopilot
        self.opening = ""
        self.saving = False

    def take(self, event: Event, purpose: str) -> None:
        """Do what `event` means; `purpose` is what it answers, see `SessionClient.poll`."""
        match event:
            case Tile():
                self._on_tile(event, purpose)
            case Step():
                self._on_step(event)
            case PredictionDone():
                self._on_done(event, purpose)
            case Compared():
                self._reviewing.take(event)
            case FilePart() | FileDone():
                self._segmenting.take_file(event)
            case Reviewed() | Looking():
                self._reviewing.take_review(event)
            case Failed():
                self._on_failed(event, purpose)
            case ModelChanged():
                self._on_model(event)
            case WorkerDied():
                self._on_death(event)
            case _:
                self._on_news(event)

    def _on_news(self, event: Event) -> None:
        """What needs no more than a line."""
        match event:
            case Ready():
                self._board.set(ready=True, device=event.device)
            case Started():
                self._board.set(phase=Phase.TRAINING, ready=True)
            case Finished():
                self._board.set(phase=Phase.IDLE, step=event.step)
                self._live.learnt(event.step)
                self._autopilot.ended()
            case WentBack():
                self._live.learnt(event.step)
                self._live.moved(self._clock())
            case Saved():
                self.saving = False
                self._board.set(saved=self._board.state.step)
                self._board.say(f"Saved to {event.path}.")
            case Warned():
                self._board.say(event.message)
            case SnapshotSaved():
                self.snapshot_saved.emit(event.step)

    def _on_step(self, event: Step) -> None:
        phase = self._board.state.phase
        phase = Phase.TRAINING if phase is Phase.IDLE else phase
        self._board.set(step=event.step, phase=phase, suggested=False)
        self._live.learnt(event.step)

    def _on_tile(self, tile: Tile, purpose: str) -> None:
        if purpose == "image":
            self._segmenting.take(tile)
        elif purpose == "objects":
            self._preview.take(tile)
        elif tile.data is not None:
            self._live.showed(self._link.display.write(tile.index, tile.data, tile.soft), tile.data.size)

    def _on_done(self, event: PredictionDone, purpose: str) -> None:
        if purpose == "view":
            self._live.answered(self._clock())
        elif purpose == "image":
            words = self._segmenting.finish(event.step)
            if words:
                self._live.moved(self._clock())
                self._board.say(words)

    def _on_model(self, event: ModelChanged) -> None:
        self._model.config = event.config
        self._board.set(step=event.step, saved=0)
        if not self.opening or event.path != self.opening:
            return
        self.opening = ""
        self._board.set(saved=event.step, suggested=False)
        self.loaded.emit(event.config.replace(spacing=None))  # that of a next new model comes from its image
        self._live.moved(self._clock())
        self._board.say(f"Loaded {Path(event.path).name}.")
        try:
            self._check(event.config)
        except NapariUnetError as error:
            self._board.complain(str(error))

    def _check(self, model: ModelConfig) -> None:
        if self._link.image is not None:
            check_fit(model, self._link.image)

    def _on_failed(self, event: Failed, purpose: str) -> None:
        """Training is over, unless it was a file or a prediction that failed; a further step would tell."""
        if purpose == "view":
            self._live.answered(self._clock())
        elif purpose == "image":
            words = self._segmenting.fail(event.message)
            if not words:  # the next image is under way
                return
        elif purpose == "scores":
            self._reviewing.drop()
        elif purpose == "review":
            self._reviewing.failed()
        elif purpose not in ("patches", "objects") and not self.opening and not self.saving:
            self._board.set(phase=Phase.IDLE)
            self._autopilot.ended()
        if not purpose:
            self.opening, self.saving = "", False
        self._board.complain(event.message)

    def _on_death(self, event: WorkerDied) -> None:
        self._segmenting.drop()
        self._reviewing.drop()
        self._reviewing.failed()
        self._live.answered(self._clock())
        self.opening, self.saving = "", False
        self._board.set(phase=Phase.IDLE, ready=False)
        self._autopilot.ended()
        self._board.complain(event.message)
