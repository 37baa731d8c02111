"""Segment an image that fits in no memory into a store on the disk, to be killed and resumed at any moment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr

from napari_unet.config import ModelConfig, PredictConfig
from napari_unet.data.normalize import Normalizer, fingerprint, fit_normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError
from napari_unet.events import Event, VolumeDone, never
from napari_unet.io.lock import only_one
from napari_unet.io.ome_zarr_store import ResultStore, canonical, remove_store
from napari_unet.networks.device import choose_device
from napari_unet.prediction.out_of_core import VolumePredictor, are_linked
from napari_unet.prediction.rescaling import predictor_for
from napari_unet.prediction.units import UnitGrid, choose_unit
from napari_unet.session.volume_run import VolumeRun

#: Memory to work in unless told otherwise, bytes.
MEMORY = 2 * 2**30
#: Of the memory that is left for the network, the part that is planned with: estimates are not exact.
SHARE = 0.75
#: The least that a network is given, bytes.
LEAST = 64 * 2**20
#: Of what the process holds already, the part that is counted, bytes: torch and this package with its model. The
#: rest are images and results of the program that calls, which know nothing of the budget of a segmentation.
PROGRAM = 768 * 2**20
#: Edges of a chunk and of a write unit, along each axis.
EDGES = {2: (512, 2048), 3: (64, 256)}
#: Units in memory at once: one computed, one written, and that as bytes.
UNITS_AT_ONCE = 3
#: What does not change the result, and may differ from one run to the next.
_FREE = {"device", "tile", "memory", "channels", "spacing"}
_TYPES = {"labels": "uint8", "instances": "uint32"}


@dataclass(frozen=True, slots=True)
class VolumeJob:
    """What is segmented with what, and where to.

    Attributes
    ----------
    network, model
        The network and its config.
    source : ImageSource
        The image.
    target : Path
        Store to write.
    config : PredictConfig
        Settings; ``memory`` bounds what the process takes, 2 GB by default, besides what a calling program holds.
    spacing : tuple of float or None
        Pixel size along the spatial axes in micrometres.
    chunk, unit : int or None
        Edges of a chunk and of a write unit (shard), pixels.
    share : (int, int)
        Of the units take every ``share[1]``-th from ``share[0]`` on, the others are those of other processes.
    """

    network: torch.nn.Module
    model: ModelConfig
    source: ImageSource
    target: Path
    config: PredictConfig = field(default_factory=PredictConfig)
    spacing: tuple[float, ...] | None = None
    chunk: int | None = None
    unit: int | None = None
    share: tuple[int, int] = (0, 1)


def segment_volume(
    job: VolumeJob,
    *,
    resume: bool = False,
    overwrite: bool = False,
    should_stop: Callable[[], bool] = never,
) -> Iterator[Event]:
    """Segment an image into a store, unit by unit.

    Parameters
    ----------
    job : VolumeJob
        The work.
    resume : bool
        Go on with a store that was begun before; finished units are not computed again.
    overwrite : bool
        Remove a store that exists.
    should_stop : callable
        Polled before every tile; the store stays readable, and can be resumed.

    Yields
    ------
    Event
        `VolumeProgress` after every tile, perhaps `Warned`, last `VolumeDone`.

    Raises
    ------
    ConfigError, ImageError, PredictionError
        In one sentence: the target exists, was begun with another model, image or settings, memory or disk are too
        small, or another process works on it.
    """
    store = _open(job, resume=resume, overwrite=overwrite)
    grid = UnitGrid(tuple(store.layout["shape"]), tuple(store.layout["unit"]))
    if store.complete:
        yield VolumeDone(str(job.target), True, len(grid), len(grid))
        return
    store.work.mkdir(exist_ok=True)
    with only_one(store.work / f"lock-{job.share[0]}-{job.share[1]}") as alone:
        if not alone:
            raise ConfigError(f"wait for the other process: it works on '{job.target}' already")
        linked = are_linked(job.model, job.config)
        run = VolumeRun(store, grid, job.source.spatial_axes, job.config.instances, linked=linked)
        yield from run.predict(lambda: _volume(job, store, grid), job.share, should_stop)
        yield from run.complete(should_stop)


def _volume(job: VolumeJob, store: ResultStore, grid: UnitGrid) -> VolumePredictor:
    """What computes the units."""
    known = store.job["normalizer"]
    memory = _network_memory(job, store.layout)
    predictor = predictor_for(job.network, job.model, job.config, spacing=job.spacing, memory=memory)
    normalizer = Normalizer(tuple(known["low"]), tuple(known["high"]))
    return VolumePredictor(predictor, job.source, normalizer, job.config, store.layout["axes"], grid)


def _open(job: VolumeJob, *, resume: bool, overwrite: bool) -> ResultStore:
    """The store of the work, as new or as it was left."""
    target = job.target.resolve()
    _check_apart(target, job.source)
    if target.exists() and not (resume or overwrite):
        raise ConfigError(f"choose another name, resume or allow overwriting: '{job.target}' exists")
    if target.exists() and resume:
        return _resumed(job, target)
    if not target.parent.is_dir():
        raise ConfigError(f"make the folder first: '{target.parent}' is not there")
    layout = _layout(job)
    about = _describe(job, layout)
    if target.exists():
        remove_store(target)
    return ResultStore.create(target, layout, about)


def _resumed(job: VolumeJob, target: Path) -> ResultStore:
    store = ResultStore(target)
    about = _describe(job, store.layout, known=store.job.get("normalizer"))
    for name in ("model", "image", "settings"):
        if store.job.get(name) != about[name]:
            raise ConfigError(
                f"resume '{job.target}' with the {name} it was begun with, or allow overwriting: this is another"
            )
    if not store.complete and job.share == (0, 1):
        store.sweep()
    return store


def _check_apart(target: Path, source: ImageSource) -> None:
    """Neither may the result lie in the image, nor the image in the result."""
    root = getattr(getattr(source.array, "store", None), "root", None) or getattr(source.array, "filename", None)
    if root is None:
        return
    image = Path(str(root)).resolve()
    if image == target or image in target.parents or target in image.parents:
        raise ConfigError(f"choose another name: '{target}' and the image lie in one another")


def _layout(job: VolumeJob) -> dict[str, Any]:
    """Axes, shape, chunks and write units of the result."""
    source, output = job.source, job.config.output
    planes = len(job.model.outputs) if output == "probabilities" else 0
    axes = canonical(source.label_axes + "C" * bool(planes))
    sizes = dict(zip(source.label_axes, source.label_shape, strict=True)) | {"C": planes}
    shape = [sizes[axis] for axis in axes]
    dtype = np.dtype(_TYPES.get(output, "float16" if job.config.half else "float32"))
    chunk, edge = EDGES[source.ndim]
    chunk, edge = job.chunk or chunk, job.unit or max(edge, job.chunk or 0)
    while True:
        chunks, unit = choose_unit(shape, axes, source.spatial_axes, chunk, edge)
        if job.unit or edge <= chunk or UNITS_AT_ONCE * prod(unit) * dtype.itemsize <= _budget(job) / 4:
            break
        edge //= 2
    spacing = job.config.spacing or job.spacing
    return {
        "axes": axes,
        "shape": shape,
        "chunks": list(chunks),
        "unit": list(unit),
        "dtype": dtype.name,
        "spacing": list(spacing) if spacing else None,
    }


def _describe(job: VolumeJob, layout: dict[str, Any], known: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the work is: enough to know it again, and to go on with the same numbers."""
    if known is None:
        normalizer = fit_normalizer(job.source, job.model.normalization)
        known = {"low": list(normalizer.low), "high": list(normalizer.high)}
    # Only what differs from the defaults, so that settings that are invented later do not count as others.
    chosen = job.config.model_dump(mode="json", exclude=_FREE, exclude_defaults=True)
    settings = {"output": job.config.output, **chosen}
    if job.config.rescale:
        settings["spacing"] = layout["spacing"]
    return {
        "model": model_hash(job.network, job.model),
        "image": fingerprint(job.source),
        "settings": settings,
        "normalizer": known,
        "classes": _classes(job),
    }


def _classes(job: VolumeJob) -> list[dict[str, Any]]:
    """Value, name and colour of the labels."""
    if job.config.output != "labels":
        return []
    first = 0 if job.config.background_zero else 1
    names, colors = job.model.classes, job.model.class_colors
    if len(names) == 1:
        first += 1
    return [
        {"value": value, "name": name, "color": color}
        for value, (name, color) in enumerate(zip(names, colors, strict=True), start=first)
    ]


def model_hash(network: torch.nn.Module, model: ModelConfig) -> str:
    """SHA-256 of a network's config and weights."""
    digest = hashlib.sha256(model.model_dump_json().encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _budget(job: VolumeJob) -> int:
    return int((job.config.memory or MEMORY / 2**30) * 2**30)


def _resident() -> int:
    """Bytes that this process takes already; a guess where the system does not tell."""
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * 4096
    return 2**29


def _network_memory(job: VolumeJob, layout: dict[str, Any]) -> int | None:
    """Bytes for the network: what units, chunks of the image and the program itself leave of the budget."""
    if choose_device(job.config.device).type != "cpu":
        return None
    units = UNITS_AT_ONCE * prod(layout["unit"]) * np.dtype(layout["dtype"]).itemsize
    left = _budget(job) - min(_resident(), PROGRAM) - units - _limit_reading(job)
    if left * SHARE < LEAST:
        need = (_budget(job) + LEAST / SHARE - left) / 2**30
        raise ConfigError(f"give more memory: {need:.1f} GB are needed for this image in such parts")
    return int(left * SHARE)


def _limit_reading(job: VolumeJob) -> int:
    """Bytes of chunks that are decoded at once, after as many as fit were allowed."""
    array = job.source.array
    chunks = getattr(array, "chunksize", None) or getattr(array, "chunks", None)
    size = prod(chunks) * np.dtype(array.dtype).itemsize if chunks else 0
    at_once = int(min(10, max(1, _budget(job) / 8 // max(1, size))))
    zarr.config.set({"async.concurrency": at_once})
    return at_once * size
