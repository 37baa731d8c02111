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


@pytest.mark.parametrize("output", [0, 1, 2])
def test_pruned_unetpp_equals_its_output_and_is_smaller(output, make):
    network = make(ModelConfig(architecture="unetpp", width=2, depth=3, deep_supervision=True))
    image = torch.randn(1, 1, 24, 40)
    part = prune(network, output)
    torch.testing.assert_close(part(image), network.forward_deep(image)[output])
    shallow = build_network(ModelConfig(architecture="unetpp", width=2, depth=3 - output))
    assert _count(part) == _count(shallow)


def test_an_output_that_is_not_there_is_refused(make):
    with pytest.raises(ConfigError, match="choose an output"):
        prune(make(ModelConfig(width=2, depth=1)), 1)


def _count(network):
    return sum(values.numel() for values in network.parameters())
