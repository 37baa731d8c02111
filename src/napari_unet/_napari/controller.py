"""What the user can want from the dock. No widgets."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_unet._napari.answers import Answers
from napari_unet._napari.autopilot import Autopilot
from napari_unet._napari.board import Board, Facts, State
from napari_unet._napari.client import Session, SessionClient
from napari_unet._napari.display import Mode
from napari_unet._napari.guidance import Phase
from napari_unet._napari.in_words import in_words
from napari_unet._napari.live_view import LiveView
from napari_unet._napari.looking import Looking
from napari_unet._napari.model_in_use import ModelInUse, for_image
from napari_unet._napari.object_preview import ObjectPreview
from napari_unet._napari.parts import Parts
from napari_unet._napari.pilot import Pilot
from napari_unet._napari.recipes import Recipes
from napari_unet._napari.results import Results
from napari_unet._napari.reviewing import Reviewing
from napari_unet._napari.safekeeping import Safekeeping
from napari_unet._napari.segmentation import Segmentation
from napari_unet._napari.segmenting import Segmenting
from napari_unet._napari.strokes import Strokes
from napari_unet._napari.suggesting import Suggesting
from napari_unet._napari.teaching import Teaching
from napari_unet._napari.tools import Tools
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.errors import AnnotationError, ModelFileError
from napari_unet.session.commands import (
    AdaptModel,
    LoadModel,
    NameClasses,
    NewModel,
    SaveModel,
    Train,
)
from napari_unet.session.projects import Settings
from napari_unet.standard import standard_model, start_words


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
    board : Board
        What the dock shows.
    answers : Answers
    tools : Tools
        What is in the user's hand.
    reviewing : Reviewing
        Scores, advice on where to paint next, objects to correct, strokes to check.
    segmentation : Segmentation
        The whole image, on demand or when idle.
    preview_objects : ObjectPreview
        What settings make of the objects in view.
    recipes : Recipes
        What was clicked, as a command or as Python.
    teaching : Teaching
        Pauses, the way back to earlier states, and how training goes.
    results, safe : Results, Safekeeping
        Segmentations into files; the project that keeps everything, and offers to go on with earlier ones.
    model, training, predicting : configs
        What the forms say; `model` describes the next new model.
    """

    settings_restored = Signal(Settings)  #: all forms say something else now
    model_changed = Signal(ModelConfig)  #: what the next new model is was changed, by whoever it was

    def __init__(self, viewer: Any, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        self.model, self.training, self.predicting = standard_model(), TrainConfig(), PredictConfig()
        self._clock = clock
        self._client = SessionClient(session)
        self._used = ModelInUse()
        self._live = LiveView()
        self._autopilot = Autopilot()
        self.link = ViewerLink(viewer)
        self._strokes = Strokes(self.link, self._client.send)
        self._segmenting = Segmenting(self.link, self._client, clock)
        self.board = Board(self._facts)
        self._parts = parts = Parts(self.link, self._client, self._strokes, self._used, self.board)
        self._looking = Looking(parts, self._live)
        self._suggesting = Suggesting(parts, self._looking)
        self.segmentation = Segmentation(parts, self._segmenting, lambda: self.model)
        self.preview_objects = ObjectPreview(parts, self.settings)
        self._pilot = Pilot(parts, self._autopilot, self.segmentation, self.train, self.stop)
        self.reviewing = Reviewing(parts, self.settings, self._take_strokes)
        self.recipes = Recipes(parts, self.segmentation, self.settings, self.save)
        self.tools = Tools(self.link, self.new_regions)
        self.teaching = Teaching(self._client, self.board, self._autopilot, self._take_strokes)
        self.answers = Answers(
            self.board,
            self.link,
            self._live,
            self._segmenting,
            self.reviewing,
            self.preview_objects,
            self._used,
            self._autopilot,
            clock,
        )
        self.results = Results(self.link, self._segmenting, self._used, self.board, self.settings)
        self.safe = Safekeeping(self.link, self._client.send, self.settings, self.use, self.load, clock)
        self._listen()
        self._on_layers()

    @property
    def state(self) -> State:
        """What the dock shows."""
        return self.board.state

    # ------------------------------------------------------------------ wishes: layers

    @in_words
    def choose_image(self, layer: Any) -> None:
        """Work on this image layer."""
        self._segmenting.leave(self.link.image)
        self.link.choose_image(layer)
        self._looking.wanted = True
        self.board.say()

    @in_words
    def choose_strokes(self, layer: Any) -> None:
        """Learn from this labels layer."""
        self.link.choose_strokes(layer)
        self.board.say()

    @in_words
    def new_strokes(self) -> None:
        """Add a layer to paint on, brush in hand."""
        self._parts.need_image()
        self.link.new_strokes(self.model)
        self.board.say()

    @in_words
    def new_regions(self) -> None:
        """Let the user draw a rectangle in which everything is painted."""
        self._parts.need_image()
        self.link.new_regions()
        self.board.say("Drag a rectangle: everything in it that is not painted is then background.")

    @in_words
    def copy_prediction(self) -> None:
        """Make strokes of what is predicted in view, where nothing is painted, to be corrected."""
        self._parts.need_image()
        if self.link.prediction is None:
            raise AnnotationError("There is no prediction to copy yet: paint a few strokes and let it learn.")
        if self.link.strokes is None:
            self.link.new_strokes(self.model)
        view = self.link.view((self._used.config or self.model).ndim)
        if view is None or not self.link.copy_prediction(view):
            raise AnnotationError("There is nothing to copy in view: all of it is painted, or nothing is predicted.")
        self.board.say("Copied the prediction in view. Correct it: what you leave counts as right.")

    @in_words
    def import_mask(self, layer: Any, *, objects: bool) -> None:
        """Make strokes of a dense mask, in which 0 is background.

        Parameters
        ----------
        layer : Labels
            The mask; stays as it is.
        objects : bool
            Whether each value is one object of the first class, or the values are classes.
        """
        self._parts.need_image()
        self._strokes.import_mask(layer, self.model, objects=objects)
        self._on_stroke()
        self.board.say()

    def set_model(self, model: ModelConfig) -> None:
        """Describe the next new model, and name the classes."""
        self.model = model
        self.model_changed.emit(model)
        self.link.name_classes(model)
        self._adapt(model)
        if self.state.step and self._used.differs(model):
            self.board.say("These settings count from the next Start again; until then the model stays as it is.")
        self.board.update()

    def settings(self) -> Settings:
        """What the forms say."""
        return Settings(model=self.model, training=self.training, predicting=self.predicting)

    def use(self, settings: Settings) -> None:
        """Let the forms say something else."""
        self.training, self.predicting = settings.training, settings.predicting
        self.set_model(settings.model)
        self.settings_restored.emit(settings)

    def _adapt(self, model: ModelConfig) -> None:
        """Let a model that has learnt something know other classes; what it knows of the old ones stays."""
        used = self._used.config
        if used is None or not self.state.step or (used.classes, used.colors) == (model.classes, model.colors):
            return
        self._used.config = used.replace(classes=model.classes, colors=model.colors)
        if len(model.classes) == len(used.classes):
            self._client.send(NameClasses(model.classes, model.colors))
            return
        learning = self.state.phase in (Phase.WAITING, Phase.TRAINING)
        self._client.send(AdaptModel(self._used.config))
        self.board.set(phase=Phase.IDLE)
        if learning:
            self.train()

    # ------------------------------------------------------------------ wishes: the model

    @in_words
    def train(self, *, resume: bool = False) -> None:
        """Start to learn from the strokes, or go on; with `resume` within the budget of the training before."""
        wanted = self._prepare()
        self.segmentation.give_way()
        self.link.display.make(wanted)
        self._client.send(Train(self.training, resume))
        self.board.set(phase=Phase.WAITING, paused=False)
        self.board.say()

    def _prepare(self) -> ModelConfig:
        """Let the session have a model and all strokes; what the next new model would be."""
        self._parts.need_image()
        self._parts.need_session()
        self._strokes.check(self.model)
        wanted = for_image(self.model, self.link.image)
        if self._used.take(wanted, self.state.step, self.link.image):
            self._strokes.forget_others()
            self._client.send(NewModel(wanted, self.training.seed))
        self._strokes.teach()
        return wanted

    @in_words
    def preview(self, seed: int) -> None:
        """Ask what training is shown; `Teaching.previewed` tells it."""
        if self.state.phase is Phase.IDLE:
            self._prepare()
        self.teaching.preview(self.training, seed)

    @in_words
    def suggest(self, on: bool = True) -> None:
        """Show what the network that comes along takes for cells, before any stroke; or take that away again."""
        if on:
            self._suggesting.start(self.model, self.training.seed)
            self._live.moved(self._clock())
        else:
            self._suggesting.dismiss()

    def stop(self) -> None:
        """Stop after the current step; the model stays, and nothing starts by itself before the next stroke."""
        self.teaching.stop()

    def set_live(self, on: bool) -> None:
        """Let strokes start training by themselves, or not; what began by itself ends with it."""
        self._autopilot.on = on
        self.board.set(live=on)
        if on:
            self._autopilot.stroke(self._clock(), learning=self.state.phase is not Phase.IDLE)
        elif self._autopilot.started:
            self.stop()
        self.board.say()

    def toggle(self) -> None:
        """Train or stop; a click that comes just after training began by itself was meant to start it."""
        if self._autopilot.has_just_started(self._clock()):
            return
        (self.train if self.state.phase is Phase.IDLE and not self.state.paused else self.stop)()

    def start_again(self) -> None:
        """Forget what was learnt; the next training begins with a new network."""
        self.stop()
        self._used.config = None
        self.board.set(step=0)
        self.board.say(f"The next training begins with {start_words(self.model)}. Your strokes are all there.")

    def show_as(self, mode: Mode) -> None:
        """Show predictions as probabilities, or as filled or outlined classes."""
        self.link.display.set_mode(mode)
        self._live.moved(self._clock())

    @in_words
    def save(self, path: str | Path) -> None:
        """Write the model to a file."""
        if not self.state.predicts:
            raise ModelFileError("There is nothing to save yet: press Train first.")
        self._parts.need_session()
        self.answers.saving = True
        self._client.send(SaveModel(str(path)))

    @in_words
    def load(self, path: str | Path) -> None:
        """Use the model in a file."""
        self._parts.need_session()
        self.answers.opening = str(path)
        self._client.send(LoadModel(str(path)))
        self.board.say(f"Opening {Path(path).name}.")

    # ------------------------------------------------------------------ the clock, and the end

    def tick(self) -> None:
        """Take the session's answers, tell it what was painted, keep the view up to date."""
        events = self._client.poll()
        for event, purpose in events:
            self.answers.take(event, purpose)
            self.teaching.take(event)
        if not self._take_strokes() and events:
            self.board.update()
        self.safe.tick()
        self.results.tick()
        self._pilot.fly(self._clock())
        self._look()
        self.preview_objects.tick(self._clock())
        self.link.display.redraw(self._clock())

    def close(self) -> None:
        """End the session and let go of the viewer; layers stay."""
        self.tools.close()
        self.link.cleanup()
        self._segmenting.close()
        self.results.close()
        self.preview_objects.close()
        self._client.close()
        self.safe.close(self.state.step)
        self.reviewing.close()
        self._strokes.close()

    @in_words
    def _look(self) -> None:
        self._looking.look(self._clock())

    def _take_strokes(self) -> bool:
        """Tell the session what was painted since the last time; whether anything was."""
        painted = self._strokes.send()
        if painted:
            self.board.forgive()
            self._on_stroke()
            self.board.update()
        return painted

    @in_words
    def _on_stroke(self) -> None:
        """The strokes have changed."""
        learning = self.state.phase in (Phase.WAITING, Phase.TRAINING)
        self._autopilot.stroke(self._clock(), learning=learning)
        if learning and self._used.config is not None:
            self._strokes.join(self._used.config)
        self._live.painted(self.state.step + 1, learning=learning)
        self.segmentation.give_way()

    # ------------------------------------------------------------------ what it takes

    def _facts(self) -> Facts:
        return Facts(
            image=self.link.image is not None,
            strokes=self.link.strokes is not None,
            classes=self.model.classes,
            painted=self._strokes.painted(self.model),
            made=self._strokes.made(self.model),
            sources=self._strokes.sources(),
            progress=self._segmenting.progress,
            segmented=self._segmenting.complete,
        )

    # ------------------------------------------------------------------ layers come and go

    def _listen(self) -> None:
        link = self.link
        link.layers_changed.connect(self._on_layers)
        link.roles_changed.connect(self._on_roles)
        link.removed.connect(self._on_removed)
        link.painted.connect(self._on_painted)
        link.stroked.connect(self._strokes.count)
        link.redrawn.connect(self._strokes.note_redrawn)
        link.regions_changed.connect(self._strokes.note_regions)
        self._strokes.found.connect(self.board.update)
        link.view_changed.connect(self._on_view)
        link.pixels_changed.connect(self._on_pixels)
        self.answers.loaded.connect(self.set_model)
        self.answers.snapshot_saved.connect(self.safe.project.learnt)
        self.reviewing.advice.bind(partial(self.reviewing.attempt, self.reviewing.advice.next))
        self.safe.told.connect(self.board.say)
        self.safe.failed.connect(self.board.complain)

    def _on_layers(self) -> None:
        if self.link.image is None and self.link.images:
            self.choose_image(self.link.images[0])
        self.board.update()

    @in_words
    def _on_roles(self) -> None:
        self._strokes.look()
        self._on_view()

    def _on_removed(self, role: str, layer: Any) -> None:
        self._strokes.forget(layer)
        if role == "prediction":
            self._looking.wanted = False
            self.link.remove_soft()
        if role == "soft":
            self.show_as("fill")
        if role == "image":
            self._segmenting.cancel()
        if role in ("image", "strokes") and self.state.phase is not Phase.IDLE:
            self.stop()
            self.board.say(f"The {role} layer was removed, so training stopped; the model is kept.")

    @in_words
    def _on_painted(self, box: Any) -> None:
        self._strokes.note(box)

    def _on_pixels(self) -> None:
        self._segmenting.cancel()
        self._strokes.forget(self.link.image)
        self.stop()

    def _on_view(self) -> None:
        self._live.moved(self._clock())
        self.preview_objects.moved(self._clock())
        self._autopilot.touched(self._clock())
