"""How long from a stroke to a changed view? A field of 512 x 512 pixels, painted on by a mouse, with live learning.

A stroke counts from the moment the mouse button is let go to the first tile on the screen that was predicted by a
network that has done a whole step with it: the session is asked for just that, in one go with the stroke. The median of
all strokes, the longest, and the steps that were done between::

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

from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.data.simulate import paint_strokes
from napari_unet.data.synthetic import touching_cells
from napari_unet.session.commands import PredictView
from napari_unet.session.messages import Tile
from napari_unet.session.process import ProcessSession
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
    delays, steps = [], []
    for number in range(options.strokes):
        spin(options.pause)
        for values, value in zip((delays, steps), bench.stroke(), strict=True):
            values.append(value)
        print(f"stroke {number + 1}: {delays[-1]:.2f} s, {steps[-1]} steps", flush=True)
    bench.close()
    median = statistics.median(delays)
    print(json.dumps(machine()))
    print_table(
        f"Seconds from a stroke to the changed view, {SIZE} x {SIZE}, limit {LIMIT:g} in the median",
        ["strokes", "median", "shortest", "longest", "steps, median", "first prediction after the first strokes"],
        [[len(delays), median, min(delays), max(delays), statistics.median(steps), first]],
    )
    print(f"\n{'within' if median <= LIMIT else 'ABOVE'} the limit")
    write_json(
        options.json, {"options": vars(options), "delays": delays, "steps": steps, "first": first, "median": median}
    )


class _Bench:
    """A viewer with the real dock and a process that learns."""

    def __init__(self) -> None:
        sample = touching_cells((SIZE, SIZE), seed=0)
        self._start = paint_strokes(sample.labels, seed=0, fraction=0.005)
        self._viewer = napari.Viewer()
        self._viewer.window.resize(1200, 900)
        self._viewer.add_image(sample.image, name="cells")
        session = ProcessSession()
        self._send, session.send = session.send, self._on_send
        self._dock = UNetWidget(self._viewer, session)
        self._viewer.window.add_dock_widget(self._dock, name="U-Net segmentation")
        self._controller = self._dock.controller
        wait_until(lambda: self._controller.state.ready, PATIENCE, "the session does not get ready")
        self._hand = Hand(self._viewer.window._qt_viewer.canvas.native)
        self._asked = self._answered = 0  # the last request for a view after a stroke, and the last answered
        self._shown = 0  # steps of the network whose tile was shown last
        self._take = self._controller.answers.take
        self._controller.answers.take = self._watch

    def _watch(self, event: Any, purpose: str) -> None:
        """Every answer passes here on its way to the screen."""
        self._take(event, purpose)
        if isinstance(event, Tile) and purpose == "view":
            self._answered, self._shown = event.request, event.step

    def _on_send(self, command: Any) -> None:
        """Every command passes here on its way to the session."""
        self._send(command)
        if isinstance(command, PredictView) and command.after:
            self._asked = command.request

    def first_view(self) -> float:
        """Seconds from the first strokes, which start the training by themselves, to the first prediction."""
        self._dock.annotate.new_strokes.click()
        layer = self._controller.link.strokes
        painted = np.nonzero(self._start)
        layer.data_setitem(painted, self._start[painted])
        start = time.perf_counter()
        wait_until(lambda: self._shown > 0, PATIENCE, "no prediction came")
        return time.perf_counter() - start

    def stroke(self) -> tuple[float, int]:
        """Seconds from the end of a stroke to its effect on the screen, and steps done meanwhile."""
        made, before = self._controller.state.made, self._asked
        self._hand.start()
        wait_until(lambda: self._controller.state.made != made, PATIENCE, "no stroke was made")
        self._hand.stop()
        start, step = time.perf_counter(), self._controller.state.step
        wait_until(lambda: before < self._asked <= self._answered, PATIENCE, "the view did not change")
        return time.perf_counter() - start, self._shown - step

    def close(self) -> None:
        """End the session and the window."""
        self._viewer.window.remove_dock_widget(self._dock)
        self._viewer.close()


if __name__ == "__main__":
    main()
