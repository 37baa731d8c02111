"""Real files of many dialects: each is predicted and saved by the command, or refused in one sentence that says why."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_unet as nu
from napari_unet.cli.main import main
from napari_unet.data.source import ImageSource
from napari_unet.io.images import read_image

SAMPLES = Path(os.environ.get("NAPARI_UNET_DATA", "/nowhere")) / "format_samples"
FILES = sorted(path for path in SAMPLES.rglob("*") if path.is_file())
READABLE = (".tif", ".jpg")

pytestmark = pytest.mark.skipif(not FILES, reason="set NAPARI_UNET_DATA to the folder of test images")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """A tiny model for each number of channels."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for channels in (1, 2, 3):
        config = nu.ModelConfig(width=2, depth=1, in_channels=channels)
        nu.Model(nu.build_network(config), config).save(folder / f"{channels}.unet")
    return {channels: str(folder / f"{channels}.unet") for channels in (1, 2, 3)}


def predict(model: str, path: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The sentences of a failing command; none when it worked."""
    code = main(["predict", "--model", model, str(path), str(target), "--device", "cpu"])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("napari-unet: ")]
    assert len(lines) == code
    return lines


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix in READABLE], ids=lambda path: path.name[-40:])
def test_a_file_is_predicted_and_saved(path: Path, tmp_path: Path, models: dict[int, str], capsys):
    image = read_image(path)
    source = ImageSource(image.array, image.axes, 2)
    target = tmp_path / "labels.tif"
    assert predict(models[source.channels], path, target, capsys) == []
    found = read_image(target)
    assert (found.axes, found.array.shape) == (source.label_axes, source.label_shape)
    assert set(np.unique(found.array)) <= {1, 2}
    assert found.spacing == (pytest.approx(image.spacing, rel=1e-4) if image.spacing else None)


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix not in READABLE], ids=lambda path: path.name)
def test_another_file_is_refused_in_one_sentence(path: Path, tmp_path: Path, models: dict[int, str], capsys):
    (line,) = predict(models[1], path, tmp_path / "labels.tif", capsys)
    assert path.name in line
    assert "convert" in line
    assert list(tmp_path.iterdir()) == []


def test_the_wrong_number_of_channels_is_refused_in_one_sentence(tmp_path: Path, models: dict[int, str], capsys):
    path = next(path for path in FILES if path.name == "xyc_8bit__cyto_nuclei.tif")
    (line,) = predict(models[3], path, tmp_path / "labels.tif", capsys)
    assert "choose an image with 3 channels" in line


def test_the_folder_holds_what_it_should():
    assert sum(path.suffix in READABLE for path in FILES) > 80
