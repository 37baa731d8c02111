"""``napari-unet predict``: segment image files with a model."""

from __future__ import annotations

import argparse
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli.options import add_config, read_config
from napari_unet.cli.terminal import Progress, say, stop_on_interrupt
from napari_unet.cli.work import make_folder
from napari_unet.config import PredictConfig
from napari_unet.errors import ConfigError, ImageError
from napari_unet.session.folders import RESULT_ENDINGS
from napari_unet.session.part import Part
from napari_unet.session.results import ENDINGS

if TYPE_CHECKING:
    from napari_unet.events import Event
    from napari_unet.io.images import LoadedImage
    from napari_unet.session.model import Model

ZARR = ".zarr"
#: Results of more than so many GB go to a store, unless more memory is given.
MEMORY = 8.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this command."""
    parser.add_argument(
        "images", nargs="+", type=Path, metavar="IN", help="Images: TIFF, PNG, JPEG, NPY, Zarr; or one folder of them."
    )
    parser.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help="TIFF file to write, or OME-Zarr (.zarr) for what fits in no memory; a folder for several images.",
    )
    parser.add_argument(
        "--ending",
        choices=RESULT_ENDINGS,
        default=RESULT_ENDINGS[0],
        help="How the names of results end when IN is a folder; a.png becomes a-labels.ome.tif.",
    )
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="Model file.")
    parser.add_argument("--axes", help="Axes of the images, for example TZCYX; read from the files if not given.")
    parser.add_argument(
        "--part",
        action="append",
        default=[],
        metavar="PART",
        help="Only a part, for example 3,10:60,0:90: slice 3, there rows 10 to 59 and columns 0 to 89; the rest is 0. "
        "Give it several times for several parts.",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="Replace existing results.")
    existing.add_argument("--resume", action="store_true", help="Go on with a Zarr result that was not finished.")
    add_config(parser, PredictConfig)


def run(options: argparse.Namespace) -> int:
    """Segment all images, one after the other."""
    from napari_unet.session.model import Model

    model = Model.load(options.model)
    config = read_config(options, PredictConfig)
    if len(options.images) == 1 and options.images[0].is_dir() and options.images[0].suffix.lower() != ZARR:
        return _segment_folder(model, config, options)
    for path, target in _targets(options):
        segment = _segment_volume if target.suffix == ZARR else _segment
        segment(model, config, path, target, options)
        say(f"Saved {target}")
    return 0


def _segment_folder(model: Model, config: PredictConfig, options: argparse.Namespace) -> int:
    """Every image of a folder; the exit status tells whether one could not be segmented."""
    from napari_unet.session.folder_run import predict_folder
    from napari_unet.session.messages import FileDone, FilePart

    if options.axes or options.resume or options.part:
        raise ConfigError("leave out --axes, --part and --resume: of a folder each image says its own axes")
    progress = Progress()

    def report(event: Event) -> None:
        if isinstance(event, FilePart):
            name = Path(event.source).name
            progress.status(f"{name}, {100 * event.part:.0f} %, image {event.done + 1} of {event.total}")
        elif isinstance(event, FileDone):
            progress.line(f"{Path(event.source).name}: {event.problem or f'saved as {event.target}'}")

    make_folder(options.out)
    done = predict_folder(
        model,
        options.images[0],
        options.out,
        config=config,
        ending=options.ending,
        overwrite=options.overwrite,
        report=report,
    )
    good = sum(not event.problem for event in done)
    say(f"Segmented {good} of {len(done)} images into {options.out}")
    return 0 if good == len(done) else 1


def _targets(options: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Where each result goes; a clash or an existing file is refused before any work is done."""
    into_folder = len(options.images) > 1 or (options.out.is_dir() and options.out.suffix != ZARR)
    named = options.out.name.lower().endswith(ENDINGS)
    if into_folder and named and not options.out.is_dir():
        raise ConfigError(f"give a folder to write several images to, not '{options.out}'")
    if not into_folder and not named:
        raise ConfigError(f"give OUT a name that ends in .tif or .ome.zarr, or make the folder '{options.out}' first")
    if not into_folder and not options.out.absolute().parent.is_dir():
        raise ConfigError(f"make the folder first: '{options.out.parent}' is not there")
    pairs = [(path, options.out / f"{path.stem}.tif" if into_folder else options.out) for path in options.images]
    if len({target for _, target in pairs}) < len(pairs):
        raise ConfigError("segment images of the same name one folder at a time: their results would overwrite")
    for path, target in pairs:
        if target.exists() and not options.overwrite and not (options.resume and target.suffix == ZARR):
            more = " or --resume" if target.suffix == ZARR else ""
            raise ConfigError(f"choose another name or add --overwrite{more}: {target} exists")
        if target.resolve() == path.resolve():
            raise ConfigError(f"choose another name: {target} is the image itself")
    if into_folder:
        make_folder(options.out)
    return pairs


def _segment(model: Model, config: PredictConfig, path: Path, target: Path, options: argparse.Namespace) -> None:
    from napari_unet.io.images import read_image, write_labels

    image = read_image(path)
    _check_memory(model, config, image, options.axes or image.axes)
    result = _predict(model, config, image, options.axes or image.axes, [Part.parse(part) for part in options.part])
    axes = (options.axes or image.axes).replace("S", "").replace("C", "")
    if config.output == "probabilities":
        axes = "C" + axes
    write_labels(target, result, axes, image.spacing, overwrite=options.overwrite)


def _segment_volume(model: Model, config: PredictConfig, path: Path, target: Path, options: argparse.Namespace) -> None:
    """Into a store that can be resumed."""
    progress = Progress()
    if options.part:
        raise ConfigError("leave out --part, or give OUT a name that ends in .tif")
    with stop_on_interrupt() as should_stop:
        done = model.predict_to(
            target,
            path,
            options.axes,
            config=config,
            resume=options.resume and target.exists(),
            overwrite=options.overwrite,
            should_stop=should_stop,
            report=progress.show,
        )
    if not done.complete:
        raise ImageError(f"interrupted: go on with --resume, {done.done} of {done.total} parts of {target} are done")


def _check_memory(model: Model, config: PredictConfig, image: LoadedImage, axes: str) -> None:
    """Refuse what would fill the memory, before anything is computed."""
    planes = 4 * len(model.config.outputs) if config.output == "probabilities" else 4
    letters = axes.upper().replace("S", "C")
    size = prod(n for axis, n in zip(letters, image.array.shape, strict=False) if axis != "C") * planes / 2**30
    memory = config.memory or MEMORY
    if size > memory:
        raise ImageError(
            f"give OUT a name that ends in .ome.zarr: the result takes {size:.1f} GB, the memory is {memory:g} GB"
        )


def _predict(model: Model, config: PredictConfig, image: LoadedImage, axes: str, parts: list[Part]) -> Any:
    """The result, with progress on the terminal."""
    from napari_unet.data.channels import source_for
    from napari_unet.prediction.outputs import as_wanted
    from napari_unet.prediction.regions import predict_parts
    from napari_unet.prediction.rescaling import predictor_for

    source = source_for(model.config, image.array, axes, names=image.channels, wanted=config.channels)
    predictor = predictor_for(model.network, model.config, config, spacing=image.spacing)
    for part in parts:
        part.check(source)
    whole = [(0, size) for size in source.spatial]
    found = [(part.lead, [slice(*edge) for edge in part.box or whole]) for part in parts]
    with stop_on_interrupt() as should_stop:
        options: dict[str, Any] = {
            "output": config.output,
            "should_stop": should_stop,
            "report": Progress().show,
        }
        if len(found) > 1:
            result = predict_parts(predictor, source, found, **options)
        else:
            lead, box = found[0] if found else ((), None)
            result = predictor.predict(source, leads=[lead] if lead else None, box=box, **options)
        if should_stop():
            raise ImageError(f"interrupted: {image.name} was not segmented")
    return as_wanted(result, config)
