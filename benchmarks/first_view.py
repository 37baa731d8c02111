"""The first view: what is seen two strokes per class after an image was opened, and after how many seconds.

An image is cut to a field of at most 512² pixels; two objects get a stroke each, and an arc of background each. The
seconds run from the strokes to the labels of the whole field after the first step; then training goes on for as long as
``--seconds`` says. IoU of the objects on the same field, painted pixels left out, beside a random forest on the
same strokes::

    NAPARI_UNET_DATA=... python benchmarks/first_view.py --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_unet as nu
from datasets import Sample, data_folder, of_membranes, read_sample, unseen_names
from forest import Forest
from napari_unet.data.simulate import paint_strokes
from napari_unet.session.threads import PATIENT_THREADS
from napari_unet.standard import standard_model
from report import machine, print_table, write_json

FIELD = 512
KINDS = ("fluorescence", "tissue", "brightfield", "membranes", "phase contrast")
Array = npt.NDArray[Any]


def main() -> None:
    """Look at every field and seed; print one table."""
    options = _options()
    os.environ.update(PATIENT_THREADS)
    if options.weights:
        _use(options.weights)
    fields = [field for field in _fields() if field[0] in options.kinds]
    kept: dict[str, int] = dict.fromkeys(options.kinds, 0)
    runs = []
    for kind, sample in fields:
        kept[kind] += 1
        if kept[kind] <= options.most:
            runs += [_look(kind, sample, seed, options) for seed in options.seeds]
    print(json.dumps(machine()))
    header = ["kind", "fields", "seconds", "IoU", "0.5 or more", f"IoU after {options.seconds:g} s", "forest"]
    print_table(f"The first view, medians over fields and seeds {options.seeds}", header, list(_rows(runs, options)))
    write_json(options.json, {"options": vars(options), "runs": runs})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--most", type=int, default=20, help="most fields of a kind")
    parser.add_argument("--seconds", type=float, default=2, help="seconds of training before the second look")
    parser.add_argument("--weights", type=Path, help="safetensors of other base weights to look through")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


def _use(path: Path) -> None:
    """Begin from other base weights."""
    from safetensors.torch import load_file

    from napari_unet.networks import base

    known = {name: value.float() for name, value in load_file(path).items()}
    base.base_weights = lambda: known


def _fields() -> Iterator[tuple[str, Sample]]:
    """Fields that the base weights have not seen, with what kind they are of."""
    for folder in ("dsb2018_stage1", "isbi2012", "usiigaci_t98g_phc"):
        for name in unseen_names(data_folder() / folder):
            yield from _field(read_sample(data_folder() / folder, name))


def _field(sample: Sample) -> Iterator[tuple[str, Sample]]:
    """The middle of an image; nothing of one that shows fewer than two objects there."""
    image, labels = (_middle(array) for array in (sample.image, sample.labels))
    kind = _kind(image, labels)
    field = Sample(sample.name, image[..., :3] if image.ndim == 3 else image, labels)
    if kind == "membranes":
        yield kind, of_membranes(field)
    elif len(np.unique(labels)) > 2:
        yield kind, field


def _middle(array: Array) -> Array:
    starts = [max(n - FIELD, 0) // 2 for n in array.shape[:2]]
    return array[tuple(slice(start, start + FIELD) for start in starts)]


def _kind(image: Array, labels: Array) -> str:
    """Tissue is coloured, brightfield is dark on light, and only membranes are labelled as one object."""
    if image.ndim == 3:
        return "tissue" if np.ptp(image.astype(int), axis=-1).mean() > 5 else "brightfield"
    if labels.max() == 1:
        return "membranes"
    if image.dtype == np.uint16:
        return "phase contrast"
    return "fluorescence" if np.median(image[labels > 0]) > np.median(image[labels == 0]) else "brightfield"


def _look(kind: str, sample: Sample, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Paint and look, ours and the forest's."""
    strokes = paint_strokes(sample.labels, seed, pairs=2)
    run = {"kind": kind, "name": sample.name, "seed": seed, **_train(sample, strokes, seed, options)}
    forest = Forest(seed, options.threads)
    grey = sample.image.mean(-1) if sample.image.ndim == 3 else sample.image
    forest.fit([grey], [strokes])
    run["forest"] = _iou(forest.predict(grey), sample.labels, strokes)
    print(json.dumps(run), flush=True)
    return run


def _train(sample: Sample, strokes: Array, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Seconds until the first view, its IoU, and that after some training."""
    from napari_unet.training.loop import Trainer

    coloured = sample.image.ndim == 3
    image, axes = sample.image, "YXC" if coloured else "YX"
    model = standard_model(in_channels=3 if coloured else 1)
    trainer = Trainer(model, nu.TrainConfig(seed=seed, device="cpu", threads=options.threads))
    trainer.set_image("field", image, axes)
    began = time.perf_counter()
    trainer.set_strokes("field", strokes)
    events = trainer.run()
    while trainer.step == 0:
        next(events)
    found = _segment(trainer, image, axes)
    seconds = time.perf_counter() - began
    until = time.perf_counter() + options.seconds
    while time.perf_counter() < until:
        next(events)
    later = _iou(_segment(trainer, image, axes), sample.labels, strokes)
    return {"seconds": seconds, "iou": _iou(found, sample.labels, strokes), "later": later}


def _segment(trainer: Any, image: Array, axes: str) -> Array:
    return nu.Model.from_trainer(trainer).predict(image, axes=axes, device="cpu")


def _iou(found: Array, labels: Array, strokes: Array) -> float:
    """IoU of objects where nothing was painted."""
    ours, true = (found >= 2)[strokes == 0], (labels > 0)[strokes == 0]
    return float((ours & true).sum() / max((ours | true).sum(), 1))


def _rows(runs: list[dict[str, Any]], options: argparse.Namespace) -> Iterator[list[Any]]:
    for kind in options.kinds:
        own = [run for run in runs if run["kind"] == kind]
        if own:
            median = {key: statistics.median(run[key] for run in own) for key in ("seconds", "iou", "later", "forest")}
            useful = f"{np.mean([run['iou'] >= 0.5 for run in own]):.0%}"
            fields = len({run["name"] for run in own})
            yield [kind, fields, median["seconds"], median["iou"], useful, median["later"], median["forest"]]


if __name__ == "__main__":
    main()
