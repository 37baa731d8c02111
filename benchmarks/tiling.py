"""What exact tiles cost, beside one bare forward pass of the same pixels and MONAI's sliding window.

In each round every case runs once, in turn, with the same network; ratios are taken within a round, so that a busy
machine disturbs them little. The bare pass is the network in evaluation mode as torch runs it, channels-last, on the
pixels cut into the best of several tiles without a halo, each pixel once: it knows no mirror, no normalisation, no
labels, and no fusion of batch norms. MONAI (``pip install --no-deps monai``) runs as its documentation shows it (its
patches of 256, or 64 in 3D, Gaussian weights), and with the best of several patches and batches, found on a part of
the image. Objects are joined on a label image of the same size. The first takes about seven minutes::

    OMP_WAIT_POLICY=PASSIVE python benchmarks/tiling.py --shape 4096 4096 --threads 2 --rounds 3
    OMP_WAIT_POLICY=PASSIVE python benchmarks/tiling.py --shape 128 512 512 --depth 2 --threads 2 --rounds 3
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import torch
from scipy import ndimage

from napari_unet.config import ModelConfig
from napari_unet.data.normalize import fit_normalizer
from napari_unet.data.source import ImageSource
from napari_unet.networks import build_network
from napari_unet.networks.device import keep_memory
from napari_unet.prediction.instances import connected
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.seams import object_table, renumber
from report import machine, print_table, write_json

Case = Callable[[], object]
Box = tuple[slice, ...]
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
FORMAT = {2: torch.channels_last, 3: torch.channels_last_3d}
#: Tiles of the bare pass, and patches of MONAI, to choose the best of.
EDGES = {2: (256, 512, 1024, 2048), 3: (64, 128, 256)}
DOCUMENTED = {2: 256, 3: 64}
#: MONAI's batches, to choose the best of with its patches.
BATCHES = (1, 4)
OVERLAPS = (0.25, 0.5)


def main() -> None:
    """Time all cases in rounds; print medians and ratios."""
    options = _options()
    torch.set_num_threads(options.threads)
    keep_memory()
    bench = Bench(options)
    cases = bench.cases()
    times: dict[str, list[float]] = {name: [] for name in cases}
    bench.warm_up()
    for number in range(options.rounds):
        for name, case in cases.items():
            if number < options.monai_rounds or "MONAI" not in name:
                times[name].append(_time(case, CLOCKS[options.clock]))
    print(json.dumps(machine()))
    shape = " x ".join(str(n) for n in options.shape)
    print_table(
        f"{shape}, U-Net of width {options.width} and depth {options.depth}, {options.threads} threads",
        ["case", "median, s", "over the bare pass", "lowest", "highest", "times as long as ours"],
        [_row(name, times) for name in cases],
    )
    print(f"chosen: {bench.chosen}")
    print("bare pass: evaluation mode, channels-last, batch norms not fused, tiles without halo, each pixel once")
    print(f"largest difference of a probability between tiles and the whole: {bench.difference():.1e}")
    joining = bench.joining(CLOCKS[options.clock])
    joining["over the prediction"] = joining["seconds"] / statistics.median(times["ours"])
    print(f"joining {joining['objects']} objects: {joining}")
    write_json(options.json, {"options": vars(options), "seconds": times, "chosen": bench.chosen, "joining": joining})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs="+", default=[1536, 1536], help="of the image, (Z) Y X")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--memory", type=float, default=2.0, help="memory of ours, GB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--monai-rounds", type=int, default=1, help="MONAI runs in so many of the rounds only")
    parser.add_argument("--part", type=int, default=1024, help="edge of the part that MONAI's best setting is found on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--objects", type=int, default=20_000, help="about how many objects are joined")
    parser.add_argument("--unit", type=int, default=1024, help="edge of the units that objects are joined over")
    parser.add_argument("--sample", type=int, default=2, help="tiles that are timed to choose the best")
    parser.add_argument("--monai", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu, with one thread, on a busy machine")
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


class Bench:
    """The cases, and the settings that were found best for them."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.options = options
        self.shape = tuple(options.shape)
        self.ndim = len(self.shape)
        self.config = ModelConfig(width=options.width, depth=options.depth, ndim=self.ndim)
        self.network = build_network(self.config).eval().to(memory_format=FORMAT[self.ndim])
        pixels = np.random.default_rng(0).integers(0, 4000, self.shape).astype(np.uint16)
        self.source = ImageSource(pixels, "ZYX"[-self.ndim :], self.ndim)
        self.normalizer = fit_normalizer(self.source, self.config.normalization)
        self.image = torch.rand(1, 1, *self.shape)
        self.chosen: dict[str, object] = {}

    def cases(self) -> dict[str, Case]:
        """All that is timed."""
        edge = self._best_bare()
        self.chosen["bare pass, tile"] = edge
        found: dict[str, Case] = {"bare pass": lambda: self._bare(edge), "ours": self._ours()}
        if self.options.monai and importlib.util.find_spec("monai") is not None:
            documented, best = DOCUMENTED[self.ndim], self._best_monai()
            self.chosen["MONAI at its best, patch and batch"] = best
            for overlap in OVERLAPS:
                found[f"MONAI as documented, overlap {overlap}"] = self._monai(documented, 4, overlap)
            found[f"MONAI at its best, overlap {OVERLAPS[-1]}"] = self._monai(*best, OVERLAPS[-1])
        return found

    def warm_up(self) -> None:
        """Run a little of ours once; the others ran while the best was chosen."""
        part = tuple(slice(0, min(n, 256 if self.ndim == 2 else 48)) for n in self.shape)
        self._predictor().predict(ImageSource(self.source.array[part], self.source.axes, self.ndim))

    def _ours(self) -> Case:
        predictor = self._predictor()
        return lambda: sum(1 for _ in predictor.tiles(self.source, normalizer=self.normalizer))

    def _predictor(self) -> Predictor:
        return Predictor(self.network, self.config, device="cpu", memory=int(self.options.memory * 2**30))

    def _bare(self, edge: int, limit: int | None = None) -> int:
        """Pixels that the network saw, tile by tile."""
        seen = 0
        with torch.inference_mode():
            for number, box in enumerate(_grid(self.shape, edge)):
                if number == limit:
                    break
                seen += self.network(self.image[(slice(None), slice(None), *box)])[0, 0].numel()
        return seen

    def _best_bare(self) -> int:
        """Edge of the tile that is fastest per pixel."""
        edges = [edge for edge in EDGES[self.ndim] if edge < max(self.shape)]
        edges = [*edges, max(self.shape)] if self.ndim == 2 else edges
        rates = {edge: self._rate(lambda edge=edge: self._bare(edge, self.options.sample)) for edge in edges}
        return min(rates, key=lambda edge: rates[edge])

    def _rate(self, case: Callable[[], int]) -> float:
        """Seconds per pixel, the better of two."""
        found = []
        for _ in range(2):
            start = CLOCKS[self.options.clock]()
            seen = case()
            found.append((CLOCKS[self.options.clock]() - start) / seen)
        return min(found)

    def _monai(self, edge: int, batch: int, overlap: float, image: torch.Tensor | None = None) -> Case:
        from monai.inferers import sliding_window_inference

        size = tuple(min(edge, n) for n in (self.shape if image is None else image.shape[2:]))

        def run() -> object:
            with torch.inference_mode():
                return sliding_window_inference(
                    self.image if image is None else image, size, batch, self.network, overlap=overlap, mode="gaussian"
                ).argmax(1)

        return run

    def _best_monai(self) -> tuple[int, int]:
        """Patch and batch that are fastest at overlap 0.5 on a part of the image, in which they slide."""
        most = self.options.part if self.ndim == 2 else self.options.part // 4
        part = self.image[(..., *(slice(0, min(n, most)) for n in self.shape))]
        edges = [edge for edge in EDGES[self.ndim] if edge <= max(part.shape) // 2]
        clock = CLOCKS[self.options.clock]
        times = {pair: _time(self._monai(*pair, 0.5, part), clock) for pair in product(edges, BATCHES)}
        return min(times, key=lambda pair: times[pair])

    def difference(self) -> float:
        """Of probabilities, between small tiles and one, on a part of the image."""
        part = tuple(slice(0, min(n, 320 if self.ndim == 2 else 48)) for n in self.shape)
        source = ImageSource(self.source.array[part], self.source.axes, self.ndim)
        small, large = (
            Predictor(self.network, self.config, device="cpu", tile=tile).predict(
                source, output="probabilities", normalizer=self.normalizer
            )
            for tile in (96 if self.ndim == 2 else 24, 1024)
        )
        return float(np.abs(small - large).max())

    def joining(self, clock: Callable[[], float]) -> dict[str, float]:
        """Cost of joining objects over units: labelling them is part of any prediction of objects."""
        values = ndimage.gaussian_filter(
            np.random.default_rng(0).normal(size=self.shape).astype(np.float32), self._grain()
        )
        labels = (values > values.std() / 2).astype(np.uint8) + np.uint8(1)
        units = list(_grid(self.shape, self.options.unit))
        pieces, counts = np.zeros(self.shape, np.uint32), []
        for unit in units:
            pieces[unit], count = connected(labels[unit])
            counts.append(count)
        start = clock()
        table = object_table(pieces, units, counts)
        renumber(pieces, pieces, units, table)
        return {"objects": table.count, "seconds": clock() - start}

    def _grain(self) -> float:
        """Width of the Gaussian that leaves about the wanted number of blobs in noise."""
        volume = np.prod(self.shape) / self.options.objects
        return float(volume ** (1 / self.ndim) / (7.5 if self.ndim == 2 else 7))


def _grid(shape: tuple[int, ...], edge: int) -> Iterator[Box]:
    """Boxes of one edge."""
    spans = [[slice(a, min(a + edge, n)) for a in range(0, n, edge)] for n in shape]
    return product(*spans)


def _time(case: Case, clock: Callable[[], float]) -> float:
    start = clock()
    case()
    return clock() - start


def _row(name: str, times: dict[str, list[float]]) -> list[object]:
    ratios = [a / b for a, b in zip(times[name], times["bare pass"], strict=False)]
    ours = [a / b for a, b in zip(times[name], times["ours"], strict=False)]
    return [
        name,
        f"{statistics.median(times[name]):.2f}",
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f}",
        f"{max(ratios):.2f}",
        f"{statistics.median(ours):.2f}",
    ]


if __name__ == "__main__":
    main()
