"""Does training disturb the user? The longest gap of the GUI event loop while a 1024 x 1024 image is painted on.

Three situations in one run, the last two in pairs: napari alone, the dock open but idle, and training with its live
preview. A mouse paints without a break, a 5 ms timer is the heartbeat::

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/event_loop.py --seconds 20 --pairs 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
from typing import Any

import napari
import numpy as np

from napari_unet.data.simulate import paint_strokes
from napari_unet.data.synthetic import touching_cells
from painter import Hand, Heartbeat, spin, wait_until
from report import machine, print_table, write_json

SIZE = 1024
#: Longest gap, and time from the mouse to the screen, against the idle dock.
LIMIT, PAINT_LIMIT = 2.5, 1.2
Run = dict[str, Any]


def main() -> None:
    """Measure all situations; print one table."""
    options = _options()
    sample = touching_cells((SIZE, SIZE), seed=0)
    viewer = napari.Viewer()
    viewer.window.resize(1200, 900)
    viewer.add_image(sample.image, name="cells")
    bench = _Bench(viewer, options)
    runs = bench.alone()
    dock = Dock(viewer, paint_strokes(sample.labels, seed=0, fraction=0.005))
    bench.warm_up()
    for _ in range(options.pairs):
        runs += [bench.measure("dock idle"), *bench.training(dock)]
    if options.thread:
        runs += bench.thread(sample.image, dock.strokes.data.copy())
    dock.close()
    _report(runs, options)
    viewer.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="length of one measurement")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of idle and training")
    parser.add_argument("--warm-up", type=float, default=5, help="seconds of painting before anything is measured")
    parser.add_argument("--thread", action="store_true", help="also training in a thread of the GUI process")
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


class _Bench:
    """Paints and measures in a viewer."""

    def __init__(self, viewer: napari.Viewer, options: argparse.Namespace) -> None:
        self._viewer = viewer
        self._options = options
        self._hand = Hand(viewer.window._qt_viewer.canvas.native)
        self._heart = Heartbeat()

    def alone(self) -> list[Run]:
        """Napari with a labels layer and nothing of ours."""
        layer = self._viewer.add_labels(np.zeros((SIZE, SIZE), np.uint8))
        layer.brush_size, layer.selected_label, layer.mode = 10, 2, "paint"
        self.warm_up()
        runs = [self.measure("napari alone") for _ in range(self._options.pairs)]
        self._viewer.layers.remove(layer)
        return runs

    def warm_up(self) -> None:
        """Paint without measuring: shaders, caches and memory get ready."""
        self._hand.start()
        spin(self._options.warm_up)
        self._hand.stop()

    def training(self, dock: Dock) -> list[Run]:
        """From the click on Train to the first preview, then training with its live preview."""
        start, tiles = self._begin(), dock.tiles
        dock.train()
        wait_until(lambda: dock.tiles > tiles, 60, "no preview came")
        starting = self._end("training starts", start)
        step, tiles = dock.step, dock.tiles
        run = self.measure("training")
        run["steps_per_second"] = (dock.step - step) / self._options.seconds
        run["previews_per_second"] = (dock.tiles - tiles) / self._options.seconds
        dock.stop()
        return [starting, run]

    def thread(self, image: Any, strokes: Any) -> list[Run]:
        """What was decided against: the same training in a thread of this process."""
        import napari_unet as nu

        ended = threading.Event()
        events = nu.train(image, strokes, training=nu.TrainConfig(), should_stop=ended.is_set)
        worker = threading.Thread(target=lambda: list(events))
        worker.start()
        spin(5)
        runs = [self.measure("training in a thread") for _ in range(self._options.pairs)]
        ended.set()
        worker.join()
        return runs

    def measure(self, situation: str) -> Run:
        """Paint for the time asked for."""
        start = self._begin()
        spin(self._options.seconds)
        return self._end(situation, start)

    def _begin(self) -> int:
        self._hand.start()
        self._heart.start()
        self._hand.latencies.clear()
        return self._hand.moves

    def _end(self, situation: str, start: int) -> Run:
        gaps = self._heart.stop()
        self._hand.stop()
        run = {"situation": situation, "moves": self._hand.moves - start, **gaps}
        run["paint"] = statistics.median(self._hand.latencies)
        print(f"{situation}: longest {gaps['longest']:.0f} ms, 99th percentile {gaps['p99']:.0f} ms", flush=True)
        return run


class Dock:
    """The real dock, worked by its buttons."""

    def __init__(self, viewer: napari.Viewer, strokes: Any) -> None:
        self._viewer = viewer
        self.tiles = 0  # of previews, so far
        _, self._widget = viewer.window.add_plugin_dock_widget("napari-unet")
        wait_until(lambda: self._widget.controller.state.ready, 60, "the session does not get ready")
        self._widget.controller.set_live(False)  # painting must not start what is to be measured
        self._widget.annotate.new_strokes.click()
        self.strokes = self._widget.controller.link.strokes
        self.strokes.data[...] = strokes
        self.strokes.refresh()

    @property
    def step(self) -> int:
        """Steps trained so far."""
        return int(self._widget.controller.state.step)

    def train(self) -> None:
        """Press Train."""
        first = self._widget.controller.link.prediction is None
        self._widget.train.toggle.click()
        if first:
            link = self._widget.controller.link
            for layer in (link.prediction, link.soft):  # the one that is shown gets the tiles
                if layer is not None:
                    layer.events.labels_update.connect(self._on_tile)

    def stop(self) -> None:
        """Press Stop and wait until it has."""
        self._widget.train.toggle.click()
        wait_until(lambda: self._widget.controller.state.phase.value == "idle", 60, "training does not stop")

    def _on_tile(self) -> None:
        self.tiles += 1

    def close(self) -> None:
        """Take the dock away, and its process with it."""
        self._viewer.window.remove_dock_widget(self._widget)


def _report(runs: list[Run], options: argparse.Namespace) -> None:
    """Print medians over the pairs, and how they compare with napari alone and with the idle dock."""
    situations = list(dict.fromkeys(run["situation"] for run in runs))
    longest = {name: _median(runs, name, "longest") for name in situations}
    rows = [
        [
            name,
            longest[name],
            _median(runs, name, "p99"),
            longest[name] / longest["napari alone"],
            longest[name] / longest["dock idle"],
            _median(runs, name, "paint"),
            _median(runs, name, "moves"),
            _median(runs, name, "steps_per_second"),
            _median(runs, name, "previews_per_second"),
        ]
        for name in situations
    ]
    print(json.dumps(machine()))
    print_table(
        f"Gaps of the GUI event loop, ms, {options.seconds:g} s each, medians of {options.pairs}; limit {LIMIT} x idle",
        [
            "situation",
            "longest",
            "99th percentile",
            "x alone",
            "x dock idle",
            "paint",
            "mouse moves",
            "steps/s",
            "previews/s",
        ],
        rows,
    )
    ratio = longest["training"] / longest["dock idle"]
    print(f"\ntraining : idle = {ratio:.2f}, {'within' if ratio < LIMIT else 'ABOVE'} the limit of {LIMIT}")
    paint = _median(runs, "training", "paint") / _median(runs, "dock idle", "paint")
    print(f"from the mouse to the screen, training : idle = {paint:.2f}, limit {PAINT_LIMIT}")
    write_json(options.json, {"options": vars(options), "runs": runs, "ratio": ratio, "paint": paint})


def _median(runs: list[Run], situation: str, key: str) -> float:
    values = [run[key] for run in runs if run["situation"] == situation and key in run]
    return statistics.median(values) if values else float("nan")


if __name__ == "__main__":
    main()
