"""Time of augmentation per patch, beside MONAI and batchgeneratorsv2 where they are installed.

All do the same work on the same patch: one image channel, linear, labels and boundary weights, nearest; random
rotation, scale and a coarse elastic deformation with displacements of about 10 pixels. They take turns, round by round,
and the ratios are those of one round, so that a busy machine slows all of them alike::

    python benchmarks/augmentation.py --size 256 --rounds 30
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from napari_unet.config import AugmentConfig
from napari_unet.data.augment import Augmenter
from napari_unet.networks.device import keep_memory
from report import machine, print_table, write_json

Work = Callable[[], None]
DISPLACEMENT, ANGLE, SCALE = 10.0, 180.0, 1.25


def main() -> None:
    """Measure all in turn; print one table."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    keep_memory()  # as training does; it holds for all of them
    np.random.seed(0)  # noqa: NPY002, batchgeneratorsv2 draws from the global generator
    works: dict[str, Work] = {"napari-unet": _ours(options.size, options.batch, options.ndim)}
    if importlib.util.find_spec("monai") is not None:
        works["MONAI"] = _monai(options.size, options.batch, options.ndim)
    if importlib.util.find_spec("batchgeneratorsv2") is not None:
        works["batchgeneratorsv2"] = _batchgenerators(options.size, options.batch, options.ndim)
    clock = time.process_time if options.cpu else time.perf_counter
    times = _turns(works, options.rounds, options.batch, clock)
    ours = times["napari-unet"]
    rows = []
    for name, found in times.items():
        ratios = [other / mine for other, mine in zip(found, ours, strict=True)]
        rows.append([name, min(found), statistics.median(found), statistics.median(ratios), min(ratios)])
    print(json.dumps(machine()))
    print_table(
        f"Geometry of one patch, {options.size}^{options.ndim} pixels, {options.threads} threads",
        ["program", "fastest, ms", "median, ms", "times ours, median of paired rounds", "lowest"],
        rows,
    )
    write_json(options.json, {"options": vars(options), "milliseconds": times})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="edge of a patch, pixels")
    parser.add_argument("--ndim", type=int, choices=[2, 3], default=2)
    parser.add_argument("--batch", type=int, default=4, help="patches at once; the others do one after another")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu", action="store_true", help="processor time instead of wall time, on a busy machine")
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


def _ours(size: int, batch: int, ndim: int) -> Work:
    config = AugmentConfig(
        rotation=ANGLE, scale=SCALE, elastic=DISPLACEMENT, brightness=0, contrast=0, gamma=0, noise=0
    )
    augmenter = Augmenter(config, ndim, (1.0,) * ndim)
    source, shape = augmenter.source_shape((size,) * ndim), (size,) * ndim
    images, targets = torch.rand(batch, 1, *source), torch.randint(0, 2, (batch, *source), dtype=torch.int16)
    boundary, generator = torch.rand(batch, *source), torch.Generator().manual_seed(0)

    def work() -> None:
        images_, targets_, _ = augmenter.apply(augmenter.draw(batch, generator), images, targets, boundary, shape)
        assert images_.shape[2:] == targets_.shape[1:] == shape

    return work


def _monai(size: int, batch: int, ndim: int) -> Work:
    from monai.transforms import Rand2DElasticd, Rand3DElasticd

    shared = {
        "keys": ["image", "label"],
        "prob": 1.0,
        "rotate_range": [math.radians(ANGLE)] * (1 if ndim == 2 else 3),
        "scale_range": [SCALE - 1] * ndim,
        "spatial_size": (size,) * ndim,
        "mode": ["bilinear", "nearest"],
        "padding_mode": ["reflection", "zeros"],
    }
    # 2D: displacements on a grid of nodes half a patch apart, as ours; 3D knows only smoothed noise of every pixel.
    if ndim == 2:
        transform = Rand2DElasticd(spacing=(size / 2,) * 2, magnitude_range=(0, 2 * DISPLACEMENT), **shared)
    else:
        transform = Rand3DElasticd(sigma_range=(8, 8), magnitude_range=(100, 200), **shared)
    image, label = torch.rand(1, *(size,) * ndim), torch.randint(0, 2, (2, *(size,) * ndim)).float()

    def work() -> None:
        for _ in range(batch):
            found = transform({"image": image, "label": label})
            assert found["image"].shape[1:] == found["label"].shape[1:] == (size,) * ndim

    return work


def _batchgenerators(size: int, batch: int, ndim: int) -> Work:
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

    transform = SpatialTransform(
        patch_size=(size,) * ndim,
        patch_center_dist_from_border=size // 2,
        random_crop=False,
        p_elastic_deform=1,
        elastic_deform_scale=(0.25, 0.25),
        elastic_deform_magnitude=(DISPLACEMENT, DISPLACEMENT),
        p_rotation=1,
        p_scaling=1,
        scaling=(1 / SCALE, SCALE),
        mode_seg="nearest",
    )
    # it cuts the patch from a larger one, as ours does
    edge = math.ceil(size * math.sqrt(ndim) * math.sqrt(SCALE))
    image, label = torch.rand(1, *(edge,) * ndim), torch.randint(0, 2, (2, *(edge,) * ndim), dtype=torch.int16)

    def work() -> None:
        for _ in range(batch):
            found = transform(image=image, segmentation=label)
            assert found["image"].shape[1:] == found["segmentation"].shape[1:] == (size,) * ndim

    return work


def _turns(works: dict[str, Work], rounds: int, batch: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Milliseconds per patch of each in each round; the first round warms up and is left out."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            start = clock()
            work()
            found[name].append(1000 * (clock() - start) / batch)
    return {name: values[1:] for name, values in found.items()}


if __name__ == "__main__":
    main()
