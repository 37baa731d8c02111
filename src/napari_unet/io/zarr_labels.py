"""A result that is in memory, to OME-Zarr: the whole store, or what was there before."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy.typing as npt

from napari_unet.errors import ImageError
from napari_unet.io.ome_zarr_store import ResultStore, coarser, pyramid_factors, remove_store


def write_store(
    path: Path,
    array: npt.NDArray[Any],
    layout: Mapping[str, Any],
    job: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Write a result with its pyramid. A failed write leaves an older store as it was.

    Parameters
    ----------
    path : Path
        Folder of the store, usually ``.ome.zarr``.
    array : ndarray
        Labels, or probabilities; axes as in `layout`.
    layout, job : mapping
        See `ResultStore`.
    overwrite : bool
        Replace an existing store; nothing else is ever replaced.

    Raises
    ------
    ImageError
        When it exists, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise ImageError(f"choose another name or allow overwriting: '{path}' exists already")
    try:
        beside = Path(mkdtemp(prefix=f".{path.name[:100]}.", suffix=".unet-tmp", dir=path.parent))
        try:
            _fill(ResultStore.create(beside / path.name, layout, job), array)
            if path.exists():
                remove_store(path)
            (beside / path.name).rename(path)
        finally:
            with suppress(OSError):
                shutil.rmtree(beside)
    except OSError as error:
        reason = error.strerror or "the disk did not take it"
        raise ImageError(f"save elsewhere or free some space: '{path}' could not be written ({reason})") from error


def _fill(store: ResultStore, array: npt.NDArray[Any]) -> None:
    """All levels, each from the one before."""
    store.level(0)[...] = array
    factors = pyramid_factors(array.shape, store.layout["axes"], store.layout["spacing"])
    before = (1,) * array.ndim
    for level, factor in enumerate(factors, start=1):
        halved = [now > then for now, then in zip(factor, before, strict=True)]
        array, before = coarser(array, halved, smooth=array.dtype.kind == "f"), factor
        store.add_level(level, array.shape)[...] = array
    store.finish(factors)
