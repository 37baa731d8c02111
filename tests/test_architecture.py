"""The structure of the project is kept by tests."""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import napari_unet

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_unet"
MODULES = sorted(PACKAGE.rglob("*.py"))


def run_python(line: str) -> str:
    return subprocess.run([sys.executable, "-c", line], check=True, capture_output=True, text=True).stdout


def test_import_contracts_hold():
    pytest.importorskip("importlinter")
    command = Path(sys.executable).with_name("lint-imports" + (".exe" if os.name == "nt" else ""))
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", ["napari_unet", "napari_unet.config", "napari_unet.events", "napari_unet.cli.main"])
def test_importing_loads_neither_torch_nor_qt_nor_napari(module: str):
    line = (
        f"import sys, {module}; "
        "print([name for name in ('torch', 'napari', 'qtpy', 'PyQt6', 'magicgui', 'skimage') if name in sys.modules])"
    )
    assert run_python(line).strip() == "[]"


def test_every_public_name_loads_and_is_documented():
    for name in napari_unet.__all__:
        value = getattr(napari_unet, name)
        assert name == "__version__" or value.__doc__, name
    assert set(dir(napari_unet)) == set(napari_unet.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = napari_unet.nonsense


def test_modules_stay_small():
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert max(sizes.values()) <= 500, max(sizes, key=sizes.get)
    assert statistics.median(sizes.values()) <= 160


def test_functions_stay_small():
    lengths = sorted(length for path in MODULES for length in _body_lengths(path))
    assert statistics.median(lengths) <= 7
    assert lengths[int(0.9 * len(lengths))] <= 28


def _body_lengths(path: Path) -> list[int]:
    """Lines of each function body, without its docstring."""
    lengths = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lengths.append(body[-1].end_lineno - body[0].lineno + 1 if body else 0)
    return lengths


def test_ci_runs_the_command_of_the_readme():
    command = (ROOT / ".ci" / "run").read_text(encoding="utf-8").strip().splitlines()[-1]
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
