"""Does closing leave anything behind? Docks and viewers opened and closed many times, and napari closed in training.

Each dock has a process of its own, strokes, and images in shared memory. Counted are widgets, timers, threads,
processes, shared memory, temporary folders and layers, after the first time and after the last. Then napari is closed
while it
trains, and the time until everything has ended is measured::

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/closing.py --docks 50 --viewers 20
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
import psutil
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication

from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.session.process import ProcessSession
from report import machine, print_table, write_json

LIMIT_SECONDS = 2.0
PATIENCE = 180.0
#: What closes a window while it trains, in a process of its own; says when.
TRAINING = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import napari, numpy as np
from painter import spin, wait_until
viewer = napari.Viewer()
viewer.add_image(np.random.default_rng(0).random((256, 256), dtype=np.float32))
_, dock = viewer.window.add_plugin_dock_widget("napari-unet")
dock.annotate.new_strokes.click()
layer = dock.controller.link.strokes
layer.brush_size = 9
layer.paint((50, 50), 1)
layer.paint((150, 150), 2)
wait_until(lambda: dock.controller.state.step > 2, 170, "it does not learn")
print(dock.controller._client._session.pid, flush=True)
print(time.monotonic(), flush=True)
viewer.close()
spin(0.01)
"""


def main() -> None:
    """Open and close; print what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docks", type=int, default=50, help="docks to open and close in one viewer")
    parser.add_argument("--viewers", type=int, default=20, help="viewers to open and close, each with a dock")
    parser.add_argument("--json", help="write all numbers to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as projects:
        os.environ["NAPARI_UNET_PROJECTS"] = projects
        rows = {"docks": docks(options.docks), "viewers": viewers(options.viewers)}
        seconds, left = close_while_training()
    print(json.dumps(machine()))
    names = list(rows["docks"][0])
    table = [
        [what, when, *counts.values()] for what, pair in rows.items() for when, counts in zip("AZ", pair, strict=True)
    ]
    print_table(
        f"{options.docks} docks, {options.viewers} viewers; A after the first, Z after the last",
        ["", "", *names],
        table,
    )
    clean = all(not grown(*pair) for pair in rows.values()) and not left
    print(f"\nclosed while training: {seconds:.2f} s of {LIMIT_SECONDS:g}; left behind: {left or 'nothing'}")
    print("clean" if clean and seconds <= LIMIT_SECONDS else "NOT CLEAN")
    write_json(options.json, {"options": vars(options), "counts": rows, "seconds": seconds, "left": left})


def grown(first: dict[str, int], last: dict[str, int]) -> dict[str, tuple[int, int]]:
    """What there is more of at last than at first."""
    return {name: (first[name], last[name]) for name in first if last[name] > first[name]}


def docks(count: int) -> tuple[dict[str, int], dict[str, int]]:
    """Counts after the first and after the last of `count` docks in one viewer."""
    viewer = napari.Viewer(show=False)
    viewer.add_image(np.zeros((64, 64), np.float32), name="image")

    def cycle() -> None:
        dock = UNetWidget(viewer, ProcessSession("cpu", threads=1))
        viewer.window.add_dock_widget(dock, name="U-Net segmentation")
        _work_a_little(dock)
        viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
        for layer in list(viewer.layers)[1:]:  # strokes and predictions are the user's, and stay until he deletes them
            viewer.layers.remove(layer)

    found = _often(cycle, count, lambda: {"layers": len(viewer.layers)})
    viewer.close()
    return found


def viewers(count: int) -> tuple[dict[str, int], dict[str, int]]:
    """Counts after the first and after the last of `count` viewers, each with a dock."""

    def cycle() -> None:
        viewer = napari.Viewer(show=False)
        viewer.add_image(np.zeros((64, 64), np.float32), name="image")
        dock = UNetWidget(viewer, ProcessSession("cpu", threads=1))
        viewer.window.add_dock_widget(dock, name="U-Net segmentation")
        _work_a_little(dock)
        viewer.close()

    return _often(cycle, count, lambda: {"layers": 0})


def close_while_training() -> tuple[float, list[str]]:
    """Seconds from closing the window to the end of the program, and what is left then."""
    line = [sys.executable, "-c", TRAINING, str(Path(__file__).parent)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as program:
        worker, start = int(program.stdout.readline()), float(program.stdout.readline())
        program.wait(PATIENCE)
        seconds = time.monotonic() - start
    left = [f"process {worker}"] if psutil.pid_exists(worker) else []
    return seconds, left + _shared(program.pid) + _folders(program.pid)


def _work_a_little(dock: UNetWidget) -> None:
    """Strokes on both classes, shared with the session and kept; every page and form made."""
    controller = dock.controller
    controller.set_live(False)
    controller.new_strokes()
    controller.link.strokes.paint((10, 10), 1)
    controller.link.strokes.paint((40, 40), 2)
    dock.train.settings.unfold()
    dock.train.toggle.click()
    for page in dock.pages:
        dock.show_page(page)
        QApplication.processEvents()
    controller.tick()


def _often(
    cycle: Callable[[], None], count: int, more: Callable[[], dict[str, int]]
) -> tuple[dict[str, int], dict[str, int]]:
    cycle()
    first = _counts() | more()
    for _ in range(count - 1):
        cycle()
    return first, _counts() | more()


def _counts() -> dict[str, int]:
    """What there is now, after everything that is to be deleted is."""
    for _ in range(3):
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        QApplication.processEvents()
        gc.collect()
    widgets = QApplication.allWidgets()
    timers = [one for one in gc.get_objects() if isinstance(one, UNetWidget | QTimer)]
    return {
        "widgets": len(widgets),
        "docks and timers": len(timers),
        "threads": sum(thread.name.startswith("napari-unet") for thread in threading.enumerate()),
        "processes": len(psutil.Process().children(recursive=True)),
        "shared memory": len(_shared(os.getpid())),
        "folders": len(_folders(os.getpid())),
    }


def _shared(pid: int) -> list[str]:
    return [str(path) for path in Path("/dev/shm").glob(f"nu{pid}-*")]


def _folders(pid: int) -> list[str]:
    return [str(path) for path in Path(tempfile.gettempdir()).glob(f"napari-unet-{pid}-*")]


if __name__ == "__main__":
    main()
