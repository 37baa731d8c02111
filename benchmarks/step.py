"""What the training step costs beside the bare forward, backward and optimiser step on the same batch.

Both are steps of the same network in the same channels-last layout and with the same optimiser. The whole step draws,
reads, augments and weighs its batch, computes our loss, clips, steps, and averages the weights; the bare step gets a
batch that is ready, and torch's cross-entropy. They take turns in changing order, so that a busy machine slows both
alike; the ratio is the median over the pairs::

    python benchmarks/step.py --rounds 60
    python benchmarks/step.py --ndim 3 --rounds 20 --profile

``--cpu-time`` counts the processor's time instead of the wall's, for a machine that others use too.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import statistics
import time
from collections.abc import Callable
from random import Random

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.simulate import paint_strokes
from napari_unet.events import Step
from napari_unet.training.learner import Learner
from napari_unet.training.loop import Trainer
from report import machine, print_table, write_json

GOAL = 1.15


def main() -> None:
    """Measure, print a table, and say whether the goal is met."""
    options = _options()
    torch.set_num_threads(options.threads)
    trainer = _trainer(options)
    if options.profile:
        _profile(trainer, options.rounds)
        return
    learner, plan = trainer._learner, trainer._plan
    works = {
        "whole": lambda: learner.learn(plan, 1e-4),
        "bare": _bare_step(learner, plan),
        "preparation": lambda: learner._batches.make(plan, learner.seed()),
    }
    times = _turns(works, options.rounds, time.process_time if options.cpu_time else time.perf_counter)
    ratios = [a / b for a, b in zip(times["whole"], times["bare"], strict=True)]
    ratio, (low, high) = statistics.median(ratios), _interval(ratios)
    print(json.dumps(machine()))
    rows = [[name, 1e3 * statistics.median(values), 1e3 * min(values)] for name, values in times.items()]
    print_table(f"one step of {plan}", ["what", "median, ms", "fastest, ms"], rows)
    print(f"\nwhole / bare: {ratio:.3f} (95 %: {low:.3f} to {high:.3f}); goal: at most {GOAL}")
    write_json(options.json, {"options": vars(options), "times": times, "ratio": [ratio, low, high]})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ndim", type=int, default=2, choices=(2, 3))
    parser.add_argument("--size", type=int, help="edge of the image, pixels; 512 or 96")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--profile", action="store_true", help="print where the preparation spends its time instead")
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


def _trainer(options: argparse.Namespace) -> Trainer:
    """A default training that is under way."""
    size = options.size or {2: 512, 3: 96}[options.ndim]
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((size,) * options.ndim), 6)
    truth, _ = ndimage.label(smooth > np.quantile(smooth, 0.7))
    image = (1000 * smooth + rng.normal(0, 20, smooth.shape)).astype(np.uint16)
    strokes = paint_strokes(truth, seed=0, fraction=0.02)
    trainer = Trainer(ModelConfig(ndim=options.ndim), TrainConfig(device=options.device, precision="off"))
    trainer.set_image("a", image, "ZYX"[-options.ndim :])
    trainer.set_strokes("a", strokes)
    steps = (event for event in trainer.run() if isinstance(event, Step))
    for _ in range(3):
        next(steps)
    return trainer


def _bare_step(learner: Learner, plan: object) -> Callable[[], None]:
    """Forward, backward and optimiser step on a batch that is ready."""
    batch = learner._batches.make(plan, learner.seed())
    network, optimizer = learner.network, torch.optim.AdamW(learner.network.parameters(), lr=1e-4)

    def step() -> None:
        network.train()
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(network(batch.images), batch.targets, ignore_index=-1)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def _turns(works: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of each in each round; the first round warms up and is left out."""
    found: dict[str, list[float]] = {name: [] for name in works}
    order, random = list(works), Random(0)
    for _ in range(rounds + 1):
        random.shuffle(order)
        for name in order:
            start = clock()
            works[name]()
            found[name].append(clock() - start)
    return {name: values[1:] for name, values in found.items()}


def _interval(values: list[float]) -> tuple[float, float]:
    """Of the median, by bootstrap over the pairs."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), (2.5, 97.5))
    return float(low), float(high)


def _profile(trainer: Trainer, rounds: int) -> None:
    learner, profiler = trainer._learner, cProfile.Profile()
    profiler.enable()
    for _ in range(rounds):
        learner._batches.make(trainer._plan, learner.seed())
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
