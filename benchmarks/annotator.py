"""A simulated annotator: strokes, then corrections of the largest errors, for a U-Net and for a random forest.

A person paints objects and background close around them, looks at the prediction while the method learns, and every
few seconds adds ten strokes where it is most wrong. Each method gets its own corrections. IoU on unseen images against
seconds and against strokes. The clock stands still while the person paints and while unseen images are scored::

    NAPARI_UNET_DATA=... python benchmarks/annotator.py --seeds 0 1 2 --dense --plot annotator.svg

On a machine that others use too, ``--clock cpu`` counts the processor time of this process over its threads. What
several runs wrote with ``--json`` is joined by ``--read``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import napari_unet as nu
from chart import write_panels
from datasets import Sample, stroke_set
from napari_unet.data.simulate import correct_strokes, paint_strokes
from napari_unet.session.threads import PATIENT_THREADS
from napari_unet.standard import standard_model
from report import machine, print_table, write_json

SETS = ("dsb2018", "isbi2012", "usiigaci", "plantseg")
Array = npt.NDArray[Any]


class Clock:
    """Seconds of a method alone: wall time, or processor time over its threads."""

    def __init__(self, kind: str, threads: int) -> None:
        self._read: Callable[[], float] = time.perf_counter
        if kind == "cpu":
            self._read = lambda: time.process_time() / threads
        self._zero = self._read()

    def now(self) -> float:
        """Seconds so far."""
        return self._read() - self._zero

    def wait(self, until: float) -> None:
        """Go on to a later time at once: nothing happens until then."""
        self._zero -= max(0.0, until - self.now())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done within takes no time."""
        start = self._read()
        yield
        self._zero += self._read() - start


class Learner(Protocol):
    """What is compared."""

    def learn(self, strokes: Sequence[Array], clock: Clock, until: float) -> None:
        """Learn from strokes until a time."""

    def predict(self, image: Array) -> Array:
        """Strokes' value of each pixel."""


class UNet:
    """Trains without a break, as in the dock; new strokes enter the next batch."""

    def __init__(
        self, images: Sequence[Array], seed: int, options: argparse.Namespace, settings: dict[str, Any]
    ) -> None:
        from napari_unet.training.loop import Trainer

        model = standard_model(ndim=images[0].ndim, **settings.get("model", {}))
        training = {"seed": seed, "threads": options.threads, "device": "cpu", **settings.get("training", {})}
        self._trainer = Trainer(model, nu.TrainConfig(**training))
        for index, image in enumerate(images):
            self._trainer.set_image(str(index), image, _axes(image))
        self._events: Iterator[Any] | None = None

    def learn(self, strokes: Sequence[Array], clock: Clock, until: float) -> None:
        """Take steps until the time has come."""
        for index, painted in enumerate(strokes):
            self._trainer.set_strokes(str(index), painted)
        self._events = self._events or self._trainer.run()
        while clock.now() < until:
            next(self._events)

    def predict(self, image: Array) -> Array:
        """Segment with the averaged weights."""
        return nu.Model.from_trainer(self._trainer).predict(image, axes=_axes(image), device="cpu")


class Trees:
    """The forest is fitted anew when there are new strokes, and is ready long before the next."""

    def __init__(self, seed: int, threads: int) -> None:
        from forest import Forest

        self._make = lambda: Forest(seed, threads)
        self._painted = 0

    def learn(self, strokes: Sequence[Array], clock: Clock, until: float) -> None:
        """Fit if there is something new."""
        painted = sum(int(np.count_nonzero(array)) for array in strokes)
        if painted != self._painted:
            self._forest, self._painted = self._make(), painted
            self._forest.fit(self.images, strokes)
        clock.wait(until)

    def look(self, images: Sequence[Array]) -> Trees:
        """Learn from these images."""
        self.images = images
        return self

    def predict(self, image: Array) -> Array:
        """Segment."""
        return self._forest.predict(image)


def main() -> None:
    """Measure every set, seed and method; print one table."""
    options = _options()
    os.environ.update(PATIENT_THREADS)
    if options.read:
        runs = [run for path in options.read for run in json.loads(Path(path).read_text())["runs"]]
        options.sets = [name for name in options.sets if any(run["set"] == name for run in runs)]
    else:
        runs = [run for name in options.sets for seed in options.seeds for run in _runs(name, seed, options)]
    print(json.dumps(machine()))
    methods = list(dict.fromkeys(run["method"] for run in runs))
    marks = sorted({point["seconds"] for run in runs for point in run["curve"]})
    seeds = sorted({run["seed"] for run in runs})
    rows = [[name, method, *_row(runs, name, method, marks)] for name in options.sets for method in methods]
    header = ["set", "method", *(f"{mark:g} s" for mark in marks), "strokes on", "of all pixels' score"]
    print_table(f"IoU on unseen images, mean and spread of seeds {seeds}, {options.clock} clock", header, rows)
    write_json(options.json, {"options": vars(options), "runs": runs})
    if options.plot:
        write_panels(options.plot, _panels(runs, options.sets))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--marks", type=float, nargs="+", default=[5, 10, 20, 30, 60, 120, 180], help="scored, seconds")
    parser.add_argument("--pace", type=float, default=15, help="seconds between rounds of corrections")
    parser.add_argument("--strokes", type=int, default=10, help="strokes in a round of corrections")
    parser.add_argument("--first", type=float, default=0.004, help="part of the pixels painted before the start")
    parser.add_argument("--most", type=float, default=0.05, help="part of the pixels after which painting ends")
    parser.add_argument("--test", type=int, default=30, help="most unseen images")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--compare",
        type=json.loads,
        default={"base weights": {}, "random weights": {"model": {"weights": "random"}}},
        help='networks to compare, as JSON: {"deep": {"model": {"depth": 5}, "training": {"batch_size": 8}}}',
    )
    parser.add_argument("--dense", action="store_true", help="also the first network with every pixel annotated")
    parser.add_argument("--no-forest", action="store_true", help="leave the random forest out")
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: one seed, 6 s, 2 unseen images")
    parser.add_argument("--json", help="write all numbers to this file")
    parser.add_argument("--read", nargs="+", help="measure nothing: join what runs have written with --json")
    parser.add_argument("--plot", help="draw the curves into this SVG file")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.marks, options.pace, options.test = options.seeds[:1], [3, 6], 3, 2
    return options


def _runs(name: str, seed: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All methods on the images of one seed."""
    train, test = stroke_set(name, seed, options.test)
    images = [sample.image for sample in train]
    if not options.no_forest:
        yield _annotate("forest", Trees(seed, options.threads).look(images), name, seed, train, test, options)
    for method, settings in options.compare.items():
        learner = UNet(images, seed, options, settings)
        yield _annotate(method, learner, name, seed, train, test, options)
    if options.dense:
        learner = UNet(images, seed, options, next(iter(options.compare.values())))
        yield _annotate("all pixels", learner, name, seed, train, test, options)


def _annotate(
    method: str,
    learner: Learner,
    name: str,
    seed: int,
    train: Sequence[Sample],
    test: Sequence[Sample],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Learn, correct and score up to the last mark."""
    dense = method == "all pixels"
    strokes = [_first(sample, seed + 1000 * i, options.first, dense) for i, sample in enumerate(train)]
    rounds = [] if dense else np.arange(options.pace, max(options.marks), options.pace).tolist()
    clock, count, curve = Clock(options.clock, options.threads), 0, []
    for moment in sorted({*rounds, *options.marks}):
        learner.learn(strokes, clock, moment)
        with clock.paused():
            share = float(np.mean([np.mean(array > 0) for array in strokes]))
            if moment in options.marks:
                curve.append({"seconds": moment, "strokes": count, "share": share, "iou": _score(learner, test)})
                print(f"{name} seed {seed} {method}: {moment:g} s {curve[-1]['iou']:.3f} on {share:.2%}", flush=True)
            if moment in rounds and share < options.most:
                count += 1
                strokes = _corrected(learner, train, strokes, options.strokes, seed + 7919 * count)
    return {"set": name, "seed": seed, "method": method, "curve": curve}


def _first(sample: Sample, seed: int, part: float, dense: bool) -> Array:
    """What is painted before the start."""
    if dense:
        return np.where(sample.labels > 0, 2, 1).astype(np.uint8)
    return paint_strokes(sample.labels, seed, part)


def _corrected(
    learner: Learner, train: Sequence[Sample], strokes: Sequence[Array], count: int, seed: int
) -> list[Array]:
    """Add strokes at the largest errors over all images, which are of one size."""
    found = np.stack([learner.predict(sample.image) for sample in train])
    labels = np.stack([sample.labels for sample in train])
    return list(correct_strokes(found, labels, np.stack(strokes), count, seed))


def _score(learner: Learner, test: Sequence[Sample]) -> float:
    """Mean IoU of the objects."""
    pairs = [(learner.predict(sample.image) >= 2, sample.labels > 0) for sample in test]
    return float(np.mean([(a & b).sum() / max((a | b).sum(), 1) for a, b in pairs]))


def _axes(image: Array) -> str:
    return "ZYX"[-image.ndim :]


def _points(runs: Sequence[dict[str, Any]], name: str, method: str, key: str) -> dict[float, list[float]]:
    """What all seeds have at each mark that all of them have."""
    curves = [run["curve"] for run in runs if run["set"] == name and run["method"] == method]
    found: dict[float, list[float]] = {}
    for point in (point for curve in curves for point in curve):
        found.setdefault(point["seconds"], []).append(point[key])
    return {mark: values for mark, values in found.items() if len(values) == len(curves)}


def _row(runs: Sequence[dict[str, Any]], name: str, method: str, marks: Sequence[float]) -> list[Any]:
    """Mean and spread at each mark, what is painted at last, and the part of the score of all pixels."""
    scores, shares = (_points(runs, name, method, key) for key in ("iou", "share"))
    whole = _points(runs, name, "all pixels", "iou")
    cells = [f"{np.mean(scores[m]):.3f} ± {np.std(scores[m]):.3f}" if m in scores else "-" for m in marks]
    best = np.mean(scores[max(scores)]) / np.mean(whole[max(whole)]) if whole else None
    return [*cells, f"{np.mean(shares[max(shares)]):.1%}", "-" if best is None else f"{best:.0%}"]


def _panels(runs: Sequence[dict[str, Any]], sets: Sequence[str]) -> dict[str, dict[str, Any]]:
    """IoU against seconds, and against the painted part in percent."""
    found: dict[str, dict[str, Any]] = {}
    for name in sets:
        methods = dict.fromkeys(run["method"] for run in runs if run["set"] == name)
        scores = {method: _points(runs, name, method, "iou") for method in methods}
        shares = {method: _points(runs, name, method, "share") for method in methods}
        found[f"{name}: IoU, seconds"] = {m: [(x, float(np.mean(y))) for x, y in scores[m].items()] for m in methods}
        found[f"{name}: IoU, % painted"] = {
            m: [(100 * float(np.mean(shares[m][mark])), float(np.mean(y))) for mark, y in scores[m].items()]
            for m in methods
            if m != "all pixels"
        }
    return found


if __name__ == "__main__":
    main()
