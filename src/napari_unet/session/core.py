"""The session's state and its work: it takes commands, and trains and predicts in small turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import singledispatchmethod
from pathlib import Path
from typing import Any

from napari_unet.config import TrainConfig
from napari_unet.errors import NapariUnetError, SessionError
from napari_unet.events import Event, Finished, Saved, StatesChanged, Step, Warned
from napari_unet.session import commands as do
from napari_unet.session.comparing import compare
from napari_unet.session.known import Known
from napari_unet.session.machine import estimate_costs, ready, use_threads
from napari_unet.session.messages import Compared, Failed, ModelChanged, Ready
from napari_unet.session.model import Model, history_entry
from napari_unet.session.patches import look
from napari_unet.session.predicting import Predicting
from napari_unet.session.safety import Safety
from napari_unet.training.descent import load_optimizers
from napari_unet.training.loop import Trainer
from napari_unet.training.start import adapted_state


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
        self._known = Known()
        self._safety = Safety(snapshot)
        self._predicting = Predicting(self._known, device, self._model)
        self._trainer: Trainer | None = None
        self._history: tuple[dict[str, Any], ...] = ()
        self._loss = float("nan")
        self._training: Iterator[Event] | None = None
        self._stopping = False
        self._turn = 0

    # ------------------------------------------------------------------ life

    def ready(self) -> Ready:
        """What to say first."""
        return ready(self._device)

    def make_ready(self) -> None:
        """Load what a training needs, which takes more than a second: for a time when nobody waits."""
        load_optimizers()

    @property
    def busy(self) -> bool:
        """Whether `work` has something to do."""
        return self._predicting.sees or self._training is not None or self._predicting.has_jobs

    def close(self) -> None:
        """Keep what was learnt since the last snapshot, and let go of all arrays."""
        if self._training is not None:
            self._keep(force=True)
        self.stop_work()
        self._trainer = None
        for key in self._known.keys():  # noqa: SIM118 - no dict
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
        self._predicting.forget(command.key)
        if self._trainer is not None:
            self._trainer.remove(command.key)
        self._known.set_image(command)
        return []

    @_do.register
    def _(self, command: do.SetStrokes) -> list[Event]:
        self._teach(command.key, self._known.set_strokes(command))
        return self._news()

    @_do.register
    def _(self, command: do.StrokesChanged) -> list[Event]:
        strokes = self._known.strokes.get(command.key)
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
        return [changed, *(self._keep_now() if command.path != str(self._safety.kept) else [])]

    @_do.register
    def _(self, command: do.KeepModel) -> list[Event]:
        self._safety.kept = Path(command.path)
        return self._keep_now() if command.now else []

    @_do.register
    def _(self, command: do.NameClasses) -> list[Event]:
        trainer = self._need_trainer()
        if len(command.classes) != len(trainer.model.classes):
            raise SessionError(f"give {len(trainer.model.classes)} names, one for each class of the model")
        trainer.model = trainer.model.replace(classes=command.classes, colors=command.colors)
        return [ModelChanged(trainer.model, trainer.step), *self._keep(force=True)]

    @_do.register
    def _(self, command: do.AdaptModel) -> list[Event]:
        old = self._need_trainer()
        state = adapted_state(old.prediction_state(), old.model, command.config)
        trainer = Trainer(command.config, TrainConfig(device=self._device), state=state, step=old.step, adapted=True)
        self._use(trainer)
        return [ModelChanged(command.config, old.step), StatesChanged(()), *self._keep(force=True)]

    @_do.register
    def _(self, command: do.GoBack) -> list[Event]:
        events = self._need_trainer().go_back(command.step)
        return [*events, *self._keep(force=True)]

    @_do.register
    def _(self, command: do.SaveModel) -> list[Event]:
        self._model().save(command.path)
        return [Saved(command.path)]

    @_do.register
    def _(self, command: do.Train) -> list[Event]:
        trainer = self._need_trainer()
        self._end_training()
        for key in self._known.strokes:
            self._teach(key)
        self._stopping = False
        self._safety.begin()
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
    def _(self, command: do.UseDevice) -> list[Event]:
        use_threads(command.threads)
        try:
            found = ready(command.device)
        except NapariUnetError as error:
            return [Warned(str(error)), ready(self._device)]
        self._device = command.device
        self._predicting.use_device(command.device)
        moved = self._trainer is not None and str(self._trainer.device) != found.device
        return [found, *(self._move() if moved else [])]

    @_do.register
    def _(self, command: do.EstimateCosts) -> list[Event]:
        return [estimate_costs(command, self._device)]

    @_do.register
    def _(self, command: do.PredictView) -> list[Event]:
        return self._predicting.view(command)

    @_do.register
    def _(self, command: do.PredictImage | do.PredictFiles | do.PreviewObjects | do.Review) -> list[Event]:
        self._predicting.add(command)
        return []

    @_do.register
    def _(self, command: do.Cancel) -> list[Event]:
        return self._predicting.cancel(command.request)

    @_do.register
    def _(self, command: do.Compare) -> list[Event]:
        return [Compared(command.request, compare(command))]

    def _move(self) -> list[Event]:
        """End a training under way, and go on with the model as it is where the session computes now."""
        events: list[Event] = []
        self._stopping = True
        while self._training is not None:
            events += self._work_training(self._training)
        old = self._need_trainer()
        self._use(Trainer(old.model, TrainConfig(device=self._device), state=old.prediction_state(), step=old.step))
        return [*events, StatesChanged(())]

    # ------------------------------------------------------------------ work

    def work(self) -> list[Event]:
        """Do one small piece of the work in hand."""
        if self._predicting.is_due(learning=self._training is not None):
            return self._predicting.work_view()
        self._turn += 1
        if self._training is not None and (not self._predicting.has_jobs or self._turn % 2):
            return self._work_training(self._training)
        if self._predicting.has_jobs:
            return self._predicting.work_job()
        return []

    def stop_work(self) -> None:
        """End training and predictions without a word; the model stays."""
        self._end_training()
        self._predicting.stop()

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
            return [*self._keep(force=True), replace(event, model=None)]
        if isinstance(event, Step):
            self._loss = event.loss
            return [event, *self._keep()]
        return [event]

    # ------------------------------------------------------------------ parts

    def _need_trainer(self) -> Trainer:
        if self._trainer is None:
            raise SessionError("make a new model or load one first")
        return self._trainer

    def _model(self) -> Model:
        return Model.from_trainer(self._need_trainer(), self._history)

    def _use(self, trainer: Trainer) -> None:
        self.stop_work()
        self._trainer = trainer
        self._predicting.use(trainer)
        for key in self._known.strokes:
            self._teach(key)

    def _news(self) -> list[Event]:
        """How new strokes were predicted before they are learnt."""
        return [] if self._trainer is None else self._trainer.news()

    def _teach(self, key: str, places: Sequence[do.Box | None] | None = None) -> None:
        """Give the trainer the image and strokes `key` as they are now, all of them or those at `places`."""
        trainer, strokes = self._trainer, self._known.strokes[key]
        if trainer is None:
            return
        image = self._known.image(key)
        trainer.set_image(key, image.array, image.axes)
        places = strokes.places if places is None else places
        for place in [None] if None in places else places:
            trainer.set_strokes(key, strokes.array, strokes.complete, place)

    def _forget(self, key: str) -> None:
        self._predicting.forget(key)
        if self._trainer is not None:
            self._trainer.remove(key)
        self._known.forget(key)

    def _end_training(self) -> None:
        if self._training is not None:
            self._training.close()  # type: ignore[attr-defined]
            self._training = None

    def _keep_now(self) -> list[Event]:
        """Write the model to where it is kept, if there is such a place."""
        return self._keep(force=True) if self._safety.kept is not None else []

    def _keep(self, *, force: bool = False) -> list[Event]:
        """Keep the model safe when it is time."""
        step = self._trainer.step if self._trainer is not None else 0
        return self._safety.write(self._model, step, force=force)
