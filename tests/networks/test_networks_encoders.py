"""Encoders of segmentation-models-pytorch: found, missing, broken; the package itself where it is installed."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError, MissingDependencyError
from napari_unet.networks import build_network, estimate, geometry
from napari_unet.networks.finetune import adapt, freeze
from napari_unet.networks.inference import inference_form

PACKAGE = "segmentation_models_pytorch"
SMALL = ModelConfig(encoder="resnet18")


class Model(nn.Module):
    """Stands for a model of the package: three parts, 32 pixels to one and back."""

    def __init__(self, encoder_name, encoder_weights, in_channels, classes):
        super().__init__()
        if encoder_weights == "offline":
            raise OSError("no network")
        self.encoder = nn.Sequential(nn.Conv2d(in_channels, 4, 32, 32), nn.BatchNorm2d(4))
        self.decoder = nn.Sequential(nn.Upsample(scale_factor=32), nn.Conv2d(4, 4, 3, padding=1))
        self.segmentation_head = nn.Sequential(nn.Conv2d(4, classes, 1))


@pytest.fixture
def package(monkeypatch):
    """A stand-in for the package."""
    import types

    stand_in = types.SimpleNamespace(
        encoders=types.SimpleNamespace(get_encoder_names=lambda: ["resnet18"]), Unet=Model, FPN=Model
    )
    monkeypatch.setitem(sys.modules, PACKAGE, stand_in)


def _real():
    """Whether the package itself works here."""
    if importlib.util.find_spec(PACKAGE) is None:
        return False
    command = [sys.executable, "-c", f"import {PACKAGE}"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("size", [(1, 1), (33, 70)])
def test_any_size_comes_back(size):
    network = build_network(SMALL)
    assert network(torch.rand(1, 1, *size)).shape == (1, 2, *size)


@pytest.mark.usefixtures("package")
def test_a_frozen_encoder_keeps_its_statistics():
    network = freeze(build_network(SMALL), "decoder").train()
    before = {name: values.clone() for name, values in network.encoder.state_dict().items()}
    network(torch.rand(2, 1, 64, 64)).sum().backward()
    assert all(torch.equal(values, before[name]) for name, values in network.encoder.state_dict().items())
    assert all(values.grad is None for values in network.encoder.parameters())
    assert all(values.grad is not None for values in network.head.parameters())


@pytest.mark.usefixtures("package")
def test_other_classes_and_channels():
    old, new = SMALL, SMALL.model_copy(update={"in_channels": 3, "classes": ("cell",)})
    network = build_network(old).eval()
    adapted = adapt(network.state_dict(), old, new).eval()
    image = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(adapted(image.expand(1, 3, 32, 32))[:, 0], network(image)[:, 1], atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("package")
def test_the_inference_form_is_a_copy():
    network = build_network(SMALL).train()
    image = torch.rand(1, 1, 32, 40)
    form = inference_form(network)
    assert network.training
    assert all(values.requires_grad for values in network.parameters())
    torch.testing.assert_close(form(image), network.eval()(image), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("package")
def test_unknown_encoders_are_refused():
    with pytest.raises(ConfigError, match="for example 'resnet50', not 'resnet1'"):
        build_network(ModelConfig(encoder="resnet1"))


@pytest.mark.usefixtures("package")
def test_weights_that_cannot_be_fetched():
    with pytest.raises(ConfigError, match="encoder_weights=None"):
        build_network(ModelConfig(encoder="resnet18", encoder_weights="offline"))
    build_network(ModelConfig(encoder="resnet18", encoder_weights="offline"), pretrained=False)


def test_a_missing_package_is_answered_with_the_line_that_mends_it(monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'napari-unet\[encoders\]'"):
        build_network(SMALL)


@pytest.mark.parametrize(
    "error", ["RuntimeError('operator torchvision::nms does not exist')", "ImportError('torchvision')"]
)
def test_a_broken_torchvision_is_answered_with_the_line_that_mends_it(error, monkeypatch, tmp_path):
    (tmp_path / f"{PACKAGE}.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install .* torch torchvision --index-url"):
        build_network(SMALL)


def test_tiles_of_encoders_are_not_called_exact():
    shape = geometry(SMALL)
    assert not shape.exact
    assert shape.stride == (32, 32)


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"architecture": "fpn"}, "encoder='resnet50'"),
        ({"encoder": "resnet18", "ndim": 3}, "ndim=2"),
        ({"encoder": "resnet18", "architecture": "fcn8s"}, "remove the encoder"),
        ({"encoder": "resnet18", "padding": "valid"}, "padding='same'"),
        ({"encoder_weights": "imagenet"}, "encoder_weights=None"),
    ],
)
@pytest.mark.parametrize("use", [build_network, geometry])
def test_nonsense_is_refused_in_one_sentence(settings, hint, use):
    with pytest.raises(ConfigError, match=hint):
        use(ModelConfig(**settings))


@pytest.mark.usefixtures("package")
def test_the_estimate_counts_what_it_cannot_read():
    network = build_network(SMALL)
    cost = estimate(SMALL, (64, 64))
    assert cost.parameters == sum(values.numel() for values in network.parameters())
    logits, features = 4 * 2 * 64 * 64, 4 * 4 * 64 * 64
    assert cost.bytes >= 4 * cost.parameters + logits + features
    assert estimate(SMALL, (64, 64), training=True).bytes > cost.bytes


@pytest.mark.skipif(not _real(), reason=f"{PACKAGE} is not installed, or torchvision does not fit torch")
@pytest.mark.parametrize("architecture", ["unet", "unetpp", "fpn", "linknet", "pspnet"])
def test_members_on_a_real_encoder(architecture):
    config = ModelConfig(architecture=architecture, encoder="resnet18", in_channels=2)
    network = build_network(config)
    network(torch.rand(2, 2, 64, 64)).sum().backward()
    assert all(values.grad is not None for values in network.decoder.parameters())
    assert network.eval()(torch.rand(1, 2, 37, 50)).shape == (1, 2, 37, 50)
    assert estimate(config, (64, 64)).parameters == sum(values.numel() for values in network.parameters())
