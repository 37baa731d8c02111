"""Numbers that the publications and their reference implementations state."""

import runpy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_unet.config import ModelConfig
from napari_unet.networks import build_network
from napari_unet.networks.plan import parameters, plan

RONNEBERGER = ModelConfig(width=64, depth=4, padding="valid", norm="none", dropout=0.5)


def count(config: ModelConfig) -> int:
    graph = plan(config)
    return sum(parameters(graph, node) for node in graph.nodes)


def test_ronneberger_has_23_convolutional_layers():
    assert sum(node.op in ("conv", "transpose") for node in plan(RONNEBERGER).nodes) == 23


def test_ronneberger_parameters():
    """Counted from figure 1 of the paper: 3x3, 2x2 and 1x1 kernels with biases."""
    down = [(1, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512), (512, 1024)]
    up = [(1024, 512), (512, 256), (256, 128), (128, 64)]
    threes = [*down, (1024, 1024), *up, *((b, b) for _, b in up)]
    expected = sum(9 * a * b + b for a, b in threes) + sum(4 * a * b + b for a, b in up) + 64 * 2 + 2
    assert count(RONNEBERGER) == expected == 31_030_658


def test_unetpp_parameters():
    """Table 3 of Zhou et al. 2018: 9.04 million."""
    config = ModelConfig(architecture="unetpp", width=32, norm="none", in_channels=3, classes=("cell",))
    assert round(count(config) / 1e6, 2) == 9.04


def test_unet3plus_parameters():
    """Table 1 of Huang et al. 2020: 26.97 million, there with a bias before each batch norm, which changes nothing."""
    config = ModelConfig(architecture="unet3plus", width=64, in_channels=3, classes=("cell",))
    biases = sum(node.channels for node in plan(config).nodes if node.op == "norm")
    assert round((count(config) + biases) / 1e6, 2) == 26.97


def test_unet3plus_fuses_320_channels():
    nodes = {node.name: node for node in plan(ModelConfig(architecture="unet3plus", width=64)).nodes}
    assert {nodes[f"decoder.{i}.join"].channels for i in range(4)} == {320}
    assert {nodes[f"decoder.{i}.from{k}.conv0"].channels for i in range(4) for k in range(5)} == {64}


def test_fcn_is_vgg16():
    """Convolutions of VGG-16 (torchvision: 14,714,688), 134 million in table 1 of Long et al. 2015."""
    classes = tuple(f"class {i}" for i in range(21))
    config = ModelConfig(architecture="fcn8s", width=64, norm="none", in_channels=3, classes=classes)
    graph = plan(config)
    features = sum(parameters(graph, node) for node in graph.nodes if node.name.startswith("encoder"))
    assert features == 14_714_688
    assert round(count(config) / 1e6) == 134


@pytest.mark.parametrize("architecture", ["fcn8s", "fcn16s", "fcn32s"])
def test_fcn_begins_as_bilinear_interpolation(architecture):
    network = build_network(ModelConfig(architecture=architecture, width=1)).eval()
    for layer in network.up.children():
        scores = torch.rand(1, 2, 5, 6)
        factor = layer.stride[0]
        expected = functional.interpolate(scores, scale_factor=factor, mode="bilinear")[
            ..., factor:-factor, factor:-factor
        ]
        torch.testing.assert_close(layer(scores)[..., factor:-factor, factor:-factor], expected)


def test_counted_parameters_are_the_built_ones(any_config):
    network = build_network(any_config)
    assert count(any_config) == sum(values.numel() for values in network.parameters())


def test_he_initialisation():
    network = build_network(ModelConfig(width=32, depth=2, norm="none", block="conv_relu_norm"))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 5000:
            reads = layer.weight[0].numel()
            assert abs(layer.weight.std().item() / (2 / reads) ** 0.5 - 1) < 0.05


def test_names_in_the_state_are_stable():
    """Model files hold these names: changing one breaks every saved model."""
    network = build_network(ModelConfig(width=2, depth=1, norm="none"))
    names = [name for name in network.state_dict() if name.endswith("weight")]
    blocks = ["encoder.0.conv0", "encoder.0.conv1", "encoder.1.conv0", "encoder.1.conv1"]
    blocks += ["decoder.0.up", "decoder.0.conv0", "decoder.0.conv1", "head"]
    assert names == [f"{name}.weight" for name in blocks]
    normed = build_network(ModelConfig(width=2, depth=1)).state_dict()
    assert {"encoder.0.norm0.weight", "decoder.0.norm1.running_var"} <= set(normed)


DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def drawing(monkeypatch):
    """Pictures and tables of docs/networks.md are made by docs/draw_networks.py."""
    monkeypatch.syspath_prepend(DOCS)
    return runpy.run_path(str(DOCS / "draw_networks.py"))


def test_the_page_shows_these_networks(drawing):
    page = (DOCS / "networks.md").read_text(encoding="utf-8")
    assert drawing["page_with_table"](page) == page
    for name, text in drawing["pictures"]().items():
        assert (DOCS / "images" / f"{name}.svg").read_text(encoding="utf-8") == text
        assert f"images/{name}.svg" in page


def test_the_page_shows_these_encoders(drawing, encoders):
    page = (DOCS / "networks.md").read_text(encoding="utf-8")
    assert drawing["page_with_table"](page, "encoders", drawing["ENCODED"]) == page
