"""Opening and closing, again and again, with processes: nothing is left.

The numbers of the full run: NAPARI_UNET_DOCKS=50 NAPARI_UNET_VIEWERS=20.
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DOCKS, VIEWERS = int(os.environ.get("NAPARI_UNET_DOCKS", "3")), int(os.environ.get("NAPARI_UNET_VIEWERS", "2"))


@pytest.fixture
def closing(monkeypatch, qapp):
    """The benchmark that opens and closes, as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("closing", BENCHMARKS / "closing.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in ("report", "painter"):
        sys.modules.pop(name, None)


def test_docks_leave_nothing_behind(closing):
    assert not closing.grown(*closing.docks(DOCKS))


def test_viewers_leave_nothing_behind(closing):
    assert not closing.grown(*closing.viewers(VIEWERS))


@pytest.mark.skipif(os.name != "posix" or not os.environ.get("DISPLAY"), reason="needs an X display")
def test_napari_closed_while_it_trains_leaves_nothing_behind(closing):
    _, left = closing.close_while_training()  # how long it takes says the benchmark, on a quiet machine
    assert not left
