"""Every member of the family on the same real images, with the same number of steps.

Nuclei (Data Science Bowl 2018, fluorescence) and membranes (ISBI 2012), every pixel annotated; each network is
trained and judged in a process of its own, so that peak memory is its own::

    NAPARI_UNET_DATA=... python benchmarks/family.py --steps 300
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

import napari_unet as nu
from datasets import Sample, choose, data_folder, dsb2018_fluorescence, read_sample
from report import machine, print_table, write_json

MEMBERS: dict[str, dict[str, Any]] = {
    "unet": {},
    "unet, linear": {"upsampling": "linear"},
    "unet, residual": {"block": "residual"},
    "unet, valid": {"padding": "valid"},
    "unetpp": {"architecture": "unetpp"},
    "unetpp, deep": {"architecture": "unetpp", "deep_supervision": True},
    "unet3plus": {"architecture": "unet3plus"},
    "unet3plus, deep": {"architecture": "unet3plus", "deep_supervision": True},
    "fcn8s": {"architecture": "fcn8s"},
    "fcn16s": {"architecture": "fcn16s"},
    "fcn32s": {"architecture": "fcn32s"},
}


def main() -> None:
    """Measure every member on every data set; print one table for each."""
    options = _options()
    if options.only:
        print(json.dumps(_measure(options)))
        return
    print(json.dumps(machine()))
    results = {data: {member: _apart(data, member) for member in options.members} for data in options.data}
    for data, runs in results.items():
        print_table(
            f"{data}: {options.steps} steps, width {options.width}, seed {options.seed}",
            ["member", "IoU", "boundary F1", "s per step", "s per megapixel", "peak memory, MB"],
            [[member, *run.values()] for member, run in runs.items()],
        )
    write_json(options.json, {"options": vars(options), "results": results})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="optimiser steps of each network")
    parser.add_argument("--width", type=int, default=16, help="channels of the first level")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", nargs="+", choices=["dsb2018", "isbi2012"], default=["dsb2018", "isbi2012"])
    parser.add_argument("--members", nargs="+", choices=list(MEMBERS), default=list(MEMBERS))
    parser.add_argument("--only", action="store_true", help="one member on one data set, in this process")
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


def _apart(data: str, member: str) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, *sys.argv, "--only", "--data", data, "--members", member]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    print(data, member, found, flush=True)
    return found


def _measure(options: argparse.Namespace) -> dict[str, float]:
    """Train one member and judge it on images it has not seen."""
    train, test = _images(options.data[0], options.seed)
    config = nu.ModelConfig(**{"width": options.width, **MEMBERS[options.members[0]]})
    training = nu.TrainConfig(seed=options.seed, threads=options.threads, batch_size=4, steps=options.steps)
    strokes = [np.where(sample.labels > 0, 2, 1).astype(np.uint8) for sample in train]
    start = time.perf_counter()
    model = nu.fit([sample.image for sample in train], strokes, model=config, training=training)
    trained = time.perf_counter()
    found = [(model.predict(sample.image) >= 2).astype(np.uint8) for sample in test]
    predicted = time.perf_counter()
    scores = nu.score(found, [(sample.labels > 0).astype(np.uint8) for sample in test])
    return {
        "iou": scores["iou"],
        "boundary_f1": scores["boundary_f1"],
        "step": (trained - start) / options.steps,
        "megapixel": (predicted - trained) / (sum(sample.image.size for sample in test) / 1e6),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def _images(data: str, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Images to learn from, and others to be judged on."""
    if data == "dsb2018":
        return choose(dsb2018_fluorescence(), seed, 10, 20)
    folder = data_folder() / "isbi2012"
    slices = [read_sample(folder, path.stem) for path in sorted((folder / "images").glob("*.tif"))]
    return slices[:10], slices[10:]


if __name__ == "__main__":
    main()
