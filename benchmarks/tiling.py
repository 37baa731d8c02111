"""What exact tiles cost: time of a tiled prediction over one bare forward pass of the same pixels.

Each round times every case once, in turn; the ratios are taken within a round, so that a busy machine disturbs them
little. The bare pass knows no halo, no mirror, no normalisation and no labels::

    python benchmarks/tiling.py --size 1536 --width 16 --threads 2
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from napari_unet.config import ModelConfig
from napari_unet.data.normalize import fit_normalizer
from napari_unet.data.source import ImageSource
from napari_unet.networks import build_network
from napari_unet.networks.device import keep_memory
from napari_unet.prediction.predictor import Predictor
from report import machine, print_table, write_json

Case = Callable[[], object]
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def main() -> None:
    """Time all cases in rounds; print medians and ratios."""
    options = _options()
    torch.set_num_threads(options.threads)
    cases = _cases(options)
    times: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(options.rounds + 1):
        for name, case in cases.items():
            seconds = _time(case, CLOCKS[options.clock])
            if number:  # the first round warms up
                times[name].append(seconds)
    print(json.dumps(machine()))
    print_table(
        f"{options.size} x {options.size}, U-Net of width {options.width}, {options.threads} threads",
        ["case", "median, s", "ns per pixel", "over the bare pass", "lowest", "highest"],
        [_row(name, times, options.size) for name in cases],
    )
    print(f"largest difference of a probability between tiles and the whole: {_difference(options):.1e}")
    write_json(options.json, {"options": vars(options), "seconds": times})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1536, help="edge of the image, pixels")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--tiles", type=int, nargs="+", default=[256, 512, 768, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu, with one thread, on a busy machine")
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


def _setup(options: argparse.Namespace) -> tuple[ModelConfig, torch.nn.Module, ImageSource]:
    torch.manual_seed(0)
    config = ModelConfig(width=options.width)
    pixels = np.random.default_rng(0).integers(0, 4000, (options.size, options.size)).astype(np.uint16)
    return config, build_network(config).eval(), ImageSource(pixels, "YX", 2)


def _cases(options: argparse.Namespace) -> dict[str, Case]:
    config, network, source = _setup(options)
    normalizer = fit_normalizer(source, config.normalization)
    image = torch.rand(1, 1, options.size, options.size)

    def bare() -> object:
        with torch.inference_mode():
            return network(image)

    def tiled(tile: int | None) -> Case:
        predictor = Predictor(network, config, device="cpu", tile=tile)
        return lambda: sum(1 for _ in predictor.tiles(source, normalizer=normalizer))

    tiles = {f"tiles of {tile}": tiled(tile) for tile in options.tiles}
    others = {"whole as one tile": tiled(options.size), "tiles chosen": tiled(None)}
    return {"bare pass": _kept(bare), "bare pass, memory handed back": _handed_back(bare), **tiles, **others}


def _kept(case: Case) -> Case:
    """As the predictor runs: the C library keeps freed memory."""

    def run() -> object:
        keep_memory.__wrapped__()
        return case()

    return run


def _handed_back(case: Case) -> Case:
    """As torch runs by itself: glibc hands large blocks back to the system after each layer."""

    def run() -> object:
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 2**25)
        libc.mallopt(-1, 2**26)
        libc.malloc_trim(0)
        found = case()
        keep_memory.__wrapped__()
        return found

    return run


def _time(case: Case, clock: Callable[[], float]) -> float:
    start = clock()
    case()
    return clock() - start


def _row(name: str, times: dict[str, list[float]], size: int) -> list[object]:
    ratios = [a / b for a, b in zip(times[name], times["bare pass"], strict=True)]
    median = statistics.median(times[name])
    return [
        name,
        f"{median:.2f}",
        f"{1e9 * median / size**2:.0f}",
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f}",
        f"{max(ratios):.2f}",
    ]


def _difference(options: argparse.Namespace) -> float:
    config, network, source = _setup(options)
    found = [
        Predictor(network, config, device="cpu", tile=tile).predict(source, output="probabilities")
        for tile in (options.size, 512)
    ]
    return float(np.abs(found[0] - found[1]).max())


if __name__ == "__main__":
    main()
