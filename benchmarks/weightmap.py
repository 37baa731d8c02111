"""Time of the boundary weights of an image with many objects, beside one distance map per object.

The usual way is measured twice: the distance maps alone, of which the two smallest are kept as they come, and as it is
mostly written, all of them stacked and sorted. Rounds pair both, and the results must be equal::

    python benchmarks/weightmap.py --size 1024 --objects 400 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

import napari_unet as nu
from report import machine, print_table, write_json

Clock = Callable[[], float]
W0, SIGMA = 10.0, 5.0
FASTER, EQUAL = 300, 1e-5


def main() -> None:
    """Measure in turn; print one table."""
    options = _options()
    labels = _scene(options.size, options.objects)
    clock = time.process_time if options.cpu else time.perf_counter
    rounds = [_round(labels, options.repeats, clock, stacked=options.stacked) for _ in range(options.rounds)]
    ways = [name for name in rounds[0] if name != "difference"]
    rows = [
        [
            name,
            min(found[name] for found in rounds),
            statistics.median(found[name] for found in rounds),
            statistics.median(found[name] / found["napari-unet"] for found in rounds),
            min(found[name] / found["napari-unet"] for found in rounds),
        ]
        for name in ways
    ]
    print(json.dumps(machine()))
    print_table(
        f"Weight map of {options.size}² pixels with {len(np.unique(labels)) - 1} objects; goal: {FASTER} times faster",
        ["way", "fastest, s", "median, s", "times ours, median of paired rounds", "lowest"],
        rows,
    )
    difference = max(found["difference"] for found in rounds)
    print(f"\nlargest difference: {difference:.1e} (limit {EQUAL:.0e})")
    write_json(options.json, {"options": vars(options), "rounds": rounds})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="edge of the image, pixels")
    parser.add_argument("--objects", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5, help="of ours in a round; their median counts")
    parser.add_argument("--stacked", action="store_true", help="also stack and sort all maps (3.4 GB)")
    parser.add_argument("--cpu", action="store_true", help="processor time instead of wall time, on a busy machine")
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


def _scene(size: int, count: int) -> npt.NDArray[np.int32]:
    """Ellipses on a jittered grid, as cells in a dish: gaps of all widths, some touch."""
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(count)))
    step = size / side
    labels = np.zeros((size, size), np.int32)
    y, x = np.mgrid[:size, :size]
    for number in range(count):
        centre = (np.array(divmod(number, side)) + 0.5) * step + rng.uniform(-0.12, 0.12, 2) * step
        radii = rng.uniform(0.28, 0.47, 2) * step
        inside = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1
        labels[inside & (labels == 0)] = number + 1
    return labels


def _round(labels: npt.NDArray[Any], repeats: int, clock: Clock, *, stacked: bool) -> dict[str, float]:
    """Seconds of each way, and the largest difference."""
    found = {"napari-unet": statistics.median(_seconds(_ours, labels, clock)[0] for _ in range(repeats))}
    found["one distance map per object"], expected = _seconds(_two_smallest, labels, clock)
    if stacked:
        found["stacked and sorted"], _ = _seconds(_sorted, labels, clock)
    found["difference"] = float(np.abs(_ours(labels) - expected).max())
    return found


def _seconds(work: Any, labels: npt.NDArray[Any], clock: Clock) -> tuple[float, Any]:
    start = clock()
    result = work(labels)
    return clock() - start, result


def _ours(labels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return nu.weight_map(labels, W0, SIGMA, class_balance=False)


def _two_smallest(labels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Equation 2 of Ronneberger et al. 2015 with a distance map of the whole image for each object."""
    nearest, second = np.full(labels.shape, np.inf), np.full(labels.shape, np.inf)
    for value in range(1, int(labels.max()) + 1):
        distance = ndimage.distance_transform_edt(labels != value)
        np.minimum(second, np.maximum(nearest, distance), out=second)
        np.minimum(nearest, distance, out=nearest)
    return 1 + W0 * np.exp(-((nearest + second) ** 2) / (2 * SIGMA**2))


def _sorted(labels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The same as it is mostly written."""
    maps = np.zeros((*labels.shape, int(labels.max())))
    for value in range(1, int(labels.max()) + 1):
        maps[..., value - 1] = ndimage.distance_transform_edt(labels != value)
    maps.sort(axis=-1)
    return 1 + W0 * np.exp(-((maps[..., 0] + maps[..., 1]) ** 2) / (2 * SIGMA**2))


if __name__ == "__main__":
    main()
