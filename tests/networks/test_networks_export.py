"""ONNX files, run by onnxruntime at other sizes than they were made with."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_unet.config import ModelConfig
from napari_unet.networks.encoders import averages
from napari_unet.networks.export import METADATA, export_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

SMALL = {"width": 2, "depth": 1}
THICK = {"ndim": 3, "spacing": (3, 1, 1)}
CASES = {
    "unet": ({}, [(1, 33, 50), (3, 64, 64), (1, 1, 1)]),
    "unet-valid": ({"padding": "valid"}, [(1, 44, 52), (2, 20, 22)]),
    "unet-group": ({"norm": "group"}, [(1, 33, 50), (1, 1, 1)]),
    "unet-3d": ({**THICK, "upsampling": "linear"}, [(1, 3, 17, 22)]),
    "unetpp": ({"architecture": "unetpp", "depth": 2}, [(1, 33, 50)]),
    "unet3plus": ({"architecture": "unet3plus", "depth": 2}, [(1, 33, 50)]),
    "unet-stem": ({"stem": "scale_space"}, [(1, 33, 50), (2, 1, 1)]),
    "fcn8s": ({"architecture": "fcn8s", "width": 1}, [(1, 33, 70)]),
    "unet3plus-guided": ({"architecture": "unet3plus", "guided": True}, [(2, 33, 50)]),
    "fcn16s": ({"architecture": "fcn16s", "width": 1}, [(1, 33, 70)]),
    "fcn32s": ({"architecture": "fcn32s", "width": 1}, [(1, 33, 70)]),
    "unetpp-3d": ({**THICK, "architecture": "unetpp", "depth": 2}, [(1, 3, 17, 22), (2, 4, 8, 9)]),
    "unet3plus-3d": ({**THICK, "architecture": "unet3plus", "depth": 2}, [(1, 3, 17, 22), (2, 4, 8, 9)]),
    "fcn8s-3d": ({**THICK, "architecture": "fcn8s", "width": 1}, [(1, 3, 33, 40), (2, 5, 40, 7)]),
    "fcn16s-3d": ({**THICK, "architecture": "fcn16s", "width": 1}, [(1, 3, 33, 40), (2, 5, 40, 7)]),
    "fcn32s-3d": ({**THICK, "architecture": "fcn32s", "width": 1}, [(1, 3, 33, 40), (2, 5, 40, 7)]),
}


@pytest.mark.parametrize(("settings", "shapes"), CASES.values(), ids=CASES.keys())
def test_onnxruntime_gives_the_same_at_any_size_and_the_file_holds_the_config(settings, shapes, make, tmp_path):
    config = ModelConfig(**SMALL | settings)
    path = tmp_path / "network.onnx"
    _check(config, make(config), path, shapes)
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert ModelConfig(**json.loads(metadata[METADATA])) == config
    assert [entry.name for entry in tmp_path.iterdir()] == ["network.onnx"]


def test_encoders_give_the_same_at_any_size(encoded, make, tmp_path):
    _check(encoded, make(encoded), tmp_path / "network.onnx", [(1, 33, 70), (2, 64, 96), (1, 200, 1)])


def test_pooling_for_export_is_adaptive_pooling():
    image = torch.rand(2, 3, 13, 7)
    for cells in (1, 2, 3, 6):
        rows, columns = (averages(cells, size, image) for size in image.shape[2:])
        expected = functional.adaptive_avg_pool2d(image, cells)
        torch.testing.assert_close(rows @ image @ columns.T, expected)


def _check(config, network, path, shapes):
    """Export, and compare with torch at sizes that the export did not see."""
    export_onnx(network, config, path)
    session = onnxruntime.InferenceSession(path)
    for batch, *spatial in shapes:
        image = torch.randn(batch, config.in_channels, *spatial)
        (found,) = session.run(None, {"image": image.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, network(image).numpy(), rtol=1e-4, atol=1e-4)
