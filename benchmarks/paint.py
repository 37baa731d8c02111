"""Is painting as fluid with the dock as without? Time of the main thread per stroke, on very large strokes.

The same strokes are painted on a layer that the dock learns from and on a plain labels layer of that size, in turns.
A stroke is timed with everything that follows from it in the event loop until it is idle: what napari does, and what
the dock does to count the strokes and to tell the session::

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/paint.py --shape 16384 16384
    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/paint.py --shape 512 2048 2048
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_unet._napari.widgets.dock import UNetWidget
from report import machine, print_table, write_json

LIMIT = 1.2
DABS = 30


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
    parser.add_argument("--strokes", type=int, default=20, help="strokes on each layer")
    parser.add_argument("--json", help="write all numbers to this file")
    options = parser.parse_args()
    viewer = napari.Viewer()
    viewer.window.resize(1200, 900)
    viewer.add_image(np.zeros(options.shape, np.uint8), name="image", contrast_limits=(0, 1))
    plain = viewer.add_labels(np.zeros(options.shape, np.uint8), name="plain")
    plain.brush_size = 10
    dock = UNetWidget(viewer, _Silent())
    viewer.window.add_dock_widget(dock)
    dock.controller.set_live(False)
    start = time.perf_counter()
    dock.controller.new_strokes()
    made = time.perf_counter() - start
    times = _pairs(dock, plain, options.strokes)
    medians = {name: 1000 * statistics.median(values) for name, values in times.items()}
    ratio = medians["dock"] / medians["plain"]
    print(json.dumps(machine()))
    print_table(
        f"Main thread per stroke of {DABS} moves on {tuple(options.shape)}, ms, medians of {options.strokes}",
        ["plain napari", "with the dock", "dock : plain", "longest with the dock", "making the layer"],
        [[medians["plain"], medians["dock"], ratio, 1000 * max(times["dock"]), 1000 * made]],
    )
    print(f"\n{'within' if ratio <= LIMIT else 'ABOVE'} the limit of {LIMIT}")
    write_json(options.json, {"options": vars(options), "times": times, "ratio": ratio, "made": made})
    dock.close_session()
    viewer.close()


def _pairs(dock: UNetWidget, plain: Any, strokes: int) -> dict[str, list[float]]:
    """Seconds of each stroke on each layer, the layers in turns; the first pair is not counted."""
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {"plain": [], "dock": []}
    for number in range(strokes + 1):
        path = _path(rng, plain.data.shape)
        for name, layer in (("plain", plain), ("dock", dock.controller.link.strokes)):
            plain.visible, dock.controller.link.strokes.visible = name == "plain", name == "dock"
            QApplication.processEvents()
            spent = _stroke(dock, layer, path)
            if number:
                times[name].append(spent)
    return times


def _path(rng: np.random.Generator, shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Places of a stroke on the first plane."""
    place = rng.uniform(0.2, 0.8, 2) * shape[-2:]
    steps = np.cumsum(rng.normal(0, 4, (DABS, 2)), axis=0)
    return [(*(0,) * (len(shape) - 2), *(int(at) for at in place + step)) for step in steps]


def _stroke(dock: UNetWidget, layer: Any, path: Sequence[tuple[int, ...]]) -> float:
    """Seconds of the main thread for one stroke and what follows from it."""
    start = time.thread_time()
    with layer.block_history():
        for place in path:
            layer.paint(place, 2)
            QApplication.processEvents()
    dock.controller.tick()
    QApplication.processEvents()
    return time.thread_time() - start


if __name__ == "__main__":
    main()
