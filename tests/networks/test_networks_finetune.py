"""Freezing parts of a network, and carrying weights over to other classes and channels."""

import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks.finetune import adapt, freeze, parameter_groups

SPATIAL = {2: (32, 32), 3: (8, 32, 32)}


def _step(network, ndim):
    """Names of the parameters and statistics that one optimiser step changes."""
    before = {name: values.clone() for name, values in network.state_dict().items()}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network.train()(torch.rand(2, 1, *SPATIAL[ndim])).square().sum().backward()
    optimiser.step()
    return {name for name, values in network.state_dict().items() if not torch.equal(values, before[name])}


def test_only_the_head_learns(member, make):
    changed = _step(freeze(make(member), "head"), member.ndim)
    assert changed
    assert {name.split(".")[0] for name in changed} <= {"head", "local", "deep", "score", "up", "guide"}


def test_the_encoder_is_frozen_with_its_statistics(make):
    changed = _step(freeze(make(ModelConfig(width=2, depth=2)), "decoder"), 2)
    assert {name.split(".")[0] for name in changed} == {"decoder", "head"}


def test_a_frozen_network_learns_again(make):
    config = ModelConfig(width=2, depth=2)
    network = freeze(freeze(make(config), "head"), "all")
    assert {name.split(".")[0] for name in _step(network, 2)} == {"encoder", "decoder", "head"}


def test_the_encoder_learns_more_slowly(make):
    network = make(ModelConfig(width=2, depth=2))
    slow, fast = parameter_groups(network, 0.01, encoder=0.5)
    assert (slow["lr"], fast["lr"]) == (0.005, 0.01)
    assert {id(values) for values in slow["params"]} == {id(values) for values in network.encoder.parameters()}
    together = len(slow["params"]) + len(fast["params"])
    assert together == len(list(network.parameters()))
    assert [group["lr"] for group in parameter_groups(freeze(network, "decoder"), 0.01)] == [0.01]


def test_another_policy_is_refused(make):
    with pytest.raises(ConfigError, match="choose what learns"):
        freeze(make(ModelConfig(width=2, depth=1)), "tail")


def test_classes_known_by_name_keep_their_logits(member, make):
    old = member.model_copy(update={"classes": ("background", "cell", "dirt")})
    new = member.model_copy(update={"classes": ("background", "dirt", "nucleus", "cell")})
    network = make(old)
    image = torch.rand(1, 1, *SPATIAL[member.ndim])
    adapted = adapt(network.state_dict(), old, new).eval()
    before, after = network(image), adapted(image)
    torch.testing.assert_close(after[:, [0, 1, 3]], before[:, [0, 2, 1]])


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_gray_image_in_all_channels_gives_the_same(channels, make):
    old, new = (ModelConfig(width=4, depth=2, in_channels=n) for n in (3, channels))
    network = make(old)
    adapted = adapt(network.state_dict(), old, new).eval()
    gray = torch.rand(1, 1, 16, 16)
    expected = network(gray.expand(1, 3, 16, 16))
    torch.testing.assert_close(adapted(gray.expand(1, channels, 16, 16)), expected, atol=1e-5, rtol=1e-4)


def test_weights_of_another_shape_are_refused(make):
    old = ModelConfig(width=2, depth=2)
    with pytest.raises(ConfigError, match="keep width=2"):
        adapt(make(old).state_dict(), old, ModelConfig(width=4, depth=2))
