"""ONNX files, run by onnxruntime at other sizes than they were made with."""

import json

import numpy as np
import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.networks.export import METADATA, export_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

SMALL = {"width": 2, "depth": 1}
CASES = {
    "unet": ({}, [(1, 33, 50), (3, 64, 64), (1, 1, 1)]),
    "unet-valid": ({"padding": "valid"}, [(1, 44, 52), (2, 20, 22)]),
    "unet-group": ({"norm": "group"}, [(1, 33, 50), (1, 1, 1)]),
    "unet-3d": ({"ndim": 3, "spacing": (3, 1, 1), "upsampling": "linear"}, [(1, 3, 17, 22)]),
    "unetpp": ({"architecture": "unetpp", "depth": 2}, [(1, 33, 50)]),
    "unet3plus": ({"architecture": "unet3plus", "depth": 2}, [(1, 33, 50)]),
    "fcn8s": ({"architecture": "fcn8s", "width": 1}, [(1, 33, 70)]),
    "unet3plus-guided": ({"architecture": "unet3plus", "guided": True}, [(2, 33, 50)]),
    "fcn16s": ({"architecture": "fcn16s", "width": 1}, [(1, 33, 70)]),
    "fcn32s": ({"architecture": "fcn32s", "width": 1}, [(1, 33, 70)]),
}


@pytest.mark.parametrize(("settings", "shapes"), CASES.values(), ids=CASES.keys())
def test_onnxruntime_gives_the_same_at_any_size_and_the_file_holds_the_config(settings, shapes, make, tmp_path):
    config = ModelConfig(**SMALL | settings)
    network = make(config)
    path = tmp_path / "network.onnx"
    export_onnx(network, config, path)
    session = onnxruntime.InferenceSession(path)
    for batch, *spatial in shapes:
        image = torch.randn(batch, 1, *spatial)
        (found,) = session.run(None, {"image": image.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, network(image).numpy(), atol=1e-4)
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert ModelConfig(**json.loads(metadata[METADATA])) == config
    assert [entry.name for entry in tmp_path.iterdir()] == ["network.onnx"]
