"""The session's state and its work: it takes commands, and trains and predicts in small turns."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import singledispatchmethod
from pathlib import Path
from typing import Any

import torch

from napari_unet.config import PredictConfig, TrainConfig
from napari_unet.errors import ModelFileError, NapariUnetError, SessionError
from napari_unet.events import Event, Finished, Saved, StatesChanged, Step, TileDone, Warned
from napari_unet.networks.device import choose_device, return_memory
from napari_unet.prediction.outputs import as_wanted
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.rescaling import predictor_for
from napari_unet.session import commands as do
from napari_unet.session.arrays import close_array, open_array
from napari_unet.session.comparing import compare
from napari_unet.session.known import KnownImage, KnownStrokes
from napari_unet.session.messages import Compared, Failed, ModelChanged, PredictionDone, Ready, SnapshotSaved, Tile
from napari_unet.session.model import Model, adapted_state, history_entry
from napari_unet.session.patches import look
from napari_unet.session.reviewing import Subject, review
from napari_unet.session.soft import soften
from napari_unet.training.loop import Trainer

log = logging.getLogger(__name__)

SNAPSHOT_SECONDS = 10.0


class SessionCore:
    """Everything a session holds: images, strokes, the model, and the work in hand.

    `handle` answers a command; `work` does one small piece of what is under way (a training step, a tile) and
    returns what happened. Views go first, then training and whole images take turns.

    Parameters
    ----------
    device : str
        As in `TrainConfig`.
    snapshot : Path, optional
        File that the model is written to every few seconds while it learns, unless `KeepModel` names another one.
    """

    def __init__(self, device: str = "auto", snapshot: Path | None = None) -> None:
        self._device = device
        self._snapshot = snapshot
        self._kept: Path | None = None
        self._snapshot_time = 0.0
        self._images: dict[str, KnownImage] = {}
        self._strokes: dict[str, KnownStrokes] = {}
        self._trainer: Trainer | None = None
        self._history: tuple[dict[str, Any], ...] = ()
        self._loss = float("nan")
        self._unsafe = False
        self._predictors: dict[PredictConfig, Predictor] = {}
        self._training: Iterator[Event] | None = None
        self._stopping = False
        self._view: tuple[do.PredictView, Iterator[Event] | None] | None = None
        self._view_step = 0
        self._jobs: deque[tuple[do.PredictImage | do.Review, Generator[Event]]] = deque()
        self._turn = 0

    # ------------------------------------------------------------------ life

    def ready(self) -> Ready:
        """What to say first."""
        return Ready(str(choose_device(self._device)), torch.__version__)

    @property
    def busy(self) -> bool:
        """Whether `work` has something to do."""
        return self._view is not None or self._training is not None or bool(self._jobs)

    def close(self) -> None:
        """Keep what was learnt since the last snapshot, and let go of all arrays."""
        if self._training is not None:
            self._write_snapshot(force=True)
        self.stop_work()
        self._trainer = None
        for key in list(self._images | self._strokes):
            self._forget(key)

    # ------------------------------------------------------------------ commands

    def handle(self, command: do.Command) -> list[Event]:
        """Do what `command` asks; what the user got wrong comes back as `Failed`."""
        try:
            return self._do(command)
        except NapariUnetError as error:
            return [Failed(str(error), getattr(command, "request", None))]

    @singledispatchmethod
    def _do(self, command: do.Command) -> list[Event]:
        raise SessionError(f"update napari-unet: this session does not know {type(command).__name__}")

    @_do.register
    def _(self, command: do.SetImage) -> list[Event]:
        self._drop_work(command.key)
        old = self._images.pop(command.key, None)
        if self._trainer is not None:
            self._trainer.remove(command.key)
        if old is not None:
            old.close()
        self._images[command.key] = KnownImage(command)
        return []

    @_do.register
    def _(self, command: do.SetStrokes) -> list[Event]:
        self._image(command.key)
        old = self._strokes.pop(command.key, None)
        before = old.places if old is not None else []
        if old is not None:
            old.close()
        strokes = self._strokes[command.key] = KnownStrokes(command)
        self._teach(command.key, [*before, *strokes.places])
        return self._news()

    @_do.register
    def _(self, command: do.StrokesChanged) -> list[Event]:
        strokes = self._strokes.get(command.key)
        if strokes is None:
            return []
        if command.box is not None:
            strokes.note(command.box)
        changed = strokes.places if command.box is None else [command.box]
        if strokes.complete != command.complete:
            changed = [*changed, *strokes.complete, *command.complete]
            strokes.complete = command.complete
        self._teach(command.key, changed)
        return self._news()

    @_do.register
    def _(self, command: do.Forget) -> list[Event]:
        self._forget(command.key)
        return []

    @_do.register
    def _(self, command: do.NewModel) -> list[Event]:
        self._use(Trainer(command.config, TrainConfig(device=self._device, seed=command.seed)))
        self._history = ()
        return [ModelChanged(command.config, 0)]

    @_do.register
    def _(self, command: do.LoadModel) -> list[Event]:
        model = Model.load(command.path)
        self._use(
            Trainer(model.config, TrainConfig(device=self._device), state=model.network.state_dict(), step=model.step)
        )
        self._history = model.history
        changed = ModelChanged(model.config, model.step, command.path)
        return [changed, *(self._keep_now() if command.path != str(self._kept) else [])]

    @_do.register
    def _(self, command: do.KeepModel) -> list[Event]:
        self._kept = Path(command.path)
        return self._keep_now() if command.now else []

    @_do.register
    def _(self, command: do.NameClasses) -> list[Event]:
        trainer = self._need_trainer()
        if len(command.classes) != len(trainer.model.classes):
            raise SessionError(f"give {len(trainer.model.classes)} names, one for each class of the model")
        trainer.model = trainer.model.replace(classes=command.classes, colors=command.colors)
        return [ModelChanged(trainer.model, trainer.step), *self._write_snapshot(force=True)]

    @_do.register
    def _(self, command: do.AdaptModel) -> list[Event]:
        old = self._need_trainer()
        state = adapted_state(old.prediction_state(), old.model, command.config)
        self._use(Trainer(command.config, TrainConfig(device=self._device), state=state, step=old.step))
        return [ModelChanged(command.config, old.step), StatesChanged(()), *self._write_snapshot(force=True)]

    @_do.register
    def _(self, command: do.GoBack) -> list[Event]:
        events = self._need_trainer().go_back(command.step)
        return [*events, *self._write_snapshot(force=True)]

    @_do.register
    def _(self, command: do.SaveModel) -> list[Event]:
        self._model().save(command.path)
        return [Saved(command.path)]

    @_do.register
    def _(self, command: do.Train) -> list[Event]:
        trainer = self._need_trainer()
        self._end_training()
        for key in self._strokes:
            self._teach(key)
        self._stopping = False
        self._snapshot_time = time.monotonic()
        config = command.config.model_copy(update={"device": self._device})
        self._training = trainer.run(config, lambda: self._stopping, resume=command.resume)
        return []

    @_do.register
    def _(self, command: do.StopTraining) -> list[Event]:
        self._stopping = True
        return []

    @_do.register
    def _(self, command: do.Preview) -> list[Event]:
        return [look(self._need_trainer(), command)]

    @_do.register
    def _(self, command: do.PredictView) -> list[Event]:
        events: list[Event] = self._give_up_view()
        self._view, self._view_step = (command, None), self._step + command.after
        return events

    @_do.register
    def _(self, command: do.PredictImage) -> list[Event]:
        self._jobs.append((command, self._predict_image(command)))
        return []

    @_do.register
    def _(self, command: do.Cancel) -> list[Event]:
        if self._view is not None and self._view[0].request == command.request:
            return self._give_up_view()
        if not self._drop_jobs(lambda job: job.request == command.request):
            return []
        return [PredictionDone(command.request, cancelled=True, step=self._step)]

    @_do.register
    def _(self, command: do.Compare) -> list[Event]:
        return [Compared(command.request, compare(command))]

    @_do.register
    def _(self, command: do.Review) -> list[Event]:
        self._drop_jobs(lambda job: type(job) is type(command))
        self._jobs.appendleft((command, self._review(command)))
        return []

    # ------------------------------------------------------------------ work

    def work(self) -> list[Event]:
        """Do one small piece of the work in hand."""
        if self._view is not None and (self._training is None or self._step >= self._view_step):
            return self._work_view(*self._view)
        self._turn += 1
        if self._training is not None and (not self._jobs or self._turn % 2):
            return self._work_training(self._training)
        if self._jobs:
            return self._work_job(*self._jobs[0])
        return []

    def _work_training(self, training: Iterator[Event]) -> list[Event]:
        try:
            event = next(training, None)
        except NapariUnetError as error:
            self._training = None
            return [Failed(str(error))]
        if event is None:
            self._training = None
            return []
        if isinstance(event, Finished):
            self._history = (*self._history, history_entry(event, self._loss))
            return [*self._write_snapshot(force=True), replace(event, model=None)]
        if isinstance(event, Step):
            self._loss = event.loss
            return [event, *self._write_snapshot()]
        return [event]

    def _work_view(self, command: do.PredictView, tiles: Iterator[Event] | None) -> list[Event]:
        try:
            tiles = tiles or self._predict_view(command)
            event = next(tiles, None)
        except NapariUnetError as error:
            self._view = None
            return [Failed(str(error), command.request)]
        self._view = None if event is None else (command, tiles)
        return [event or PredictionDone(command.request, cancelled=False, step=self._step)]

    def _work_job(self, command: do.PredictImage | do.Review, tiles: Iterator[Event]) -> list[Event]:
        try:
            event = next(tiles, None)
        except NapariUnetError as error:
            self._jobs.popleft()
            return [Failed(str(error), command.request)]
        if event is not None:
            return [event]
        self._jobs.popleft()
        return_memory()
        return [PredictionDone(command.request, cancelled=False, step=self._step)]

    def _predict_view(self, command: do.PredictView) -> Iterator[Event]:
        trainer, image = self._need_trained(), self._image(command.key)
        tiles = self._predictor(trainer, PredictConfig()).tiles(
            image.source(trainer.model),
            output="probabilities" if command.soft else command.output,
            normalizer=image.normalizer(trainer.model),
            leads=[command.lead],
            box=[slice(*edge) for edge in command.box],
        )
        for event in tiles:
            if not isinstance(event, TileDone):
                yield event
            elif command.soft and event.data is not None:
                labels, codes = soften(event.data, len(trainer.model.classes))  # type: ignore[arg-type]
                yield replace(self._tile(command.request, event, labels), soft=codes)
            else:
                yield self._tile(command.request, event, event.data)

    def _predict_image(self, command: do.PredictImage) -> Generator[Event]:
        trainer, image = self._need_trained(), self._image(command.key)
        target, handle = open_array(command.target)
        try:
            yield from self._fill(command, trainer, image, target)
        finally:
            del target
            close_array(handle)

    def _fill(self, command: do.PredictImage, trainer: Trainer, image: KnownImage, target: Any) -> Iterator[Event]:
        config = command.config
        source = image.source(trainer.model, config.channels)
        if tuple(target.shape) != source.label_shape:
            raise SessionError(f"give a target of shape {source.label_shape}, not {tuple(target.shape)}")
        if config.output not in ("labels", "instances"):
            raise SessionError("ask for labels or instances: probabilities of a whole image go to a file")
        tiles = self._predictor(trainer, config).tiles(
            source, output=config.output, normalizer=image.normalizer(trainer.model, config.channels)
        )
        for event in tiles:
            if isinstance(event, TileDone) and event.data is not None:
                target[event.index] = as_wanted(event.data, config)
                yield self._tile(command.request, event, None)
            else:
                yield event

    def _review(self, command: do.Review) -> Generator[Event]:
        trainer, image, strokes = self._need_trained(), self._image(command.key), self._strokes.get(command.key)
        known = (strokes.array, strokes.complete) if strokes is not None else ()
        predictor, source = self._predictor(trainer, PredictConfig()), image.source(trainer.model)
        yield from review(command, Subject(predictor, source, image.normalizer(trainer.model), *known))

    def _tile(self, request: int, event: TileDone, data: Any) -> Tile:
        return Tile(request, event.index, data, event.done, event.total, self._step)

    # ------------------------------------------------------------------ parts

    @property
    def _step(self) -> int:
        return self._trainer.step if self._trainer is not None else 0

    def _need_trainer(self) -> Trainer:
        if self._trainer is None:
            raise SessionError("make a new model or load one first")
        return self._trainer

    def _need_trained(self) -> Trainer:
        trainer = self._need_trainer()
        if trainer.step == 0:
            raise SessionError("train the model first, or load one: this one has not learnt anything yet")
        return trainer

    def _image(self, key: str) -> KnownImage:
        if key not in self._images:
            raise SessionError("choose the image again: it is not known any more")
        return self._images[key]

    def _predictor(self, trainer: Trainer, config: PredictConfig) -> Predictor:
        plain = PredictConfig()
        names = ("output", "half", "background_zero", "channels")
        key = config.replace(device=self._device, **{name: getattr(plain, name) for name in names})
        if key not in self._predictors:
            self._predictors[key] = predictor_for(trainer.prediction_network(), trainer.model, key)
        return self._predictors[key]

    def _model(self) -> Model:
        return Model.from_trainer(self._need_trainer(), self._history)

    def _use(self, trainer: Trainer) -> None:
        self.stop_work()
        self._trainer = trainer
        self._predictors = {}
        for key in self._strokes:
            self._teach(key)

    def _news(self) -> list[Event]:
        """How new strokes were predicted before they are learnt."""
        return [] if self._trainer is None else self._trainer.news()

    def _teach(self, key: str, places: Sequence[do.Box | None] | None = None) -> None:
        """Give the trainer the image and strokes `key` as they are now, all of them or those at `places`."""
        trainer, strokes = self._trainer, self._strokes[key]
        if trainer is None:
            return
        image = self._image(key)
        trainer.set_image(key, image.array, image.axes)
        places = strokes.places if places is None else places
        for place in [None] if None in places else places:
            trainer.set_strokes(key, strokes.array, strokes.complete, place)

    def _forget(self, key: str) -> None:
        self._drop_work(key)
        if self._trainer is not None:
            self._trainer.remove(key)
        for known in (self._images.pop(key, None), self._strokes.pop(key, None)):
            if known is not None:
                known.close()

    def _drop_jobs(self, unwanted: Callable[[do.PredictImage | do.Review], bool]) -> int:
        """Give up the whole images that are `unwanted`; their number."""
        dropped = [job for job in self._jobs if unwanted(job[0])]
        self._jobs = deque(job for job in self._jobs if not unwanted(job[0]))
        for _, tiles in dropped:
            tiles.close()
        return len(dropped)

    def _drop_work(self, key: str) -> None:
        """Give up every prediction of image `key`."""
        self._drop_jobs(lambda job: job.key == key)
        if self._view is not None and self._view[0].key == key:
            self._view = None

    def _give_up_view(self) -> list[Event]:
        if self._view is None:
            return []
        request, self._view = self._view[0].request, None
        return [PredictionDone(request, cancelled=True, step=self._step)]

    def _end_training(self) -> None:
        if self._training is not None:
            self._training.close()  # type: ignore[attr-defined]
            self._training = None

    def stop_work(self) -> None:
        """End training and predictions without a word; the model stays."""
        self._end_training()
        self._view = None
        self._drop_jobs(lambda job: True)

    def _keep_now(self) -> list[Event]:
        """Write the model to where it is kept, if there is such a place."""
        return self._write_snapshot(force=True) if self._kept is not None else []

    def _write_snapshot(self, *, force: bool = False) -> list[Event]:
        """Keep the model safe when it is time; that it cannot be is no reason to stop, and said once."""
        now = time.monotonic()
        places = [place for place in (self._kept, self._snapshot) if place is not None]
        if not places or not self._step or (not force and now - self._snapshot_time < SNAPSHOT_SECONDS):
            return []
        self._snapshot_time = now
        warnings: list[Event] = []
        for place in places:
            try:
                self._model().save(place)
            except ModelFileError as error:
                warnings = [Warned(f"Training goes on without a safety copy of the model: {error}")]
            else:
                return [*self._warn_once(warnings), SnapshotSaved(str(place), self._step)]
        return self._warn_once(warnings)

    def _warn_once(self, warnings: list[Event]) -> list[Event]:
        """The warnings, unless they were given at the last snapshot."""
        told, self._unsafe = self._unsafe, bool(warnings)
        return [] if told else warnings
