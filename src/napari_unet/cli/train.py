"""``napari-unet train``: learn from images and strokes in files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.cli.options import add_config, read_config
from napari_unet.cli.terminal import say
from napari_unet.cli.work import learn
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.errors import AnnotationError, ConfigError

DEFAULT_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this command."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="Images: TIFF, PNG, JPEG, NPY, Zarr.")
    parser.add_argument(
        "--strokes",
        nargs="+",
        type=Path,
        required=True,
        metavar="STROKES",
        help="Strokes for each image: 0 not annotated, 1 background, 2, 3, ... classes.",
    )
    parser.add_argument("--model", type=Path, required=True, metavar="OUT", help="Model file to write.")
    parser.add_argument(
        "--start",
        type=Path,
        metavar="FILE",
        help="Model file to go on from, also with other --classes or --in-channels; random weights if not given.",
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
    images, strokes, axes, names = _load(options)
    training = read_config(options, TrainConfig)
    if training.seconds is None and training.steps is None and training.patience is None:
        training = training.replace(seconds=DEFAULT_SECONDS)
    start = Model.load(options.start) if options.start else _model_config(options, images[0], axes, strokes)
    adapt = _adapted(options, start.config) if isinstance(start, Model) else None
    kept = {"checkpoint": options.checkpoint, "resume": options.resume}
    try:
        model = learn(images, strokes, model=start, adapt=adapt, training=training, axes=axes, names=names, **kept)
    finally:
        leave()
    if rank() == 0:
        model.save(options.model)
        say(f"Saved {options.model}")
    return 0


def _load(options: argparse.Namespace) -> tuple[list[Any], list[Any], str, list[tuple[str, ...]]]:
    """Images, strokes, axes, and names of the channels."""
    from napari_unet.data.annotations import import_mask
    from napari_unet.io.images import read_image

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
    return [image.array for image in images], strokes, axes, [image.channels for image in images]


def _adapted(options: argparse.Namespace, base: ModelConfig) -> ModelConfig:
    """The model to go on from, with what was given on the command line."""
    return read_config(options, ModelConfig, base.replace(colors=()) if hasattr(options, "classes") else base)


def _model_config(options: argparse.Namespace, image: Any, axes: str, strokes: list[Any]) -> ModelConfig:
    """The default model for these files, with what was given on the command line."""
    from napari_unet.session.model import default_model

    base = default_model(image, axes, strokes)
    named = getattr(options, "channels", ())
    return read_config(options, ModelConfig, base.replace(in_channels=len(named), channels=named) if named else base)
