"""How long from a stroke to a changed view? A field of 512 x 512 pixels, painted on by a mouse, with live learning.

A stroke counts from the moment the mouse button is let go to the first tile on the screen that was predicted by a
network that has done a whole step with it: the first step that ends after the session was told may have begun before,
so it is the second one. The median of all strokes, the longest, and what came in between::

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/stroke_latency.py --strokes 20
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import napari
import numpy as np

from napari_unet.data.simulate import paint_strokes
from napari_unet.data.synthetic import touching_cells
from napari_unet.session.messages import Tile
from painter import Hand, spin, wait_until
from report import machine, print_table, write_json

SIZE = 512
LIMIT = 3.0
PATIENCE = 120


def main() -> None:
    """Paint, wait for the view, and again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=20, help="strokes to measure")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between the answer and the next stroke")
    parser.add_argument("--json", help="write all numbers to this file")
    options = parser.parse_args()
    bench = _Bench()
    first = bench.first_view()
    delays = []
    for number in range(options.strokes):
        spin(options.pause)
        delays.append(bench.stroke())
        print(f"stroke {number + 1}: {delays[-1]:.2f} s", flush=True)
    bench.close()
    median = statistics.median(delays)
    print(json.dumps(machine()))
    print_table(
        f"Seconds from a stroke to the changed view, {SIZE} x {SIZE}, limit {LIMIT:g} in the median",
        ["strokes", "median", "shortest", "longest", "first prediction after the first strokes"],
        [[len(delays), median, min(delays), max(delays), first]],
    )
    print(f"\n{'within' if median <= LIMIT else 'ABOVE'} the limit")
    write_json(options.json, {"options": vars(options), "delays": delays, "first": first, "median": median})


class _Bench:
    """A viewer with the real dock and a process that learns."""

    def __init__(self) -> None:
        sample = touching_cells((SIZE, SIZE), seed=0)
        self._start = paint_strokes(sample.labels, seed=0, fraction=0.005)
        self._viewer = napari.Viewer()
        self._viewer.window.resize(1200, 900)
        self._viewer.add_image(sample.image, name="cells")
        _, self._dock = self._viewer.window.add_plugin_dock_widget("napari-unet")
        self._controller = self._dock.controller
        wait_until(lambda: self._controller.state.ready, PATIENCE, "the session does not get ready")
        self._hand = Hand(self._viewer.window._qt_viewer.canvas.native)
        self._shown = 0  # steps of the network whose tile was shown last
        self._take = self._controller.answers.take
        self._controller.answers.take = self._watch

    def _watch(self, event: Any, purpose: str) -> None:
        """Every answer passes here on its way to the screen."""
        self._take(event, purpose)
        if isinstance(event, Tile) and purpose == "view":
            self._shown = event.step

    def first_view(self) -> float:
        """Seconds from the first strokes, which start the training by themselves, to the first prediction."""
        self._dock.annotate.new_strokes.click()
        layer = self._controller.link.strokes
        painted = np.nonzero(self._start)
        layer.data_setitem(painted, self._start[painted])
        start = time.perf_counter()
        wait_until(lambda: self._shown > 0, PATIENCE, "no prediction came")
        return time.perf_counter() - start

    def stroke(self) -> float:
        """Seconds from the end of a stroke to its effect on the screen."""
        made = self._controller.state.made
        self._hand.start()
        wait_until(lambda: self._controller.state.made != made, PATIENCE, "no stroke was made")
        self._hand.stop()
        start, wanted = time.perf_counter(), self._controller.state.step + 2
        wait_until(lambda: self._shown >= wanted, PATIENCE, "the view did not change")
        return time.perf_counter() - start

    def close(self) -> None:
        """End the session and the window."""
        self._viewer.window.remove_dock_widget(self._dock)
        self._viewer.close()


if __name__ == "__main__":
    main()
