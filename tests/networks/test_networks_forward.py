"""What goes in and what comes out of every member."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks import build_network, geometry

NETWORK = build_network(ModelConfig(width=2, depth=3, classes=("background", "a", "b"))).eval()


@given(height=st.integers(1, 70), width=st.integers(1, 70), batch=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_any_size_comes_back(height, width, batch):
    with torch.no_grad():
        assert NETWORK(torch.rand(batch, 1, height, width)).shape == (batch, 3, height, width)


@pytest.mark.parametrize("size", [1, 3, 13])
@pytest.mark.parametrize("training", [False, True])
def test_every_member_keeps_the_size(member, make, size, training):
    network = make(member).train(training)
    spatial = tuple(size + axis for axis in range(member.ndim))
    assert network(torch.rand(1, 1, *spatial)).shape == (1, 2, *spatial)


@pytest.mark.parametrize("norm", ["batch", "group", "instance", "none"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_one_pixel_can_be_trained_with_any_normalisation(norm, ndim):
    config = ModelConfig(width=4, depth=2, norm=norm, ndim=ndim)
    output = build_network(config)(torch.rand(1, 1, *(1,) * ndim))
    output.sum().backward()
    assert torch.isfinite(output).all()


def test_channels_and_classes(member, make):
    config = member.model_copy(update={"in_channels": 3, "classes": ("cell",)})
    spatial = (8,) * config.ndim
    assert make(config)(torch.rand(2, 3, *spatial)).shape == (2, 1, *spatial)


def test_gradients_reach_every_parameter(any_config, make):
    network = make(any_config).double().train()
    size = _legal(any_config, 8)
    image = torch.rand(2, 1, *size, dtype=torch.double)
    outputs = network.forward_deep(image) if any_config.deep_supervision else [network(image)]
    sum((output * torch.rand_like(output)).sum() for output in outputs).backward()
    without = [name for name, values in network.named_parameters() if values.grad is None or not values.grad.any()]
    assert without == []


def test_same_seed_same_weights(member, make):
    first, second = make(member).state_dict(), make(member).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    network = build_network(ModelConfig(width=4, depth=2, dropout=0.5, norm="none"))
    image = torch.rand(1, 1, 16, 16)
    assert not torch.equal(network(image), network(image))
    assert torch.equal(network.eval()(image), network(image))


@pytest.mark.parametrize("architecture", ["unetpp", "unet3plus"])
def test_deep_outputs_are_full_size_and_the_main_one_is_first(architecture):
    torch.manual_seed(0)
    config = ModelConfig(architecture=architecture, width=2, depth=3, deep_supervision=True)
    network, image = build_network(config).eval(), torch.rand(1, 1, 21, 30)
    outputs = network.forward_deep(image)
    assert {tuple(output.shape) for output in outputs} == {(1, 2, 21, 30)}
    assert len(outputs) == {"unetpp": 3, "unet3plus": 4}[architecture]
    assert torch.equal(outputs[0], network(image))


@pytest.mark.parametrize("classes", [("cell",), ("background", "cell"), ("background", "cell", "dirt")])
def test_guidance_suppresses_what_is_not_there(classes):
    torch.manual_seed(0)
    config = ModelConfig(architecture="unet3plus", width=4, depth=2, guided=True, classes=classes)
    network, image = build_network(config).eval(), torch.rand(1, 1, 16, 16)
    torch.nn.init.zeros_(network.guide.weight)
    torch.nn.init.constant_(network.guide.bias, 30.0)
    free = network(image)
    torch.nn.init.constant_(network.guide.bias, -30.0)
    lowered = network(image) - free
    torch.testing.assert_close(lowered[:, -1], torch.full_like(lowered[:, -1], -30.0))
    if len(classes) > 1:
        assert not lowered[:, 0].any()


def test_input_is_not_changed(any_config, make):
    image = torch.rand(1, 1, *_legal(any_config, 4))
    before = image.clone()
    make(any_config)(image)
    assert torch.equal(image, before)


def test_unpadded_networks_remove_the_margin(unpadded, make):
    size = _legal(unpadded, 5)
    expected = [n - 2 * m for n, m in zip(size, geometry(unpadded).margin, strict=True)]
    assert list(make(unpadded)(torch.rand(1, 1, *size)).shape[2:]) == expected


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"width": 512, "depth": 7}, "width or depth"),
        ({"classes": ()}, "classes"),
        ({"spacing": (0.0, 1.0)}, "spacing"),
        ({"depth": 0}, "depth"),
        ({"deep_supervision": True}, "deep_supervision"),
        ({"guided": True}, "guided"),
        ({"architecture": "fcn8s", "block": "residual"}, "block"),
        ({"architecture": "unetpp", "padding": "valid"}, "padding"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(settings, hint):
    with pytest.raises(ConfigError, match=hint) as caught:
        build_network(ModelConfig(**settings))
    assert "\n" not in str(caught.value)


def _legal(config: ModelConfig, steps: int) -> list[int]:
    """An input size that the network takes, `steps` strides of output."""
    shape = geometry(config)
    axes = zip(shape.stride, shape.margin, shape.residue, strict=True)
    return [r + s * (-(-(2 * m - r) // s) + steps) for s, m, r in axes]
