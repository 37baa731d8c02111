"""Numbers that the publications and their reference implementations state."""

from torch import nn

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
