"""Labelled images for the benchmarks, read from the folder that ``NAPARI_UNET_DATA`` names."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile


@dataclass(frozen=True, slots=True)
class Sample:
    """An image and its truth (0 = background, 1.. = objects), both of shape (Y, X) or (Z, Y, X)."""

    name: str
    image: npt.NDArray[np.generic]
    labels: npt.NDArray[np.integer]


def data_folder() -> Path:
    """Folder with the data sets; the program ends with a sentence when there is none."""
    folder = os.environ.get("NAPARI_UNET_DATA")
    if not folder or not Path(folder).is_dir():
        raise SystemExit("set NAPARI_UNET_DATA to the folder that holds dsb2018_stage1")
    return Path(folder)


def dsb2018_fluorescence() -> list[Sample]:
    """Grey 256 x 256 images of the benchmark list of the Data Science Bowl 2018, in its order (BBBC038, CC0)."""
    folder = data_folder() / "dsb2018_stage1"
    samples = (read_sample(folder, name) for name in unseen_names(folder))
    return [sample for sample in samples if sample.image.shape == (256, 256)]


def read_sample(folder: Path, name: str) -> Sample:
    """Read one image and its labels."""
    image = tifffile.imread(folder / "images" / f"{name}.tif")
    return Sample(name, image, tifffile.imread(folder / "labels" / f"{name}.tif"))


def of_membranes(sample: Sample) -> Sample:
    """A slice of isbi2012, where what is between the membranes is labelled, with the membranes as the object."""
    return Sample(sample.name, sample.image, (sample.labels == 0).astype(np.uint8))


def unseen_names(folder: Path) -> list[str]:
    """Names of the images that the base weights have not learnt from, in order."""
    if folder.name == "dsb2018_stage1":
        names: list[str] = json.loads((folder / "split.json").read_text())["benchmark"]
        return names
    names = [path.stem for path in sorted((folder / "images").glob("*.tif"))]
    return names[5:] if folder.name == "usiigaci_t98g_phc" else names


def choose(samples: list[Sample], seed: int, train: int, test: int) -> tuple[list[Sample], list[Sample]]:
    """Draw images to learn from, and others to be judged on."""
    order = np.random.default_rng(seed).permutation(len(samples))
    if len(order) < train + test:
        raise SystemExit(f"there are {len(order)} images; {train + test} are needed")
    return [samples[i] for i in order[:train]], [samples[i] for i in order[train : train + test]]


def stroke_set(name: str, seed: int, test: int) -> tuple[list[Sample], list[Sample]]:
    """Three images to paint on (half a volume in 3D), and unseen ones, never of the same part of a data set twice.

    Parameters
    ----------
    name : {"dsb2018", "isbi2012", "usiigaci", "plantseg"}
        Nuclei; membranes (the objects); cells in phase contrast; nuclei in a volume.
    seed : int
        Draws the images to paint on, and the unseen ones of ``dsb2018``; mirrors the volume.
    test : int
        Most unseen images.
    """
    if name == "dsb2018":
        return choose(dsb2018_fluorescence(), seed, 3, test)
    if name == "plantseg":
        whole = read_sample(data_folder() / "plantseg_3d", "nuclei_1135")
        turned = [array[..., ::-1] if seed % 2 else array for array in (whole.image, whole.labels)]
        parts = [[array[..., part].copy() for array in turned] for part in (slice(0, 48), slice(56, None))]
        return [Sample(f"{name}-seen", *parts[0])], [Sample(f"{name}-unseen", *parts[1])]
    folder = data_folder() / {"isbi2012": "isbi2012", "usiigaci": "usiigaci_t98g_phc"}[name]
    names = unseen_names(folder)
    early = len(names) - (5 if name == "isbi2012" else 4)  # the others are judged on
    samples = [read_sample(folder, each) for each in names]
    if name == "isbi2012":
        samples = [of_membranes(sample) for sample in samples]
    drawn = np.random.default_rng(seed).permutation(early)[:3]
    return [samples[i] for i in drawn], samples[early:][:test]
