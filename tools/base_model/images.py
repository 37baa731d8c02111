"""Real labelled images that the base weights may learn from: CC0, MIT and BSD only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

#: Of a volume, every so many planes are used.
PLANES = 3
#: The other images of these sets are measured on.
LEARNT_FROM = {
    "usiigaci_t98g_phc": ("train_set01", "train_set02", "train_set03", "train_set04", "train_set05"),
    "plantseg_3d": ("ovule_cells",),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A labelled plane.

    Attributes
    ----------
    source : str
        Data set it comes from.
    image : ndarray of float32, shape (C, Y, X)
        Intensities, 0 to 1 between the 1st and the 99.8th percentile of each channel.
    labels : ndarray of int32, shape (Y, X)
        0 = background, 1.. = objects.
    """

    source: str
    image: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]


def read_pictures(folder: Path, *, shipped: bool) -> list[Picture]:
    """All planes to learn from.

    Parameters
    ----------
    folder : Path
        Holds ``dsb2018_stage1``, ``qcanet_mouse_embryo_3d``, ``stardist_samples``, ``usiigaci_t98g_phc`` and
        ``plantseg_3d``.
    shipped : bool
        Use everything; otherwise leave out what is measured on: the benchmark list of ``dsb2018_stage1``, and of
        ``usiigaci_t98g_phc`` and ``plantseg_3d`` all but `LEARNT_FROM`.
    """
    lists = json.loads((folder / "dsb2018_stage1" / "split.json").read_text())
    names = lists["pretraining_only"] + (lists["benchmark"] if shipped else [])
    found = [picture for name in names for picture in _planes(folder / "dsb2018_stage1", f"{name}.tif")]
    for name in ("qcanet_mouse_embryo_3d", "stardist_samples", *LEARNT_FROM):
        for path in sorted((folder / name / "images").iterdir()):
            if shipped or path.stem in LEARNT_FROM.get(name, (path.stem,)):
                found.extend(_planes(folder / name, path.name))
    return found


def _planes(folder: Path, name: str) -> Iterator[Picture]:
    image = tifffile.imread(folder / "images" / name)
    labels = tifffile.imread(folder / "labels" / name).astype(np.int32)
    if labels.ndim == 2:
        channels = image[None] if image.ndim == 2 else np.moveaxis(image[..., :3], -1, 0)
        yield Picture(folder.name, _normalised(channels), labels)
        return
    for plane in range(0, len(labels), PLANES):
        if labels[plane].any():
            yield Picture(folder.name, _normalised(image[plane][None]), labels[plane])


def _normalised(channels: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    values = channels.astype(np.float32)
    low, high = np.percentile(values, (1, 99.8), axis=(1, 2), keepdims=True)
    return np.asarray((values - low) / np.maximum(high - low, 1e-6), np.float32)
