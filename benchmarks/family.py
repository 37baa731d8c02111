"""Every member of the family on the same real images, with the same budget.

Nuclei (Data Science Bowl 2018, fluorescence) and membranes (ISBI 2012), every pixel annotated; all networks start from
random weights. Each is trained and judged in a process of its own. Times and memory are measured afterwards, one member
at a time; peak memory, of a few steps and of predicting a megapixel, is told beyond what the imports took::

    NAPARI_UNET_DATA=... python benchmarks/family.py --steps 150 --learning-rate 0.01 --seeds 0 1 2 --keep FOLDER

With ``--keep`` it can be ended, and goes on where it was; after the first seed all members are there. ``--part train``
can run while the machine does other things, and so can ``--part clock`` with one thread; it shows beside it what is
kept so far.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import napari_unet as nu
from datasets import Sample, choose, data_folder, dsb2018_fluorescence, read_sample, unseen_names
from encoders import declare_operators
from napari_unet.events import Step
from napari_unet.networks import estimate
from report import machine, print_table, write_json

OWN: dict[str, dict[str, Any]] = {
    "unet": {},
    "unet, valid": {"padding": "valid"},
    "unetpp, deep supervision": {"architecture": "unetpp", "deep_supervision": True},
    "unet3plus": {"architecture": "unet3plus"},
    "unet3plus, deep supervision": {"architecture": "unet3plus", "deep_supervision": True},
    "fcn8s": {"architecture": "fcn8s"},
    "fcn16s": {"architecture": "fcn16s"},
    "fcn32s": {"architecture": "fcn32s"},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "unet, linear": {"upsampling": "linear"},
    "unet, residual": {"block": "residual"},
    "unetpp": {"architecture": "unetpp"},
}
ENCODED = ("unet", "unetpp", "fpn", "linknet", "pspnet")
PARTS = ("all", "train", "clock", "show")
DATA = {"dsb2018": "nuclei", "isbi2012": "membranes"}
#: What a kept result depends on, besides its member, data and seed.
SETTINGS = ("steps", "seconds", "learning_rate", "width", "train", "test", "threads")
#: Edge of the image that times are taken with.
EDGE = 1024
#: Predictions and steps that are timed; those before them warm up.
PASSES, STEPS = 3, 8


def main() -> None:
    """Measure every member on every data set; print one table."""
    options = _options()
    if options.only:
        print(json.dumps({"train": _train, "clock": _clock}[options.only](options)))
        return
    members = options.members or [*OWN, *_encoded(options.encoder)]
    print(json.dumps(machine()))
    # Whoever has to end it early has all members with the seeds so far.
    runs = [(member, data, seed) for seed, data, member in product(options.seeds, options.data, members)]
    with ThreadPoolExecutor(options.jobs) as pool:
        trained = pool.map(lambda run: _measured(options, "train", *run, new=options.part in ("all", "train")), runs)
        found = {run: scores for run, scores in zip(runs, trained, strict=True) if scores}
    clocks = {
        member: _measured(
            options, "clock", member, options.data[0], options.seeds[0], new=options.part in ("all", "clock")
        )
        for member in members
    }
    budget = f"{options.steps} steps" if options.steps else f"{options.seconds:g} s"
    print_table(
        f"{budget}, width {options.width}, {options.train} images, mean ± standard deviation of seeds {options.seeds}",
        _header(options.data),
        [_row(member, options, found, clocks[member]) for member in members],
    )
    results = [{"member": m, "data": d, "seed": s, **scores} for (m, d, s), scores in found.items()]
    write_json(options.json, {"options": vars(options), "results": results, "clocks": clocks})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, help="optimiser steps of each network; 150 if no budget is given")
    budget.add_argument("--seconds", type=float, help="training time of each network instead")
    parser.add_argument("--learning-rate", type=float, default=nu.TrainConfig().learning_rate, help="peak of the rate")
    parser.add_argument("--width", type=int, default=8, help="channels of the first level")
    parser.add_argument("--train", type=int, default=10, help="images that are learnt from")
    parser.add_argument("--test", type=int, default=20, help="images of nuclei to be judged on; membranes: all others")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1, help="of each network")
    parser.add_argument("--jobs", type=int, default=1, help="networks that are trained at a time")
    parser.add_argument("--encoder", default="resnet18", help="of the members with an encoder, where they install")
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--members", nargs="+", help=f"of {', '.join([*OWN, *VARIANTS, 'unet on resnet18'])}, ...")
    parser.add_argument("--keep", metavar="FOLDER", help="keep each result here, and measure only what is not there")
    parser.add_argument("--part", choices=list(PARTS), default="all", help="what to measure; show: what is kept")
    parser.add_argument("--json", help="write all numbers to this file")
    parser.add_argument("--only", choices=["train", "clock"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps is None and options.seconds is None:
        options.steps = 150
    return options


def _encoded(encoder: str) -> list[str]:
    """Members with an encoder, where the package that knows encoders is there."""
    if importlib.util.find_spec("segmentation_models_pytorch") is None:
        print("segmentation-models-pytorch is not installed: no member with an encoder", flush=True)
        return []
    return [f"{name} on {encoder}" for name in ENCODED]


def _config(member: str, width: int) -> nu.ModelConfig:
    """For example of ``fpn on resnet18``."""
    name, _, encoder = member.partition(" on ")
    if encoder:
        declare_operators()
        return nu.ModelConfig(architecture=name, encoder=encoder)
    return nu.ModelConfig(**{"width": width, **(OWN | VARIANTS)[member]})


def _apart(what: str, member: str, data: str, seed: int) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, *sys.argv, "--only", what, "--members", member, "--data", data, "--seeds", str(seed)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    print(what, member, data, seed, {key: round(value, 3) for key, value in found.items()}, flush=True)
    return found


def _measured(
    options: argparse.Namespace, what: str, member: str, data: str, seed: int, *, new: bool
) -> dict[str, float]:
    """The kept result of the same settings, or a new one, which is kept; empty where none is there nor wanted."""
    settings = {name: getattr(options, name) for name in SETTINGS}
    file = Path(options.keep or ".") / f"{what} {member} {data} {seed}.json"
    if options.keep and file.exists():
        kept: dict[str, Any] = json.loads(file.read_text())
        if kept["settings"] != settings:
            raise SystemExit(f"{file} was measured with {kept['settings']}: name another folder with --keep")
        return dict(kept["found"])
    if not new:
        return {}
    found = _apart(what, member, data, seed)
    if options.keep:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"settings": settings, "found": found}))
    return found


def _train(options: argparse.Namespace) -> dict[str, float]:
    """Train one member and judge it on images it has not seen."""
    (seed,), (member,) = options.seeds, options.members
    train, test = _images(options.data[0], seed, options.train, options.test)
    strokes = [np.where(sample.labels > 0, 2, 1).astype(np.uint8) for sample in train]
    training = _training(options, steps=options.steps, seconds=options.seconds)
    config = _config(member, options.width)
    model = nu.fit([sample.image for sample in train], strokes, model=config, training=training)
    found = [(model.predict(sample.image, device="cpu") >= 2).astype(np.uint8) for sample in test]
    scores = nu.score(found, [(sample.labels > 0).astype(np.uint8) for sample in test])
    return {
        "iou": scores["iou"],
        "boundary_f1": scores["boundary_f1"],
        "steps": model.step,
    }


def _peak() -> float:
    """Most memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _clock(options: argparse.Namespace) -> dict[str, float]:
    """Time of a step and of a megapixel, and the memory they take; what was learnt does not matter."""
    import torch

    torch.set_num_threads(options.threads)
    (seed,), (member,) = options.seeds, options.members
    train, _ = _images(options.data[0], seed, options.train, options.test)
    strokes = [np.where(sample.labels > 0, 2, 1).astype(np.uint8) for sample in train]
    config = _config(member, options.width)
    model = nu.Model(nu.build_network(config).eval(), config)
    image = np.random.default_rng(0).random((EDGE, EDGE), dtype=np.float32)
    before = _peak()
    passes = []
    for _ in range(PASSES + 1):
        start = time.process_time()
        model.predict(image, device="cpu")
        passes.append(time.process_time() - start)
    images = [sample.image for sample in train]
    events = nu.train(images, strokes, model=config, training=_training(options, steps=STEPS + 2))
    ends = [time.process_time() for event in events if isinstance(event, Step)]
    return {
        "megapixel": min(passes[1:]) / (EDGE**2 / 1e6),
        "step": float(np.median(np.diff(ends)[1:])),
        "memory": _peak() - before,
    }


def _training(options: argparse.Namespace, **budget: Any) -> nu.TrainConfig:
    """Settings of every training."""
    return nu.TrainConfig(
        seed=options.seeds[0],
        threads=options.threads,
        learning_rate=options.learning_rate,
        holdout=0,
        device="cpu",
        **budget,
    )


def _peak() -> float:
    """Most memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _images(data: str, seed: int, train: int, test: int) -> tuple[list[Sample], list[Sample]]:
    """Images to learn from, and others to be judged on."""
    if data == "dsb2018":
        return choose(dsb2018_fluorescence(), seed, train, test)
    folder = data_folder() / "isbi2012"
    slices = [read_sample(folder, name) for name in unseen_names(folder)]
    return slices[:train], slices[train:]


def _header(data: Sequence[str]) -> list[str]:
    scores = [f"{DATA[name]}: {score}" for name in data for score in ("IoU", "boundary F1")]
    return ["member", "parameters, M", *scores, "s per step", "s per megapixel", "peak memory, MB"]


def _row(member: str, options: argparse.Namespace, found: dict[Any, Any], clock: dict[str, float]) -> list[str]:
    """One line of the table; what was not measured is left open."""
    known = [[found[run] for seed in options.seeds if (run := (member, data, seed)) in found] for data in options.data]
    scores = [_spread([run[key] for run in runs]) for runs in known for key in ("iou", "boundary_f1")]
    parameters = estimate(_config(member, options.width), (256, 256)).parameters / 1e6
    costs = [
        f"{clock[key]:.{digits}f}" if clock else "" for key, digits in (("step", 2), ("megapixel", 2), ("memory", 0))
    ]
    return [f"`{member}`", f"{parameters:.2f}", *scores, *costs]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    deviation = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{deviation}"


if __name__ == "__main__":
    main()
