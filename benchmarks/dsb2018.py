"""Nuclei from a few strokes: foreground IoU on unseen images of the Data Science Bowl 2018.

Strokes on 1 % of the pixels of 3 images, then the same strokes for a U-Net from random weights and for a random forest
on multiscale features; 30 other images are the judges::

    NAPARI_UNET_DATA=... python benchmarks/dsb2018.py --seconds 120 --seeds 0 1 2 --dense
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_unet as nu
from datasets import Sample, choose, dsb2018_fluorescence
from napari_unet.data.simulate import paint_strokes
from napari_unet.session.threads import PATIENT_THREADS
from report import machine, print_table, write_json

Predict = Callable[[npt.NDArray[np.generic]], npt.NDArray[np.integer]]
Fitted = tuple[Predict, int]  # and the steps it took


def main() -> None:
    """Measure every method with every seed; print one table."""
    options = _options()
    os.environ.update(PATIENT_THREADS)
    samples = dsb2018_fluorescence()
    results = [run for seed in options.seeds for run in _runs(samples, seed, options)]
    methods = list(dict.fromkeys(run["method"] for run in results))
    print(json.dumps(machine()))
    print_table(
        f"Foreground IoU on {options.test} unseen images, {options.train} images with strokes "
        f"({100 * options.fraction:g} %), seeds {options.seeds}",
        ["method", "mean", "spread", "lowest", "highest", "pooled", "steps", "seconds", "per image, s"],
        [_row(method, [run for run in results if run["method"] == method]) for method in methods],
    )
    write_json(options.json, {"options": vars(options), "runs": results})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="training time of the network")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train", type=int, default=3, help="images with strokes")
    parser.add_argument("--test", type=int, default=30, help="unseen images")
    parser.add_argument("--fraction", type=float, default=0.01, help="part of the pixels that is painted")
    parser.add_argument("--dense", action="store_true", help="also the network with every pixel annotated")
    parser.add_argument("--no-forest", action="store_true", help="leave the random forest out")
    parser.add_argument("--no-network", action="store_true", help="leave the network out")
    parser.add_argument("--threads", type=int, help="threads of training and forest; default all")
    parser.add_argument("--model", type=json.loads, default={}, help='ModelConfig, as JSON: {"width": 32}')
    parser.add_argument("--training", type=json.loads, default={}, help="TrainConfig, as JSON")
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


def _runs(samples: list[Sample], seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all methods on the images and strokes of one seed."""
    train, test = choose(samples, seed, options.train, options.test)
    images = [sample.image for sample in train]
    strokes = [paint_strokes(sample.labels, seed + 1000 * i, options.fraction) for i, sample in enumerate(train)]
    dense = [np.where(sample.labels > 0, 2, 1).astype(np.uint8) for sample in train]
    methods: list[tuple[str, Callable[[], Fitted]]] = []
    if not options.no_forest:
        methods.append(("random forest", lambda: _forest(images, strokes, seed, options)))
    if not options.no_network:
        methods.append(("U-Net", lambda: _network(images, strokes, seed, options)))
    if options.dense:
        methods.append(("U-Net, all pixels", lambda: _network(images, dense, seed, options)))
    return [_measure(method, seed, fit, test) for method, fit in methods]


def _forest(images: Sequence[Any], strokes: Sequence[Any], seed: int, options: argparse.Namespace) -> Fitted:
    from forest import Forest

    forest = Forest(seed, options.threads or 2)
    forest.fit(images, strokes)
    return forest.predict, 0


def _network(images: Sequence[Any], strokes: Sequence[Any], seed: int, options: argparse.Namespace) -> Fitted:
    training = nu.TrainConfig(**{"seed": seed, "threads": options.threads, **options.training})
    config = nu.ModelConfig(**options.model)
    model = nu.fit(images, strokes, model=config, seconds=options.seconds, training=training)
    return model.predict, model.step


def _measure(method: str, seed: int, fit: Callable[[], Fitted], test: Sequence[Sample]) -> dict[str, Any]:
    """Fit once, then score on each unseen image."""
    start = time.perf_counter()
    predict, steps = fit()
    fitted = time.perf_counter()
    pairs = [_overlap(predict(sample.image) >= 2, sample.labels > 0) for sample in test]
    finished = time.perf_counter()
    per_image = {sample.name: both / max(either, 1) for sample, (both, either) in zip(test, pairs, strict=True)}
    result = {
        "method": method,
        "seed": seed,
        "iou": float(np.mean(list(per_image.values()))),
        "pooled": sum(both for both, _ in pairs) / max(sum(either for _, either in pairs), 1),
        "steps": steps,
        "fit_seconds": fitted - start,
        "predict_seconds": (finished - fitted) / len(test),
        "per_image": per_image,
    }
    print(f"seed {seed}  {method}: {result['iou']:.3f} ({result['fit_seconds']:.0f} s, {steps} steps)", flush=True)
    return result


def _overlap(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Pixels in both, and pixels in either."""
    return int((predicted & truth).sum()), int((predicted | truth).sum())


def _row(method: str, runs: list[dict[str, Any]]) -> list[Any]:
    scores = [run["iou"] for run in runs]
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")
    means = [
        float(np.mean([run[key] for run in runs])) for key in ("pooled", "steps", "fit_seconds", "predict_seconds")
    ]
    return [method, float(np.mean(scores)), spread, min(scores), max(scores), *means]


if __name__ == "__main__":
    main()
