"""Opening and closing, again and again, with processes: nothing is left.

The numbers of the full run: NAPARI_UNET_DOCKS=50 NAPARI_UNET_VIEWERS=20.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DOCKS, VIEWERS = int(os.environ.get("NAPARI_UNET_DOCKS", "3")), int(os.environ.get("NAPARI_UNET_VIEWERS", "2"))
#: In a program of its own: what other tests leave behind is not counted.
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); import closing; print('left:', {})"

pytestmark = pytest.mark.skipif(os.name != "posix" or not os.environ.get("DISPLAY"), reason="needs an X display")


@pytest.mark.parametrize(
    "counted",
    [
        f"closing.grown(*closing.docks({DOCKS}))",
        f"closing.grown(*closing.viewers({VIEWERS}))",
        "closing.close_while_training()[1] or {}",  # how long it takes says the benchmark, on a quiet machine
    ],
    ids=["docks", "viewers", "while it trains"],
)
def test_nothing_is_left_behind(counted, tmp_path):
    line = [sys.executable, "-c", PROGRAM.format(counted), str(BENCHMARKS)]
    environment = {**os.environ, "NAPARI_UNET_PROJECTS": str(tmp_path)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "left: {}"
