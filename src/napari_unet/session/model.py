"""The Python surface: `Model`, `train` and `fit`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch

from napari_unet.config import ModelConfig, Output, PredictConfig, TrainConfig
from napari_unet.data.channels import finest, source_for
from napari_unet.data.source import ArrayLike, ImageSource, guess_axes
from napari_unet.errors import AnnotationError, ConfigError, ModelFileError
from napari_unet.events import Event, Finished, Step, TileDone, VolumeDone, Warned, never
from napari_unet.io.images import read_image
from napari_unet.io.model_file import ModelHeader, load_model, save_model
from napari_unet.networks import build_network, estimate, geometry
from napari_unet.networks.inference import prune
from napari_unet.prediction.outputs import as_wanted
from napari_unet.prediction.regions import predict_boxes
from napari_unet.prediction.rescaling import predictor_for
from napari_unet.session.keeping import Keeper
from napari_unet.session.volume import VolumeJob, segment_volume
from napari_unet.standard import standard_model
from napari_unet.training.loop import Trainer
from napari_unet.training.start import adapted_state

if TYPE_CHECKING:
    from napari_unet.session.commands import Box

log = logging.getLogger(__name__)

DEFAULT_SECONDS = 60.0
CHECKPOINT_SECONDS = 60.0


class Model:
    """A trained network with all that is needed to use it.

    Parameters
    ----------
    network : torch.nn.Module
        From `build_network(config)`: ``(N, C, *spatial)`` to logits ``(N, K, *spatial)``.
    config : ModelConfig
        Architecture, classes, normalisation.
    step : int
        Optimiser steps trained so far.
    history : tuple of dict
        One entry per training: steps, seconds, final loss.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).random((64, 64)); image[16:40, 16:40] += 2
    >>> strokes = np.zeros((64, 64), np.uint8); strokes[20:36, 28] = 2; strokes[4:60, 5] = 1
    >>> model = fit(image, strokes, model=ModelConfig(width=4, depth=2), steps=2)
    >>> model.predict(image).shape
    (64, 64)
    """

    def __init__(
        self,
        network: torch.nn.Module,
        config: ModelConfig,
        *,
        step: int = 0,
        history: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.network = network
        self.config = config
        self.step = step
        self.history: tuple[dict[str, Any], ...] = tuple(dict(entry) for entry in history)

    def __repr__(self) -> str:
        classes = ", ".join(self.config.classes)
        return f"Model({self.config.architecture}, {self.config.ndim}D, classes: {classes}; {self.step} steps)"

    @classmethod
    def from_trainer(cls, trainer: Trainer, history: Sequence[Mapping[str, Any]] = ()) -> Self:
        """The model as `trainer` would predict with it now; a copy that further training does not change."""
        return cls._from_state(trainer.model, trainer.prediction_state(), step=trainer.step, history=history)

    @classmethod
    def _from_state(cls, config: ModelConfig, state: Mapping[str, torch.Tensor], **about: Any) -> Self:
        network = build_network(config, pretrained=False)
        network.load_state_dict(dict(state))
        return cls(network.eval(), config, **about)

    def predict(
        self,
        image: ArrayLike,
        axes: str | None = None,
        output: Output = "labels",
        tile: int | None = None,
        device: str = "auto",
        *,
        channels: Sequence[str | int] = (),
        names: Sequence[str] = (),
        spacing: Sequence[float] | None = None,
        config: PredictConfig | None = None,
        leads: Sequence[tuple[int, ...]] | None = None,
        box: Sequence[slice] | None = None,
    ) -> npt.NDArray[Any]:
        """Segment an image of any size, or a part of it.

        Parameters
        ----------
        image : array-like
            numpy, memmap, Zarr or dask array with axes `axes`; of a list of resolutions the first, the finest.
        axes : str, optional
            For example ``"TZCYX"``; guessed from the shape if not given (the last are ``ZYX``).
        output : {"labels", "probabilities", "instances", "uncertainty"}
            Class labels in the strokes' values (1 = background), ``(K, *label axes)`` float32 probabilities, objects
            0 and 1..N, or the entropy of the probabilities, 0 to 1.
        tile : int, optional
            Edge of a tile in pixels; the result does not depend on it.
        device : str
            ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        channels : sequence of str or int, optional
            Channels to read, by name or number from 0; by default those that the model names, or all.
        names : sequence of str, optional
            What the channels of the image are called.
        spacing : sequence of float, optional
            Pixel size of the image along ``ZYX`` or ``YX``: it is brought to the model's, and the result back on the
            image's grid. By default the image is taken as it is.
        config : PredictConfig, optional
            All settings, in the place of `output`, `tile`, `device` and `channels`.
        leads : sequence of tuple of int, optional
            Positions along the axes before the spatial ones; by default all.
        box : sequence of slice, optional
            Part of the spatial axes; outside the result is 0.

        Returns
        -------
        ndarray
            Of the image's shape without its channel axis, preceded by K for probabilities.

        Raises
        ------
        ImageError
            When axes or channels do not fit the model, or a pixel size is not known.
        """
        axes = axes or _axes_for(finest(image), self.config)
        settings = config or PredictConfig(device=device, tile=tile, rescale=spacing is not None, output=output)
        source = source_for(self.config, image, axes, names=names, wanted=settings.channels or channels)
        predictor = predictor_for(self.network, self.config, settings, spacing=spacing)
        result = predictor.predict(source, output=settings.output, leads=leads, box=box)
        return as_wanted(result, settings)

    def predict_boxes(
        self,
        image: ArrayLike,
        boxes: Sequence[Sequence[slice]],
        axes: str | None = None,
        config: PredictConfig | None = None,
        centre: Sequence[int] | None = None,
        spacing: Sequence[float] | None = None,
    ) -> Iterator[TileDone | Warned]:
        """Segment parts of an image, at each position along its other axes; only they and what lies close are read.

        Parameters
        ----------
        image, axes, config, spacing
            As for `predict`; objects need the whole image.
        boxes : sequence of sequence of slice
            Ranges of pixels along ``ZYX`` or ``YX``; where they overlap, a pixel comes once.
        centre : sequence of int, optional
            Boxes near this pixel come first; by default they come as they are given.

        Returns
        -------
        iterator of TileDone and Warned
            Parts of the result as ``event.data``, with their place in the whole as ``event.index``.
        """
        settings = config or PredictConfig()
        source = source_for(self.config, image, axes or _axes_for(finest(image), self.config), wanted=settings.channels)
        predictor = predictor_for(self.network, self.config, settings, spacing=spacing)
        return predict_boxes(predictor, source, boxes, output=settings.output, centre=centre)

    def predict_to(
        self,
        target: str | os.PathLike[str],
        image: ArrayLike | str | os.PathLike[str],
        axes: str | None = None,
        *,
        config: PredictConfig | None = None,
        names: Sequence[str] = (),
        spacing: Sequence[float] | None = None,
        resume: bool = False,
        overwrite: bool = False,
        should_stop: Callable[[], bool] = never,
        report: Callable[[Event], object] | None = None,
    ) -> VolumeDone:
        """Segment an image that need not fit in memory into an OME-Zarr store.

        It can be stopped or killed at any moment: what is written can be read, and with `resume` it goes on where it
        was.

        Parameters
        ----------
        target : path-like
            Folder to write, usually ``.ome.zarr``. Nothing is written outside it.
        image : array-like or path-like
            numpy, memmap, Zarr or dask array, or an image file; read piece by piece.
        axes : str, optional
            For example ``"TZCYX"``; by default those of the file, or guessed from the shape.
        config : PredictConfig, optional
            Output, channels, rescaling, and the memory to work in, 2 GB by default.
        names, spacing : optional
            Names of the channels and pixel size along ``ZYX`` or ``YX`` in micrometres; by default those of the file.
        resume : bool
            Go on with a store that was begun with the same model, image and settings.
        overwrite : bool
            Replace an existing store.
        should_stop : callable
            Polled before every tile; returning True ends the work, to be resumed later.
        report : callable, optional
            Told every event, for progress with the remaining time; by default warnings are logged.

        Returns
        -------
        VolumeDone
            Whether it is complete.

        Raises
        ------
        ConfigError, ImageError, PredictionError
            In one sentence.

        Examples
        --------
        >>> import tempfile, zarr
        >>> model = Model(build_network(ModelConfig(width=4, depth=2)), ModelConfig(width=4, depth=2))
        >>> done = model.predict_to(tempfile.mkdtemp() + "/labels.ome.zarr", np.eye(70), "YX")
        >>> zarr.open_group(done.path, mode="r")["0"].shape
        (70, 70)
        """
        settings = config or PredictConfig()
        if isinstance(image, (str, os.PathLike)):
            file = read_image(image)
            image, axes, names = file.array, axes or file.axes, names or file.channels
            spacing = spacing or file.spacing
        axes = axes or _axes_for(finest(image), self.config)
        source = source_for(self.config, image, axes, names=names, wanted=settings.channels)
        job = VolumeJob(self.network, self.config, source, Path(target), settings, tuple(spacing) if spacing else None)
        done: VolumeDone | None = None
        for event in segment_volume(job, resume=resume, overwrite=overwrite, should_stop=should_stop):
            done = event if isinstance(event, VolumeDone) else None
            if report is not None:
                report(event)
            elif isinstance(event, Warned):
                log.warning(event.message)
        assert done is not None  # it is always the last event
        return done

    def pruned(self, depth: int) -> Self:
        """The U-Net++ of a smaller depth inside this one: faster, and coarser; it is saved as a file of its own.

        Raises
        ------
        ConfigError
            When this is no U-Net++ that learnt with deep supervision, or has no such depth.
        """
        network, config = prune(self.network, self.config, depth)
        return type(self)(network, config, step=self.step, history=self.history)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file; an interrupted or failed write leaves an older file as it was.

        Raises
        ------
        ModelFileError
            When the file cannot be written.
        """
        header = ModelHeader.now(model=self.config, step=self.step, history=self.history)
        save_model(path, self.network.state_dict(), header)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model file; nothing in it is executed.

        Raises
        ------
        ModelFileError
            When the file is missing, corrupt, or not a napari-unet model.
        """
        state, header = load_model(path)
        try:
            _check_size(path, header.model, state)
            return cls._from_state(header.model, state, step=header.step, history=header.history)
        except (RuntimeError, ConfigError) as error:
            raise ModelFileError(_foreign(path)) from error


def _check_size(path: str | os.PathLike[str], config: ModelConfig, state: Mapping[str, torch.Tensor]) -> None:
    """Refuse a file that describes a larger network than it holds, before anything of that size is allocated."""
    stride = geometry(config).stride
    needed = estimate(config, stride, batch=1, training=False).parameters
    if needed > sum(tensor.numel() for tensor in state.values()):
        raise ModelFileError(_foreign(path))


def _foreign(path: str | os.PathLike[str]) -> str:
    return f"choose another model file: the weights in '{os.fspath(path)}' do not belong to the network it describes"


def train(
    images: ArrayLike | Sequence[ArrayLike],
    annotations: ArrayLike | Sequence[ArrayLike],
    *,
    model: ModelConfig | Model | None = None,
    adapt: ModelConfig | None = None,
    training: TrainConfig | None = None,
    axes: str | None = None,
    complete: Sequence[Sequence[Box]] = (),
    names: Sequence[Sequence[str]] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    resume: bool = False,
    should_stop: Callable[[], bool] = never,
) -> Iterator[Event]:
    """Learn from strokes, one event at a time.

    Parameters
    ----------
    images : array-like or sequence of array-like
        One image or several, of any sizes, all with axes `axes`.
    annotations : array-like or sequence of array-like
        Strokes per image, of the image's shape without channels: 0 = not annotated, 1 = background, 2, 3, ... =
        classes (or single objects for an instance model).
    model : ModelConfig or Model, optional
        What to build, or the model to go on with (it is copied). By default the standard 2D U-Net for the images'
        channels and the annotations' classes, which begins from the weights that come with the package.
    adapt : ModelConfig, optional
        Go on with `model` as this network, which may have other classes (those of the same name keep what they know),
        another number of channels, or other settings that leave the shapes of the weights as they are.
    training : TrainConfig, optional
        Budget and settings; without a budget it goes on until `should_stop`. ``learns`` says what a given model
        learns anew.
    axes : str, optional
        For example ``"TZCYX"``; guessed from the shape if not given.
    complete : sequence of sequence of boxes, optional
        Per image, the regions in which every unpainted pixel is background, ``((start, stop), ...)`` per label axis.
    names : sequence of sequence of str, optional
        Per image, what its channels are called: a model that names its channels reads those.
    checkpoint : path-like, optional
        File that all that is needed to go on is written to, every `checkpoint_seconds` and at the end.
    checkpoint_seconds : float
        Time between two checkpoints.
    resume : bool
        Go on from `checkpoint`, if that file is there, as if the training had never been interrupted; `model` is then
        the one in the file. Images, annotations and settings must be those of the interrupted training.
    should_stop : callable
        Polled at every step; returning True ends the training, and keeps the model.

    Yields
    ------
    Event
        `Started`, then `Step` and perhaps `Warned`; `Validated` with scores on held-out strokes, as soon as there are
        enough strokes to hold some out; at last `Finished`, whose `model` is the result.

    Raises
    ------
    AnnotationError, ImageError, ConfigError
        In one sentence, before anything is trained.
    """
    image_list, annotation_list = _listed(images), _listed(annotations)
    if len(image_list) != len(annotation_list):
        raise AnnotationError(
            f"give one annotation for each image: there are {len(image_list)} images and "
            f"{len(annotation_list)} annotations"
        )
    training = training or TrainConfig()
    keeper = Keeper(checkpoint, checkpoint_seconds) if checkpoint is not None else None
    trainer, history = _trainer(image_list, annotation_list, model, training, axes, adapt)
    found = keeper.load() if keeper is not None and resume else None
    if found is not None:
        trainer, history = Trainer(found[1].model, training), found[1].history
    for number, (image, strokes) in enumerate(zip(image_list, annotation_list, strict=True)):
        trainer.set_image(str(number), image, axes or _axes_for(image, trainer.model), names[number] if names else ())
        trainer.set_strokes(str(number), np.asarray(strokes), complete[number] if complete else ())
    if found is not None:
        trainer.restore(found[0], found[1].facts)
    yield from _completed(trainer, history, should_stop, keeper, resume=found is not None)


def fit(
    images: ArrayLike | Sequence[ArrayLike],
    annotations: ArrayLike | Sequence[ArrayLike],
    *,
    model: ModelConfig | Model | None = None,
    seconds: float | None = None,
    steps: int | None = None,
    adapt: ModelConfig | None = None,
    training: TrainConfig | None = None,
    axes: str | None = None,
    complete: Sequence[Sequence[Box]] = (),
    names: Sequence[Sequence[str]] = (),
) -> Model:
    """Learn from strokes until the budget is used or nothing improves (60 s if neither is given); return the model.

    See `train` for the parameters; `seconds` and `steps` override the budget in `training`.
    """
    config = training or TrainConfig()
    if seconds is not None or steps is not None:
        config = config.replace(seconds=seconds, steps=steps)
    elif config.seconds is None and config.steps is None and config.patience is None:
        config = config.replace(seconds=DEFAULT_SECONDS)
    events = train(
        images, annotations, model=model, adapt=adapt, training=config, axes=axes, complete=complete, names=names
    )
    finished = [event for event in events if isinstance(event, Finished)]
    result: Model = finished[-1].model
    return result


def default_model(image: ArrayLike, axes: str, annotations: Sequence[ArrayLike]) -> ModelConfig:
    """The standard model for the channels of `image` and the classes of `annotations`."""
    top = max((int(np.max(np.asarray(strokes), initial=0)) for strokes in annotations), default=0)
    names = ("background", "cell", *(f"class {value}" for value in range(3, top + 1)))
    return standard_model(in_channels=ImageSource(image, axes, 2).channels, classes=names)


def history_entry(finished: Finished, loss: float) -> dict[str, Any]:
    """What the model file remembers of one training."""
    return {"steps": finished.step, "seconds": round(finished.seconds, 1), "loss": loss, "ended": finished.reason}


def _completed(
    trainer: Trainer,
    history: tuple[dict[str, Any], ...],
    should_stop: Callable[[], bool],
    keeper: Keeper | None,
    *,
    resume: bool,
) -> Iterator[Event]:
    """The trainer's events and checkpoints, with the model put into the last one."""
    loss = float("nan")
    for event in trainer.run(should_stop=should_stop, resume=resume):
        if isinstance(event, Step):
            loss = event.loss
        if keeper is not None and isinstance(event, Step | Finished):
            yield from keeper.keep(trainer, history, force=isinstance(event, Finished))
        if isinstance(event, Finished):
            entries = (*history, history_entry(event, loss))
            yield replace(event, model=Model.from_trainer(trainer, entries))
        else:
            yield event


def _trainer(
    images: Sequence[ArrayLike],
    annotations: Sequence[ArrayLike],
    model: ModelConfig | Model | None,
    training: TrainConfig,
    axes: str | None,
    adapt: ModelConfig | None,
) -> tuple[Trainer, tuple[dict[str, Any], ...]]:
    if isinstance(model, Model):
        state, config = model.network.state_dict(), adapt or model.config
        if config != model.config:
            state = adapted_state(state, model.config, config)
        adapted = config != model.config
        return Trainer(config, training, state=state, step=model.step, adapted=adapted), model.history
    if adapt is not None:
        raise ConfigError("give the model to adapt as `model`: there are no weights to carry over")
    if model is None:
        if not images:
            raise ConfigError("give at least one image")
        model = default_model(images[0], axes or guess_axes(images[0].shape), annotations)
    return Trainer(model, training), ()


def _axes_for(image: ArrayLike, model: ModelConfig) -> str:
    """Axes by the shape; an image with one more axis than the model needs and as many channels is RGB-like."""
    shape = image.shape
    rgb = model.in_channels > 1 and len(shape) > model.ndim and shape[-1] == model.in_channels
    return guess_axes(shape, rgb=rgb)


def _listed(arrays: ArrayLike | Sequence[ArrayLike]) -> list[ArrayLike]:
    """One array, or a sequence of arrays, as a list."""
    return [arrays] if hasattr(arrays, "shape") else list(arrays)  # type: ignore[list-item]
