"""What a session predicts: the field of view, whole images, and answers to questions about them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.config import InstanceConfig, PredictConfig
from napari_unet.errors import NapariUnetError, SessionError
from napari_unet.events import Event, TileDone
from napari_unet.networks.device import return_memory
from napari_unet.prediction.instances import instances
from napari_unet.prediction.outputs import as_wanted
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.rescaling import predictor_for
from napari_unet.session import commands as do
from napari_unet.session.arrays import close_array, open_array
from napari_unet.session.folder_run import segment_files
from napari_unet.session.known import Known, KnownImage
from napari_unet.session.messages import Failed, Looking, PredictionDone, Tile
from napari_unet.session.model import Model
from napari_unet.session.results import form_of_result
from napari_unet.session.reviewing import Subject, review
from napari_unet.session.soft import soften
from napari_unet.standard import begins_from_base
from napari_unet.training.loop import Trainer

#: What waits its turn; the field of view does not.
Job = do.PredictImage | do.PredictFiles | do.PreviewObjects | do.Review


class Predicting:
    """A field of view, and a queue of whole images and reviews.

    Parameters
    ----------
    known : Known
    device : str
        As in `TrainConfig`.
    model : callable
        Gives a copy of the model as it is.
    """

    def __init__(self, known: Known, device: str, model: Callable[[], Model]) -> None:
        self._known, self._device, self._model = known, device, model
        self._trainer: Trainer | None = None
        self._predictors: dict[PredictConfig, Predictor] = {}
        self._found: tuple[tuple[Any, ...], npt.NDArray[Any]] | None = None
        self._view: tuple[do.PredictView, Iterator[Event] | None] | None = None
        self._view_step = 0
        self._jobs: deque[tuple[Job, Generator[Event]]] = deque()

    @property
    def sees(self) -> bool:
        """Whether a field of view is to be predicted."""
        return self._view is not None

    def is_due(self, *, learning: bool) -> bool:
        """Whether the field of view is to be predicted now; one that waits for a step waits while it is `learning`."""
        return self.sees and (not learning or self._step >= self._view_step)

    @property
    def has_jobs(self) -> bool:
        """Whether whole images or reviews are under way."""
        return bool(self._jobs)

    # ------------------------------------------------------------------ what is asked

    def use_device(self, device: str) -> None:
        """Predict on another device from now on."""
        self._device, self._predictors = device, {}

    def use(self, trainer: Trainer) -> None:
        """Predict with this model from now on."""
        self._trainer, self._predictors, self._found = trainer, {}, None

    def view(self, command: do.PredictView) -> list[Event]:
        """Look here, and no longer where it looked before."""
        events = self._give_up_view()
        self._view, self._view_step = (command, None), self._step + command.after
        return events

    def add(self, command: Job) -> None:
        """Do this when the others are done; what is soon answered before them, in the place of the last of its kind."""
        if isinstance(command, do.PredictImage):
            self._jobs.append((command, self._image(command)))
        elif isinstance(command, do.PredictFiles):
            self._jobs.append((command, self._files(command)))
        else:
            self._drop(lambda job: type(job) is type(command))
            work = self._preview(command) if isinstance(command, do.PreviewObjects) else self._review(command)
            self._jobs.appendleft((command, work))

    def cancel(self, request: int) -> list[Event]:
        """Give up what was asked for under this number."""
        if self._view is not None and self._view[0].request == request:
            return self._give_up_view()
        if not self._drop(lambda job: job.request == request):
            return []
        return [PredictionDone(request, cancelled=True, step=self._step)]

    def forget(self, key: str) -> None:
        """Give up every prediction of image `key`."""
        self._drop(lambda job: job.key == key)
        if self._view is not None and self._view[0].key == key:
            self._view = None

    def stop(self) -> None:
        """Give up everything without a word."""
        self._view = None
        self._drop(lambda job: True)

    # ------------------------------------------------------------------ work

    def work_view(self) -> list[Event]:
        """Predict one tile of the field of view."""
        if self._view is None:
            return []
        command, tiles = self._view
        try:
            tiles = tiles or self._tiles_of_view(command)
            event = next(tiles, None)
        except NapariUnetError as error:
            self._view = None
            return [Failed(str(error), command.request)]
        self._view = None if event is None else (command, tiles)
        return [event or PredictionDone(command.request, cancelled=False, step=self._step)]

    def work_job(self) -> list[Event]:
        """Do one piece of the first job."""
        command, tiles = self._jobs[0]
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

    def _tiles_of_view(self, command: do.PredictView) -> Iterator[Event]:
        trainer, image = self._need_trained(), self._known.image(command.key)
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

    def _image(self, command: do.PredictImage) -> Generator[Event]:
        trainer, image = self._need_trained(), self._known.image(command.key)
        target, handle = open_array(command.target)
        try:
            yield from self._fill(command, trainer, image, target)
        finally:
            del target
            close_array(handle)

    def _fill(self, command: do.PredictImage, trainer: Trainer, image: KnownImage, target: Any) -> Iterator[Event]:
        config = command.config
        source = image.source(trainer.model, config.channels)
        wanted, _ = form_of_result(trainer.model, config, source.label_shape)
        if tuple(target.shape) != wanted:
            raise SessionError(f"give a target of shape {wanted}, not {tuple(target.shape)}")
        tiles = self._predictor(trainer, config).tiles(
            source,
            output=config.output,
            normalizer=image.normalizer(trainer.model, config.channels),
            leads=command.leads,
            box=None if command.box is None else [slice(*edge) for edge in command.box],
        )
        for event in tiles:
            if isinstance(event, TileDone) and event.data is not None:
                target[(..., *event.index)] = as_wanted(event.data, config)
                yield self._tile(command.request, event, None)
            else:
                yield event

    def _files(self, command: do.PredictFiles) -> Generator[Event]:
        self._need_trained()
        config = command.config.model_copy(update={"device": self._device})
        # a copy: it may learn while it segments, and all files are to be segmented by the same
        return segment_files(self._model(), command.items, config, overwrite=command.overwrite, request=command.request)

    def _preview(self, command: do.PreviewObjects) -> Generator[Event]:
        trainer, box = self._need_trained(), [slice(*edge) for edge in command.box]
        key = (command.key, command.lead, command.box, trainer.step, command.config.replace(instances=InstanceConfig()))
        if self._found is None or self._found[0] != key:
            self._found = None
            found = np.zeros((len(trainer.model.outputs), *(part.stop - part.start for part in box)), np.float32)
            yield from self._find(command, box, found)
            self._found = (key, found)
        objects = instances(self._found[1], command.config.instances, boundary=trainer.model.has_boundary)
        yield Tile(command.request, (*command.lead, *box), objects, 1, 1, self._step)

    def _find(self, command: do.PreviewObjects, box: list[slice], found: npt.NDArray[Any]) -> Iterator[Event]:
        """Predict the probabilities of a box."""
        trainer, image = self._need_trained(), self._known.image(command.key)
        tiles = self._predictor(trainer, command.config).tiles(
            image.source(trainer.model, command.config.channels),
            output="probabilities",
            normalizer=image.normalizer(trainer.model, command.config.channels),
            leads=[command.lead],
            box=box,
        )
        for event in tiles:
            if isinstance(event, TileDone):
                spatial = [part for part in event.index if isinstance(part, slice)]
                at = tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(spatial, box, strict=True))
                found[(slice(None), *at)] = event.data
                yield Looking(command.request, event.done, event.total)
            else:
                yield event

    def _review(self, command: do.Review) -> Generator[Event]:
        trainer, image = self._need_trained(), self._known.image(command.key)
        strokes = self._known.strokes.get(command.key)
        known = (strokes.array, strokes.complete) if strokes is not None else ()
        predictor, source = self._predictor(trainer, PredictConfig()), image.source(trainer.model)
        yield from review(command, Subject(predictor, source, image.normalizer(trainer.model), *known))

    # ------------------------------------------------------------------ parts

    @property
    def _step(self) -> int:
        return self._trainer.step if self._trainer is not None else 0

    def _need_trained(self) -> Trainer:
        if self._trainer is None:
            raise SessionError("make a new model or load one first")
        if self._trainer.step == 0 and not begins_from_base(self._trainer.model):
            raise SessionError("train the model first, or load one: this one has not learnt anything yet")
        return self._trainer

    def _predictor(self, trainer: Trainer, config: PredictConfig) -> Predictor:
        plain = PredictConfig()
        names = ("output", "half", "background_zero", "channels")
        key = config.replace(device=self._device, **{name: getattr(plain, name) for name in names})
        if key not in self._predictors:
            self._predictors[key] = predictor_for(trainer.prediction_network(), trainer.model, key)
        return self._predictors[key]

    def _tile(self, request: int, event: TileDone, data: Any) -> Tile:
        return Tile(request, event.index, data, event.done, event.total, self._step)

    def _drop(self, unwanted: Callable[[Job], bool]) -> int:
        """Give up the jobs that are `unwanted`; their number."""
        dropped = [job for job in self._jobs if unwanted(job[0])]
        self._jobs = deque(job for job in self._jobs if not unwanted(job[0]))
        for _, work in dropped:
            work.close()
        return len(dropped)

    def _give_up_view(self) -> list[Event]:
        if self._view is None:
            return []
        request, self._view = self._view[0].request, None
        return [PredictionDone(request, cancelled=True, step=self._step)]
