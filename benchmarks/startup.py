"""How long the user waits: for ``import napari_unet``, and for the dock to open.

Each import is timed in a fresh process. The dock needs napari and a screen (or ``xvfb-run``)::

    xvfb-run -a python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

from report import machine, print_table, write_json

IMPORT = """
import sys, time
start = time.perf_counter()
import napari_unet
seconds = time.perf_counter() - start
loaded = [name for name in ("torch", "napari", "qtpy", "numpy", "scipy", "pydantic") if name in sys.modules]
import json; print(json.dumps({"seconds": seconds, "loaded": loaded}))
"""

DOCK = """
import json, sys, time
import napari
viewer = napari.Viewer()
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
start = time.perf_counter()
viewer.window.add_plugin_dock_widget("napari-unet")
QApplication.processEvents()
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "loaded": [name for name in ("torch",) if name in sys.modules]}))
viewer.close()
"""


def main() -> None:
    """Time both, several times each; print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="fresh processes for the import")
    parser.add_argument("--docks", type=int, default=5, help="fresh processes for the dock; 0 leaves it out")
    parser.add_argument("--json", help="write all numbers to this file")
    options = parser.parse_args()
    results = {"import napari_unet": _repeat(IMPORT, options.repeats)}
    if options.docks:
        results["dock opens"] = _repeat(DOCK, options.docks)
    limits = {"import napari_unet": 0.15, "dock opens": 1.0}
    print(json.dumps(machine()))
    print_table(
        "Seconds in fresh processes (the first run warms the disk and is left out)",
        ["what", "median", "lowest", "highest", "limit", "torch loaded"],
        [[name, *_summary(runs), limits[name], _torch(runs)] for name, runs in results.items()],
    )
    write_json(options.json, {"runs": results})


def _repeat(program: str, repeats: int) -> list[dict[str, Any]]:
    """Run a program in fresh processes; the first run is not counted."""
    return [_run(program) for _ in range(repeats + 1)][1:]


def _run(program: str) -> dict[str, Any]:
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    lines = [line for line in answer.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"the program that is timed failed:\n{answer.stderr}")
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def _summary(runs: list[dict[str, Any]]) -> tuple[float, float, float]:
    seconds = [run["seconds"] for run in runs]
    return statistics.median(seconds), min(seconds), max(seconds)


def _torch(runs: list[dict[str, Any]]) -> str:
    return "yes" if any("torch" in run["loaded"] for run in runs) else "no"


if __name__ == "__main__":
    main()
