"""What does ``kill -9`` cost? napari is killed at random moments while a mouse paints, erases and undoes.

Each run opens an image from a file, paints with real mouse events, and is killed. Then the project is read, and
compared with what was on the screen: lost is the time from the first change that is not in the project to the kill.
After the last run napari is started once more, the dock's offer is accepted, and the layer must equal the project::

    xvfb-run -a -s "-screen 0 1400x1000x24" python benchmarks/crash.py --runs 20
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.errors import ProjectError
from napari_unet.io.project import read_project
from report import machine, print_table, write_json

SIZE = 256
LIMIT = 2.0
Run = dict[str, Any]


def main() -> None:
    """Kill napari again and again; print one row for each time."""
    options = _options()
    if options.paint:
        paint(Path(options.paint), quiet=options.quiet)
    elif options.restore:
        raise SystemExit(restore(Path(options.restore)))
    else:
        _report(kill_often(options.runs, options.longest, options.seed, quiet=options.quiet), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="how often napari is killed")
    parser.add_argument("--longest", type=float, default=12, help="latest moment of the kill, seconds of painting")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--quiet", action="store_true", help="without a training process beside it")
    parser.add_argument("--json", help="write all numbers to this file")
    parser.add_argument("--paint", help=argparse.SUPPRESS)
    parser.add_argument("--restore", help=argparse.SUPPRESS)
    return parser.parse_args()


# ---------------------------------------------------------------------- the one who kills


def kill_often(runs: int, longest: float, seed: int, *, quiet: bool) -> list[Run]:
    """One run for each kill, and at last one that goes on."""
    moments, results = random.Random(seed), []
    for number in range(runs):
        with tempfile.TemporaryDirectory(prefix="crash-") as name:
            folder = Path(name)
            result = kill_once(folder, moments.uniform(0.2, longest), quiet=quiet)
            if number == runs - 1:
                with _script("--restore", folder, quiet=True) as process:
                    result["restored"] = process.wait() == 0
            print(f"run {number + 1}: {result}", flush=True)
            results.append(result)
    return results


def kill_once(folder: Path, moment: float, *, quiet: bool) -> Run:
    """Start napari, let it paint for `moment` seconds, kill it, and see what is left."""
    _make_image(folder)
    process = _script("--paint", folder, quiet=quiet)
    assert process.stdout is not None
    if b"painting" not in process.stdout.readline():
        raise SystemExit("napari did not start")
    time.sleep(moment)
    killed = time.time()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return {"moment": moment, **compare(folder, killed)}


def compare(folder: Path, killed: float) -> Run:
    """What is in the project of what was on the screen."""
    screen, changed = _screen(folder, "r"), _changed(folder, "r")
    kept, strokes = _kept(folder)
    lost = screen != kept
    seconds = killed - float(changed[lost].min()) if lost.any() else 0.0
    painted = int((changed > 0).sum())
    return {"strokes": strokes, "touched": painted, "lost_pixels": int(lost.sum()), "lost_seconds": seconds}


def _kept(folder: Path) -> tuple[Any, int]:
    try:
        state = read_project(folder / "cells.unet-project").state
    except ProjectError:
        return np.zeros((SIZE, SIZE), np.uint8), 0
    return state.layers["strokes-1"].array(), state.strokes


def _script(what: str, folder: Path, *, quiet: bool) -> subprocess.Popen[bytes]:
    words = [sys.executable, __file__, what, str(folder), *(["--quiet"] if quiet else [])]
    environment = {**os.environ, "NAPARI_UNET_PROJECTS": str(folder / "user")}
    return subprocess.Popen(words, stdout=subprocess.PIPE, env=environment)


def _make_image(folder: Path) -> None:
    import tifffile

    from napari_unet.data.synthetic import touching_cells

    tifffile.imwrite(folder / "cells.tif", touching_cells((SIZE, SIZE), seed=0).image)
    _screen(folder, "w+")
    _changed(folder, "w+")


def _screen(folder: Path, mode: Any) -> Any:
    """The strokes as they are on the screen; they outlive the process that writes them."""
    return np.memmap(folder / "screen", np.uint8, mode, shape=(SIZE, SIZE))


def _changed(folder: Path, mode: Any) -> Any:
    """When each pixel changed last, seconds since 1970."""
    return np.memmap(folder / "changed", np.float64, mode, shape=(SIZE, SIZE))


# ---------------------------------------------------------------------- the one who is killed


def paint(folder: Path, *, quiet: bool) -> None:
    """Open image and dock, and paint until the end."""
    from qtpy.QtCore import QTimer

    from painter import Hand, spin

    viewer, dock = _open(folder, quiet=quiet)
    spin(1)
    dock.controller.new_strokes()
    layer = dock.controller.link.strokes
    log = _Log(folder, layer)
    hand = Hand(viewer.window._qt_viewer.canvas.native, seed=os.getpid())
    habits = QTimer()
    habits.timeout.connect(lambda: _habit(layer))
    for event in (layer.events.labels_update, layer.events.set_data, layer.events.paint):
        event.connect(log.look, position="first")
    habits.start(1700)
    print("painting", flush=True)
    hand.start()
    spin(3600)


def _habit(layer: Any) -> None:
    """Now and then another class, the eraser, or undo."""
    match random.randrange(5):
        case 0:
            layer.undo()
        case 1:
            layer.selected_label = 0
        case 2:
            layer.selected_label = 1
        case _:
            layer.selected_label = 2


class _Log:
    """Notes what is on the screen, and since when, before the dock hears of it."""

    def __init__(self, folder: Path, layer: Any) -> None:
        self._layer, self._screen, self._changed = layer, _screen(folder, "r+"), _changed(folder, "r+")

    def look(self) -> None:
        """Compare with the last look."""
        new = self._layer.data != self._screen
        if new.any():
            self._changed[new] = time.time()
            self._screen[new] = self._layer.data[new]


def restore(folder: Path) -> int:
    """Start again, accept the offer, and compare; 0 when the layer equals the project."""
    from painter import spin, wait_until

    kept, _ = _kept(folder)
    viewer, dock = _open(folder, quiet=True)
    wait_until(lambda: dock.controller.safe.offers.offer is not None, 20, "no offer came")
    dock.offer_bar.go_on.click()
    spin(1)
    same = np.array_equal(dock.controller.link.strokes.data, kept)
    viewer.close()
    return 0 if same else 1


class _Silence:
    """A session that does nothing."""

    def send(self, command: object) -> None:
        """Take no notice."""

    def poll(self) -> list[Any]:
        """Nothing happens."""
        return []

    def close(self) -> None:
        """Nothing ends."""


def _open(folder: Path, *, quiet: bool) -> tuple[Any, Any]:
    import napari

    from napari_unet._napari.widgets.dock import UNetWidget

    viewer = napari.Viewer()
    viewer.window.resize(1100, 800)
    viewer.open(str(folder / "cells.tif"), plugin="napari")
    dock = UNetWidget(viewer, _Silence() if quiet else None)
    viewer.window.add_dock_widget(dock, name="U-Net segmentation")
    return viewer, dock


def _report(runs: list[Run], options: argparse.Namespace) -> None:
    rows = [
        [n, run["moment"], run["strokes"], run["touched"], run["lost_pixels"], run["lost_seconds"]]
        for n, run in enumerate(runs, 1)
    ]
    print_table(
        f"kill -9 at {len(runs)} random moments of painting; limit {LIMIT:g} s",
        ["run", "killed after s", "strokes kept", "pixels touched", "pixels lost", "seconds lost"],
        rows,
    )
    lost = [run["lost_seconds"] for run in runs]
    verdict = "within" if max(lost) <= LIMIT else "ABOVE"
    print(f"\nlost: median {statistics.median(lost):.2f} s, most {max(lost):.2f} s, {verdict} the limit of {LIMIT:g} s")
    print(f"gone on with the last: {'equal' if runs[-1]['restored'] else 'NOT EQUAL'}")
    write_json(options.json, {"machine": machine(), "options": vars(options), "runs": runs})


if __name__ == "__main__":
    main()
