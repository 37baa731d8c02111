"""napari, killed while somebody paints."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def crash(monkeypatch):
    """The benchmark that kills napari, as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("crash", BENCHMARKS / "crash.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in ("report", "painter"):
        sys.modules.pop(name, None)


@pytest.mark.skipif(os.name != "posix" or not os.environ.get("DISPLAY"), reason="kills a process on an X display")
def test_kill_9_costs_less_than_two_seconds_of_strokes(crash):
    runs = crash.kill_often(3, longest=3, seed=1, quiet=True)
    assert max(run["touched"] for run in runs) > 0
    assert max(run["lost_seconds"] for run in runs) <= crash.LIMIT
    assert runs[-1]["restored"]
