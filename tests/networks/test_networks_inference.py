"""Forms of a network that only predict."""

import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks import build_network
from napari_unet.networks.inference import inference_form, prune

SPATIAL = {2: (33, 40), 3: (5, 12, 17)}


def test_inference_form_gives_the_same(member, make):
    network = make(member)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    image = torch.randn(2, 1, *SPATIAL[member.ndim])
    fused = inference_form(network.train())
    with torch.no_grad():
        torch.testing.assert_close(fused(image), network.eval()(image), atol=1e-5, rtol=1e-5)
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    assert not any(values.requires_grad for values in fused.parameters())


def test_batch_norm_after_a_convolution_is_gone(make):
    fused = inference_form(make(ModelConfig(width=2, depth=2, block="residual")))
    assert [name for name in fused.state_dict() if "norm" in name] == []


@pytest.mark.parametrize("norm", ["group", "instance"])
def test_other_normalisation_stays(norm, make):
    network = make(ModelConfig(width=4, depth=2, norm=norm))
    image = torch.randn(1, 1, 16, 16)
    torch.testing.assert_close(inference_form(network)(image), network(image), atol=1e-5, rtol=1e-5)


def deep(**changes):
    return ModelConfig(**{"architecture": "unetpp", "width": 2, "depth": 3, "deep_supervision": True, **changes})


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("settings", [{}, {"ndim": 3, "spacing": (3, 1, 1), "upsampling": "linear"}])
def test_a_pruned_unetpp_gives_the_output_of_its_depth_and_is_the_network_of_its_config(settings, depth, make):
    config = deep(**settings)
    network = make(config)
    image = torch.randn(1, 1, *{2: (24, 40), 3: (8, 16, 16)}[config.ndim])
    small, about = prune(network, config, depth)
    with torch.no_grad():
        expected = network.forward_deep(image)[3 - depth]
        torch.testing.assert_close(small(image), expected)
        rebuilt = build_network(about).eval()
        rebuilt.load_state_dict(small.state_dict())
        torch.testing.assert_close(rebuilt(image), expected)


def test_a_pruned_network_learns_with_the_whole(make):
    network = make(deep())
    small, _ = prune(network, deep(), 2)
    before = small(torch.ones(1, 1, 16, 16))
    with torch.no_grad():
        for values in network.parameters():
            values.add_(0.1)
    assert not torch.allclose(small(torch.ones(1, 1, 16, 16)), before)
    assert network(torch.ones(1, 1, 16, 16)).shape == (1, 2, 16, 16)


@pytest.mark.parametrize(
    ("config", "depth", "hint"),
    [
        (deep(), 4, "from 1 to 3"),
        (deep(), 0, "from 1 to 3"),
        (deep(deep_supervision=False), 2, "deep_supervision"),
        (ModelConfig(width=2, depth=1), 1, "deep_supervision"),
    ],
)
def test_a_depth_that_is_not_there_is_refused(config, depth, hint, make):
    with pytest.raises(ConfigError, match=hint):
        prune(make(config), config, depth)
