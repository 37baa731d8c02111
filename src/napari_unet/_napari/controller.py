"""What the dock does: the user's wishes in, the session's answers out. No widgets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from psygnal import Signal

from napari_unet._napari.axes import channels, label_shape
from napari_unet._napari.client import Session, SessionClient
from napari_unet._napari.guidance import Phase, Situation, next_step
from napari_unet._napari.live_view import LiveView
from napari_unet._napari.segmenting import Progress, Segmenting
from napari_unet._napari.strokes import Strokes
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.errors import AnnotationError, ModelFileError, NapariUnetError, SessionError
from napari_unet.events import Event, Finished, Saved, Started, Step, Warned
from napari_unet.session.commands import LoadModel, NewModel, SaveModel, StopTraining, Train
from napari_unet.session.messages import Failed, ModelChanged, PredictionDone, Ready, Tile, WorkerDied

Clock = Callable[[], float]
P = ParamSpec("P")


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
    painted : tuple of int
        Painted pixels per class.
    progress : Progress or None
        Of the segmentation under way.
    message : str
        The sentence to show.
    failed : bool
        Whether it says what went wrong.
    """

    phase: Phase = Phase.IDLE
    ready: bool = False
    device: str = ""
    step: int = 0
    painted: tuple[int, ...] = (0, 0)
    progress: Progress | None = None
    message: str = ""
    failed: bool = False


def _in_words(action: Callable[Concatenate[Controller, P], None]) -> Callable[Concatenate[Controller, P], None]:
    """Make `action` say in one sentence why it cannot be done, instead of raising."""

    @wraps(action)
    def told(self: Controller, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            action(self, *args, **kwargs)
        except NapariUnetError as error:
            self.complain(str(error))

    return told


class Controller:
    """Brings together the viewer's layers and a session.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
    session : Session
        Ended by `close`.
    clock : callable
        Seconds that only grow.

    Attributes
    ----------
    link : ViewerLink
    model, training, predicting : configs
        What the forms say; `model` describes the next new model.
    state : State
    """

    changed = Signal(State)
    stepped = Signal(Step)
    model_changed = Signal(ModelConfig)  #: a file brought other settings
    training_began = Signal()
    complained = Signal(str)  #: something went wrong; one sentence

    def __init__(self, viewer: Any, session: Session, clock: Clock = time.monotonic) -> None:
        self.model, self.training, self.predicting = ModelConfig(), TrainConfig(), PredictConfig()
        self.state = State()
        self._clock = clock
        self._client = SessionClient(session)
        self._used: ModelConfig | None = None
        self._news = ""
        self._failed = False
        self._opening = ""
        self._filing = False
        self._dead = ""
        self._live = LiveView()
        self.link = ViewerLink(viewer)
        self._strokes = Strokes(self.link, self._client.send)
        self._segmenting = Segmenting(self.link, self._client, clock)
        self._listen()
        self._on_layers()

    def _listen(self) -> None:
        self.link.layers_changed.connect(self._on_layers)
        self.link.removed.connect(self._on_removed)
        self.link.painted.connect(self._strokes.note)
        self.link.regions_changed.connect(self._strokes.note_regions)
        self.link.view_changed.connect(self._on_view)
        self.link.pixels_changed.connect(self._on_pixels)

    # ------------------------------------------------------------------ wishes

    @_in_words
    def choose_image(self, layer: Any) -> None:
        """Work on this image layer."""
        self.link.choose_image(layer)
        self._strokes.look()
        self._on_view()
        self.say("")

    @_in_words
    def choose_strokes(self, layer: Any) -> None:
        """Learn from this labels layer."""
        self.link.choose_strokes(layer)
        self._strokes.look()
        self.say("")

    @_in_words
    def new_strokes(self) -> None:
        """Add a layer to paint on, brush in hand."""
        self._need_image()
        self.link.new_strokes(self.model)
        self._strokes.look()
        self.say("")

    def pick_class(self, value: int) -> None:
        """Take the brush of a class."""
        if self.link.strokes is not None:
            self.link.take_brush(value)

    @_in_words
    def import_mask(self, layer: Any, *, objects: bool) -> None:
        """Make strokes of a dense mask, in which 0 is background.

        Parameters
        ----------
        layer : Labels
            The mask; stays as it is.
        objects : bool
            Whether each value is one object of the first class, or the values are classes.
        """
        self._need_image()
        self._strokes.import_mask(layer, self.model, objects=objects)
        self.say("")

    @_in_words
    def new_regions(self) -> None:
        """Let the user draw a rectangle in which everything is painted."""
        self._need_image()
        self.link.new_regions()
        self.say("Drag a rectangle: everything in it that is not painted is then background.")

    @_in_words
    def set_model(self, model: ModelConfig) -> None:
        """Describe the next new model, and name the classes."""
        self.model = model
        self.link.name_classes(model)
        self._strokes.look()
        self.tell()

    @_in_words
    def train(self) -> None:
        """Start to learn from the strokes, or go on."""
        self._need_image()
        self._need_session()
        self._strokes.check(self.model)
        wanted = self.model.replace(in_channels=channels(self.link.image))
        self._prepare(wanted)
        self._strokes.teach()
        self.link.show_prediction(self._used or wanted)
        self._client.send(Train(self.training))
        self._set(phase=Phase.WAITING)
        self.say("")

    def stop(self) -> None:
        """Stop after the current step; the model stays."""
        if self.state.phase in (Phase.WAITING, Phase.TRAINING):
            self._client.send(StopTraining())
            self._set(phase=Phase.STOPPING)
        self.say("")

    def toggle(self) -> None:
        """Train or stop."""
        (self.train if self.state.phase is Phase.IDLE else self.stop)()

    def start_again(self) -> None:
        """Forget what was learnt; the next training starts from random weights."""
        self.stop()
        self._used = None
        self._set(step=0)
        self.say("The next training starts from random weights. Your strokes are all there.")

    @_in_words
    def segment(self) -> None:
        """Predict the whole image into the prediction layer."""
        self._need_image()
        self._need_session()
        if self._used is None or not self.state.step:
            raise AnnotationError("There is no trained model yet: press Train first, or load one.")
        self._check_fit(self._used)
        self.link.show_prediction(self._used)
        self._segmenting.start(self._strokes.share_image(), self.predicting)
        self.say("")

    def cancel(self) -> None:
        """Give up the segmentation; finished tiles stay."""
        self._segmenting.cancel()
        self.say("Cancelled; the finished tiles stay.")

    @_in_words
    def save(self, path: str | Path) -> None:
        """Write the model to a file."""
        if not self.state.step:
            raise ModelFileError("There is nothing to save yet: press Train first.")
        self._need_session()
        self._filing = True
        self._client.send(SaveModel(str(path)))

    @_in_words
    def load(self, path: str | Path) -> None:
        """Use the model in a file."""
        self._need_session()
        self._filing, self._opening = True, str(path)
        self._client.send(LoadModel(str(path)))
        self.say(f"Opening {Path(path).name}.")

    def close(self) -> None:
        """End the session and let go of the viewer; layers stay."""
        self.link.cleanup()
        self._segmenting.close()
        self._client.close()
        self._strokes.close()

    # ------------------------------------------------------------------ the clock

    def tick(self) -> None:
        """Take the session's answers, tell it what was painted, keep the view up to date."""
        for event, purpose in self._client.poll():
            self._take(event, purpose)
        if self._strokes.send():
            self._failed = False
            self.tell()
        self._look()

    @_in_words
    def _look(self) -> None:
        """Ask for the field of view when it is time."""
        now = self._clock()
        if self._used is None or not self.state.step or self.link.image is None or not self._live.due(now):
            return
        self._live.asked(now)
        view = self.link.view(self._used.ndim)
        if view is not None and channels(self.link.image) == self._used.in_channels:
            self._client.predict_view(self._strokes.share_image(), view)

    # ------------------------------------------------------------------ what it takes

    def _need_image(self) -> None:
        if self.link.image is None:
            raise AnnotationError("Open an image first, or choose one at the top.")

    def _need_session(self) -> None:
        if self._dead:
            raise SessionError(self._dead)

    def _prepare(self, wanted: ModelConfig) -> None:
        """Make a new model, unless the one in use fits and has learnt something."""
        if self._used is None or (self.state.step == 0 and self._used != wanted):
            self._strokes.forget_others()
            self._used = wanted
            self._client.send(NewModel(wanted))
        self._check_fit(self._used)
        if self._used.classes != wanted.classes:
            raise AnnotationError("The model in use knows other classes: press Start again to train a new one.")

    def _check_fit(self, model: ModelConfig) -> None:
        """Raise a sentence unless the image is one for the model."""
        found = channels(self.link.image)
        if model.in_channels != found:
            raise AnnotationError(
                f"The model in use reads {model.in_channels} channels and this image has {found}: "
                "choose another image, or press Start again."
            )
        if model.ndim > len(label_shape(self.link.image)):
            raise AnnotationError("A 3D network needs a stack: choose 2 dimensions under Network, or another image.")

    # ------------------------------------------------------------------ answers

    def _take(self, event: Event, purpose: str) -> None:
        match event:
            case Tile():
                self._on_tile(event, purpose)
            case Step():
                self._on_step(event)
            case PredictionDone():
                self._on_done(event, purpose)
            case Failed():
                self._on_failed(event, purpose)
            case Ready():
                self._set(ready=True, device=event.device)
            case Started():
                self._set(phase=Phase.TRAINING, ready=True)
                self.training_began.emit()
            case Finished():
                self._on_finished(event)
            case ModelChanged():
                self._on_model(event)
            case Saved():
                self._filing = False
                self.say(f"Saved to {event.path}")
            case Warned():
                self.say(event.message)
            case WorkerDied():
                self._on_death(event)

    def _on_step(self, event: Step) -> None:
        phase = Phase.TRAINING if self.state.phase is Phase.IDLE else self.state.phase
        self._set(step=event.step, phase=phase)
        self._live.learnt()
        self.stepped.emit(event)

    def _on_finished(self, event: Finished) -> None:
        self._set(phase=Phase.IDLE, step=event.step)
        self._live.learnt()
        self.tell()

    def _on_tile(self, tile: Tile, purpose: str) -> None:
        if purpose == "image":
            self._segmenting.take(tile)
            self.tell()
        elif tile.data is not None:
            self.link.write_tile(tile.index, tile.data)

    def _on_done(self, event: PredictionDone, purpose: str) -> None:
        if purpose == "view":
            self._live.answered(self._clock())
        elif purpose == "image":
            self._segmenting.finish()
            self.say("Done. Save the model to use it again, or paint corrections and train on.")

    @_in_words
    def _on_model(self, event: ModelChanged) -> None:
        self._used = event.config
        self._set(step=event.step)
        if event.path is None or event.path != self._opening:
            return
        self._filing, self._opening = False, ""
        self.model = event.config
        self.model_changed.emit(event.config)
        self.link.name_classes(event.config)
        self._on_view()
        self.say(f"Loaded {Path(event.path).name}.")
        if self.link.image is not None:
            self._check_fit(event.config)
            self.link.show_prediction(event.config)

    def _on_failed(self, event: Failed, purpose: str) -> None:
        if purpose == "view":
            self._live.answered(self._clock())
        elif purpose == "image":
            self._segmenting.drop()
        elif not self._filing:
            self._set(phase=Phase.IDLE)
        self._filing = False
        self.complain(event.message)

    def _on_death(self, event: WorkerDied) -> None:
        self._segmenting.drop()
        self._live.answered(self._clock())
        self._filing = False
        self._dead = "" if event.restarted else event.message
        self._set(phase=Phase.IDLE, ready=False)
        self.complain(event.message)

    # ------------------------------------------------------------------ layers

    def _on_layers(self) -> None:
        if self.link.image is None and self.link.images:
            self.choose_image(self.link.images[0])
        self.tell()

    def _on_removed(self, role: str, layer: Any) -> None:
        self._strokes.forget(layer)
        if role == "image":
            self._segmenting.cancel()
        if role in ("image", "strokes") and self.state.phase is not Phase.IDLE:
            self.stop()
            self.say(f"The {role} layer was removed, so training stopped; the model is kept.")

    def _on_pixels(self) -> None:
        self._segmenting.cancel()
        self._strokes.forget(self.link.image)
        self.stop()

    def _on_view(self) -> None:
        self._live.moved(self._clock())

    # ------------------------------------------------------------------ words

    def say(self, news: str) -> None:
        """Show `news`, then what to do next."""
        self._news, self._failed = news, False
        self.tell()

    def complain(self, message: str) -> None:
        """Show what went wrong, until the user does something about it."""
        self._news, self._failed = message, True
        self.tell()
        self.complained.emit(message)

    def tell(self) -> None:
        """Bring the message up to date."""
        progress = self._segmenting.progress
        self._set(painted=self._strokes.painted(len(self.model.classes)), progress=progress)
        hint = next_step(self._situation())
        message = self._news if self._failed else " ".join(filter(None, (self._news, hint)))
        self._set(message=message, failed=self._failed)

    def _situation(self) -> Situation:
        now = self.state
        return Situation(
            image=self.link.image is not None,
            strokes=self.link.strokes is not None,
            ready=now.ready,
            segmenting=now.progress is not None,
            classes=self.model.classes,
            painted=now.painted,
            phase=now.phase,
            step=now.step,
        )

    def _set(self, **news: Any) -> None:
        state = replace(self.state, **news)
        if state != self.state:
            self.state = state
            self.changed.emit(state)
