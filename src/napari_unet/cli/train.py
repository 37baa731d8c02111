"""``napari-unet train``: learn from images and strokes in files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.cli.options import add_config, read_config, read_model
from napari_unet.cli.terminal import say
from napari_unet.cli.work import learn
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.errors import AnnotationError, ConfigError

if TYPE_CHECKING:
    from napari_unet.io.project_state import Settings
    from napari_unet.io.regions import Box

DEFAULT_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this command."""
    parser.add_argument("images", nargs="*", type=Path, metavar="IMAGE", help="Images: TIFF, PNG, JPEG, NPY, Zarr.")
    parser.add_argument(
        "--project", type=Path, metavar="FOLDER", help="Project painted in napari: its images, strokes and settings."
    )
    parser.add_argument(
        "--strokes",
        nargs="+",
        type=Path,
        default=[],
        metavar="STROKES",
        help="Strokes for each image: 0 not annotated, 1 background, 2, 3, ... classes.",
    )
    parser.add_argument("--model", type=Path, required=True, metavar="OUT", help="Model file to write.")
    parser.add_argument(
        "--start",
        type=Path,
        metavar="FILE",
        help="Model file to go on from, also with other --classes or --in-channels; else see --weights.",
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="File to keep the state of the training in, once a minute."
    )
    parser.add_argument(
        "--resume", action="store_true", help="Go on from the checkpoint, if it is there, as if never interrupted."
    )
    parser.add_argument("--axes", help="Axes of the images, for example TZCYX; read from the files if not given.")
    parser.add_argument("--dense", action="store_true", help="The strokes are complete masks with 0 as background.")
    parser.add_argument("--overwrite", action="store_true", help="Replace an existing model file.")
    add_config(parser, TrainConfig)
    add_config(parser, ModelConfig, skip=("colors",))


def run(options: argparse.Namespace) -> int:
    """Train and save the model."""
    from napari_unet.session.model import Model
    from napari_unet.training.parallel import leave, rank

    if options.resume and options.checkpoint is None:
        raise ConfigError("name the file to go on from with --checkpoint")
    if options.model.exists() and not options.overwrite:
        raise ConfigError(f"choose another name or add --overwrite: {options.model} exists")
    work = _load_project(options) if options.project else _load(options)
    training = read_config(options, TrainConfig, work.settings.training if work.settings else None)
    if training.seconds is None and training.steps is None and training.patience is None:
        training = training.replace(seconds=DEFAULT_SECONDS)
    start = Model.load(options.start) if options.start else _model_config(options, work)
    adapt = _adapted(options, start.config) if isinstance(start, Model) else None
    more = {"checkpoint": options.checkpoint, "resume": options.resume}
    more |= {"axes": work.axes, "names": work.names, "complete": work.complete}
    try:
        model = learn(work.images, work.strokes, model=start, adapt=adapt, training=training, **more)
    finally:
        leave()
    if rank() == 0:
        model.save(options.model)
        say(f"Saved {options.model}")
    return 0


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What to learn from; `names` are those of the channels, `settings` those of the project."""

    images: list[Any]
    strokes: list[Any]
    axes: str
    names: Sequence[Sequence[str]]
    complete: Sequence[Sequence[Box]] = ()
    settings: Settings | None = None


def _load_project(options: argparse.Namespace) -> _Work:
    from napari_unet.io.project import lessons, read_project

    if options.images or options.strokes:
        raise ConfigError("give a project, or images with strokes, not both")
    project = read_project(options.project)
    found = lessons(project)
    if not found:
        raise AnnotationError(f"paint something first: the project '{options.project}' has no strokes")
    if any(lesson.axes != found[0].axes for lesson in found):
        raise ConfigError("train on images with the same axes: this project has others too")
    return _Work(
        [lesson.image for lesson in found],
        [lesson.strokes for lesson in found],
        found[0].axes,
        [()] * len(found),
        [lesson.complete for lesson in found],
        project.state.settings,
    )


def _load(options: argparse.Namespace) -> _Work:
    from napari_unet.data.annotations import import_mask
    from napari_unet.io.images import read_image

    if not options.images:
        raise AnnotationError("give images and --strokes, or a --project")
    if len(options.images) != len(options.strokes):
        raise AnnotationError(
            f"give one strokes file for each image: there are {len(options.images)} images and "
            f"{len(options.strokes)} strokes files"
        )
    images = [read_image(path) for path in options.images]
    axes = options.axes or images[0].axes
    if options.axes is None and any(image.axes != axes for image in images):
        raise ConfigError("train on images with the same axes, or name them with --axes")
    strokes = [np.asarray(read_image(path).array) for path in options.strokes]
    if options.dense:
        strokes = [import_mask(mask) for mask in strokes]
    return _Work([image.array for image in images], strokes, axes, [image.channels for image in images])


def _adapted(options: argparse.Namespace, base: ModelConfig) -> ModelConfig:
    """The model to go on from, with what was given on the command line."""
    return read_config(options, ModelConfig, base.replace(colors=()) if hasattr(options, "classes") else base)


def _model_config(options: argparse.Namespace, work: _Work) -> ModelConfig:
    """The model of the project, or the default for these files, with what was given on the command line."""
    from napari_unet.session.model import default_model

    base = default_model(work.images[0], work.axes, work.strokes)
    if work.settings is not None:
        base = work.settings.model.replace(in_channels=base.in_channels)
    named = getattr(options, "channels", ())
    return read_model(options, base.replace(in_channels=len(named), channels=named) if named else base)
