"""Is painting as fluid with the dock as without? Time of the main thread, on very large strokes.

The same strokes are painted, taken back and brought back on a layer that the dock learns from and on a plain labels
layer of that size, in turns. Each is timed with everything that follows in the event loop until it is idle: what
napari does, and what the dock does to count the strokes, to keep them and to tell the session. Then what the dock does
alone: the longest of its ticks, and what opening it, beginning to learn and choosing another image and back cost. All
is time of the processor, which does not depend on what else the machine does::

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/paint.py --shape 16384 16384
    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/paint.py --shape 512 2048 2048
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_unet._napari.widgets.dock import UNetWidget
from report import machine, print_table, write_json

#: Strokes with the dock against those without, and the longest tick of the dock, seconds.
LIMIT, LONGEST_TICK = 1.2, 0.05
DABS = 30
#: Ticks in which everything that was begun comes to its end.
SETTLING = 12

Times = dict[str, list[float]]


class _Silent:
    """A session that does nothing, so that only the main thread is measured."""

    def send(self, command: object) -> None: ...
    def poll(self) -> list[Any]:
        return []

    def close(self) -> None: ...


def main() -> None:
    """Paint in pairs; print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs="+", default=[16384, 16384], help="shape of the strokes")
    parser.add_argument("--strokes", type=int, default=10, help="strokes on each layer")
    parser.add_argument("--json", help="write all numbers to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as projects:
        os.environ["NAPARI_UNET_PROJECTS"] = projects
        bench = _Bench(options.shape)
        pairs = bench.pairs(options.strokes)
        moments = bench.moments()
        bench.close()
    medians = {name: 1000 * statistics.median(values) for name, values in pairs.items()}
    ratio = {what: medians[f"dock {what}"] / medians[f"plain {what}"] for what in ("stroke", "undo", "redo")}
    tick = max(bench.ticks)
    print(json.dumps(machine()))
    print_table(
        f"Main thread on {tuple(options.shape)}, ms, medians of {options.strokes}; a stroke has {DABS} moves",
        ["", "plain napari", "with the dock", "dock : plain"],
        [[what, medians[f"plain {what}"], medians[f"dock {what}"], ratio[what]] for what in ratio],
    )
    print_table("Once, ms", list(moments), [[1000 * seconds for seconds in moments.values()]])
    good = max(ratio.values()) <= LIMIT and tick <= LONGEST_TICK
    print(f"\nlongest tick of the dock: {1000 * tick:.1f} ms of {1000 * LONGEST_TICK:.0f}")
    print(f"{'within' if good else 'ABOVE'} the limit of {LIMIT}")
    write_json(options.json, {"options": vars(options), "pairs": pairs, "moments": moments, "tick": tick})


class _Bench:
    """A window with a large image, a plain labels layer, and the dock with its strokes."""

    def __init__(self, shape: Sequence[int]) -> None:
        self._viewer = napari.Viewer()
        self._viewer.window.resize(1200, 900)
        image = self._viewer.add_image(np.zeros(shape, np.uint8), name="image", contrast_limits=(0, 1))
        self._plain = self._viewer.add_labels(np.zeros(shape, np.uint8), name="plain")
        self._plain.brush_size = 10
        self._image = image
        self._settle()
        self.ticks: list[float] = []
        self._open_seconds = self._timed(self._open)
        self._new_seconds = self._timed(self._dock.controller.new_strokes)
        self._strokes = self._dock.controller.link.strokes
        self._strokes.brush_size = 10

    def _open(self) -> None:
        self._dock = UNetWidget(self._viewer, _Silent())
        self._viewer.window.add_dock_widget(self._dock)
        self._dock._timer.stop()
        self._dock.controller.set_live(False)

    def pairs(self, strokes: int) -> Times:
        """Seconds of each stroke, undo and redo on each layer, the layers in turns; the first pair is not counted."""
        rng = np.random.default_rng(0)
        names = [f"{layer} {what}" for layer in ("plain", "dock") for what in ("stroke", "undo", "redo")]
        times: Times = {name: [] for name in names}
        for name, layer in (("plain", self._plain), ("dock", self._strokes)):
            self._plain.visible, self._strokes.visible = name == "plain", name == "dock"
            self._settle()
            for number in range(strokes + 1):
                path = _path(rng, layer.data.shape)
                spent = [self._timed(act) for act in self._acts(name, layer, path)]
                for what, seconds in zip(("stroke", "undo", "redo"), spent, strict=True):
                    if number:
                        times[f"{name} {what}"].append(seconds)
        return times

    def _acts(self, name: str, layer: Any, path: Sequence[tuple[int, ...]]) -> list[Callable[[], object]]:
        tools = self._dock.controller.tools if name == "dock" else layer
        return [lambda: _stroke(layer, path), tools.undo, tools.redo]

    def moments(self) -> dict[str, float]:
        """Seconds of what is done once; the strokes are spread over the whole layer by then."""
        controller, other = self._dock.controller, self._viewer.add_image(np.zeros((64, 64), np.uint8))
        controller.choose_image(self._image)
        _stroke(self._strokes, _path(np.random.default_rng(1), self._strokes.data.shape), value=1)
        self._settle()
        return {
            "open the dock": self._open_seconds,
            "new strokes": self._new_seconds,
            "begin to learn": self._timed(controller.train),
            "another image": self._timed(lambda: controller.choose_image(other)),
            "and back": self._timed(lambda: controller.choose_image(self._image)),
            "strokes of another tool": self._timed(lambda: controller.choose_strokes(self._plain)),
        }

    def _timed(self, act: Callable[[], object]) -> float:
        """Seconds of the main thread for one act and what follows from it."""
        start = time.thread_time()
        act()
        QApplication.processEvents()
        spent = time.thread_time() - start
        return spent + self._settle() if hasattr(self, "_dock") else spent

    def _settle(self) -> float:
        """Let the dock and the event loop come to rest; seconds of the first tick."""
        first = 0.0
        for number in range(SETTLING):
            start = time.thread_time()
            if hasattr(self, "_dock"):
                self._dock.controller.tick()
                self.ticks.append(time.thread_time() - start)
            QApplication.processEvents()
            first = first if number else time.thread_time() - start
        return first

    def close(self) -> None:
        """End the dock and the window."""
        self._dock.close_session()
        self._viewer.close()


def _path(rng: np.random.Generator, shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Places of a stroke on the first plane."""
    place = rng.uniform(0.05, 0.95, 2) * shape[-2:]
    steps = np.cumsum(rng.normal(0, 4, (DABS, 2)), axis=0)
    return [(*(0,) * (len(shape) - 2), *(int(at) for at in place + step)) for step in steps]


def _stroke(layer: Any, path: Sequence[tuple[int, ...]], value: int = 2) -> None:
    """One stroke, drawn on the screen as it is painted."""
    with layer.block_history():
        for place in path:
            layer.paint(place, value)
            QApplication.processEvents()


if __name__ == "__main__":
    main()
