"""What README and docs tell people to type works as written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.cli.main import main
from napari_unet.config import ModelConfig
from napari_unet.data.simulate import paint_strokes
from napari_unet.data.synthetic import touching_cells
from napari_unet.io.project import ImageEntry
from napari_unet.io.project_state import Settings, StrokesLayer
from napari_unet.session.project_store import ProjectStore

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SMALL = "--steps 2 --width 4 --depth 2"
IMPATIENT = {
    "seconds=60": "steps=2",
    "--seconds 60": SMALL,
    "--steps 20000": SMALL + " --patch-size 32",
    "--nproc-per-node 4": "--standalone --nproc-per-node 2",
}
SCRIPTED = [page for page in PAGES if "```sh\n" in page.read_text(encoding="utf-8")]


def blocks(page: Path, language: str) -> list[str]:
    found = [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]
    return [_hurried(text) for text in found]


def _hurried(text: str) -> str:
    for slow, fast in IMPATIENT.items():
        text = text.replace(slow, fast)
    return text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_UNET_PROJECTS", str(tmp_path / "projects"))
    cells = touching_cells((64, 72), seed=3, diameter=16)
    tifffile.imwrite(tmp_path / "image.tif", cells.image)
    tifffile.imwrite(tmp_path / "other.tif", cells.image)
    tifffile.imwrite(tmp_path / "strokes.tif", paint_strokes(cells.labels, seed=3, fraction=0.05))
    tifffile.imwrite(tmp_path / "truth.tif", cells.labels)
    _make_volume(tmp_path / "volume.ome.zarr", np.stack([cells.image] * 3))
    _make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _make_volume(path: Path, volume: np.ndarray) -> None:
    """An OME-Zarr image of one size."""
    group = zarr.open_group(path, mode="w")
    group.create_array("0", data=volume, chunks=(1, 32, 32))
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    place = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [2.0, 1.0, 1.0]}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [place]}]}


def _make_project(folder: Path) -> None:
    """What the dock leaves behind."""
    image, strokes = (tifffile.imread(folder / f"{name}.tif") for name in ("image", "strokes"))
    store = ProjectStore("cells", folder / "image.tif")
    entry = ImageEntry(
        key="image-1",
        name="image",
        path=str(folder / "image.tif"),
        shape=image.shape,
        dtype=image.dtype.str,
        axes="YX",
    )
    store.image(entry, image, copy=False)
    store.layer("strokes-1", StrokesLayer("image-1", "Strokes", strokes.shape, strokes.dtype))
    store.block("strokes-1", (0, 0), strokes)
    store.settings(Settings(model=ModelConfig(width=4, depth=2)))
    store.flush()
    store.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_snippets_run(page: Path, folder: Path):
    names = {name: tifffile.imread(folder / f"{name}.tif") for name in ("image", "strokes")}
    for snippet in blocks(page, "python"):
        exec(compile(snippet, str(page), "exec"), names)
    if page.name == "README.md":
        assert names["labels"].shape == names["image"].shape
        assert (folder / "cells.unet").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_run(page: Path, folder: Path):
    for line in "\n".join(blocks(page, "")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["napari-unet"] and words[1] != "demo":
            assert main(words[1:]) == 0, line


@pytest.mark.skipif(sys.platform == "win32", reason="torchrun has no libuv on Windows, and there is no bash")
@pytest.mark.parametrize("page", SCRIPTED, ids=lambda page: page.name)
def test_shell_scripts_run(page: Path, folder: Path):
    for name in ("image", "strokes"):
        part = folder / (name if name == "strokes" else "images")
        part.mkdir()
        tifffile.imwrite(part / "a.tif", tifffile.imread(folder / f"{name}.tif"))
    made = ["train", "image.tif", "--strokes", "strokes.tif", "--model", "cells.unet", *SMALL.split()]
    assert main(made) == 0
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for script in blocks(page, "sh"):
        line = ["bash", "-e", "-c", script]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for image in re.findall(r"raw\.githubusercontent\.com/napari-unet/napari-unet/main/([^)\s]+)", text):
        assert (ROOT / image).exists(), image


def test_the_model_of_the_readme_is_the_same_from_python_and_the_command_line(folder: Path):
    import napari_unet as nu

    image, strokes = (np.asarray(tifffile.imread(folder / f"{name}.tif")) for name in ("image", "strokes"))
    config = nu.standard_model(width=4, depth=2)
    training = nu.TrainConfig(steps=3, device="cpu")
    model = nu.fit(image, strokes, model=config, training=training)
    options = ["--steps", "3", "--device", "cpu", "--width", "4", "--depth", "2"]
    assert main(["train", "image.tif", "--strokes", "strokes.tif", "--model", "same.unet", *options]) == 0
    assert main(["predict", "--model", "same.unet", "image.tif", "out.tif"]) == 0
    np.testing.assert_array_equal(tifffile.imread(folder / "out.tif"), model.predict(image))
