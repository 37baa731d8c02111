"""Segment image files into files, one after the other; one that cannot be does not stop the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.config import PredictConfig
from napari_unet.data.channels import source_for
from napari_unet.errors import ImageError, NapariUnetError
from napari_unet.events import Event, TileDone, never
from napari_unet.io.images import LoadedImage, read_image
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.rescaling import predictor_for
from napari_unet.session.folders import Item, plan_folder
from napari_unet.session.messages import FileDone, FilePart
from napari_unet.session.model import Model
from napari_unet.session.results import Result, form_of_result, named_planes, recipe, save_result

#: Results of more than so many GB are not made in memory, unless more is given.
MEMORY = 8.0


def predict_folder(
    model: Model,
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    config: PredictConfig | None = None,
    ending: str = ".ome.tif",
    overwrite: bool = False,
    report: Callable[[Event], object] | None = None,
) -> list[FileDone]:
    """Segment every image of a folder; results have names such as ``cells-labels.ome.tif``.

    Parameters
    ----------
    model : Model
    folder : path-like
        What is in its folders is not looked at.
    out : path-like, optional
        Folder for the results, made if need be; by default `folder`.
    config : PredictConfig, optional
        What is made, and how.
    ending : {".ome.tif", ".ome.zarr", ".tif"}
        What results are written as.
    overwrite : bool
        Replace results that are there; else those images are left out, and said so.
    report : callable, optional
        Told every event, for progress.

    Returns
    -------
    list of FileDone
        One for each image, with its `problem` where it could not be segmented.

    Raises
    ------
    NapariUnetError
        When there is no image in the folder, or `out` cannot be made.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from napari_unet.config import ModelConfig
    >>> from napari_unet.networks import build_network
    >>> folder = Path(mkdtemp()); np.save(folder / "cells.npy", np.eye(33, dtype=np.float32))
    >>> config = ModelConfig(width=4, depth=2)
    >>> done, = predict_folder(Model(build_network(config), config), folder)
    >>> Path(done.target).name, done.problem
    ('cells-labels.ome.tif', '')
    """
    config = config or PredictConfig()
    items = plan_folder(Path(folder), Path(out) if out else None, output=config.output, ending=ending)
    done = []
    for event in segment_files(model, items, config, overwrite=overwrite):
        if report is not None:
            report(event)
        if isinstance(event, FileDone):
            done.append(event)
    return done


def segment_files(
    model: Model,
    items: Sequence[Item],
    config: PredictConfig,
    *,
    overwrite: bool = False,
    should_stop: Callable[[], bool] = never,
    request: int = 0,
) -> Generator[Event]:
    """Segment files, tile by tile.

    Parameters
    ----------
    model : Model
    items : sequence of Item
    config : PredictConfig
    overwrite : bool
        Replace results that are there.
    should_stop : callable
        Polled before every tile; finished files stay.
    request : int
        Becomes a part of the events.

    Yields
    ------
    FilePart, FileDone
        After each tile, and after each file.
    """
    for number, item in enumerate(items):
        problem = ""
        try:
            for part in _segment(model, item, config, overwrite=overwrite, should_stop=should_stop):
                yield FilePart(request, str(item.source), part, number, len(items))
        except (NapariUnetError, MemoryError, OSError) as error:
            problem = str(error) or "close other programs: there is not enough memory"
        if should_stop():
            return
        yield FileDone(request, str(item.source), str(item.target), problem, number + 1, len(items))


def _segment(
    model: Model, item: Item, config: PredictConfig, *, overwrite: bool, should_stop: Callable[[], bool]
) -> Generator[float]:
    """One file; yields how much of it is done."""
    if item.target.exists() and not overwrite:
        raise ImageError(f"'{item.target.name}' is there already, and was left as it is")
    image = read_image(item.source)
    predictor = predictor_for(model.network, model.config, config, spacing=image.spacing)
    result = yield from _predict(model, predictor, image, config, should_stop)
    if should_stop():
        return
    item.target.parent.mkdir(parents=True, exist_ok=True)
    axes = "".join(axis for axis in image.axes if axis not in "CS")
    axes = "C" * (config.output == "probabilities") + axes
    named = named_planes(model.config, config.output)
    made = recipe(item.source.name, str(item.source), image.axes, model.step, model.config, config, complete=True)
    found = Result(result, axes, image.spacing, named, made)
    save_result(item.target, found, zero=config.background_zero, overwrite=overwrite)


def _predict(
    model: Model, predictor: Predictor, image: LoadedImage, config: PredictConfig, should_stop: Callable[[], bool]
) -> Generator[float, None, npt.NDArray[Any]]:
    source = source_for(model.config, image.array, image.axes, names=image.channels, wanted=config.channels)
    shape, kind = form_of_result(model.config, config, source.label_shape)
    size = prod(shape) * kind.itemsize / 2**30
    if size > (config.memory or MEMORY):
        raise ImageError(f"segment it by itself into an .ome.zarr: the result takes {size:.1f} GB of memory")
    result = np.zeros(shape, kind)
    for event in predictor.tiles(source, output=config.output, should_stop=should_stop):
        if isinstance(event, TileDone):
            result[(..., *event.index)] = event.data
            yield event.done / event.total
    return result
