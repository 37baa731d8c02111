"""What pseudo-labels gain: the same strokes and the same number of steps, with and without them.

Nuclei (foreground) and membranes; strokes on 1 % of the pixels of 3 images, IoU on unseen ones::

    NAPARI_UNET_DATA=... python benchmarks/pseudo_labels.py --steps 150 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

import napari_unet as nu
from datasets import Sample, choose, data_folder, dsb2018_fluorescence, of_membranes, read_sample, unseen_names
from napari_unet.config import PseudoConfig
from napari_unet.data.simulate import paint_strokes
from report import machine, print_table, write_json


def main() -> None:
    """Measure both ways with every seed; print one table."""
    options = _options()
    sets = {"dsb2018, nuclei": dsb2018_fluorescence(), "isbi2012, membranes": _membranes()}
    runs = [_run(name, samples, seed, options) for seed in options.seeds for name, samples in sets.items()]
    weights = [f"{weight:g}" for weight in (0.0, *options.weights)]
    rows = [
        [name, weight, float(np.mean(found)), min(found), max(found)]
        for name in sets
        for weight in weights
        for found in [[run[weight] for run in runs if run["set"] == name]]
    ]
    print(json.dumps(machine()))
    print_table(
        f"IoU on unseen images after {options.steps} steps, seeds {options.seeds}",
        ["set", "weight of pseudo-labels", "mean", "lowest", "highest"],
        rows,
    )
    write_json(options.json, {"options": vars(options), "runs": runs})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.5], help="weights of the pseudo-labels")
    parser.add_argument("--warmup", type=int, default=100, help="steps over which that weight rises")
    parser.add_argument("--test", type=int, default=12, help="unseen images")
    parser.add_argument("--model", type=json.loads, default={}, help='ModelConfig, as JSON: {"width": 8}')
    parser.add_argument("--training", type=json.loads, default={}, help="TrainConfig, as JSON")
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


def _membranes() -> list[Sample]:
    """Slices of the ISBI 2012 challenge; objects are the membranes."""
    folder = data_folder() / "isbi2012"
    return [of_membranes(read_sample(folder, name)) for name in unseen_names(folder)]


def _run(name: str, samples: list[Sample], seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """IoU of every weight with one seed."""
    train, test = choose(samples, seed, 3, min(options.test, len(samples) - 3))
    strokes = [paint_strokes(sample.labels, seed + 1000 * i, 0.01) for i, sample in enumerate(train)]
    found: dict[str, Any] = {"set": name, "seed": seed}
    for weight in (0.0, *options.weights):
        pseudo = PseudoConfig(weight=weight, warmup=options.warmup)
        training = nu.TrainConfig(**{"seed": seed, "pseudo": pseudo, **options.training})
        images = [sample.image for sample in train]
        model = nu.fit(images, strokes, model=nu.ModelConfig(**options.model), steps=options.steps, training=training)
        found[f"{weight:g}"] = _iou(model, test)
        print(f"{name}, seed {seed}, weight {weight:g}: {found[f'{weight:g}']:.3f}", flush=True)
    return found


def _iou(model: Any, test: Sequence[Sample]) -> float:
    """Mean IoU of the foreground."""
    scores = []
    for sample in test:
        predicted, truth = model.predict(sample.image) >= 2, sample.labels > 0
        scores.append((predicted & truth).sum() / max((predicted | truth).sum(), 1))
    return float(np.mean(scores))


if __name__ == "__main__":
    main()
