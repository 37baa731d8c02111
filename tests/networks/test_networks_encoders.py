"""Encoders of segmentation-models-pytorch: the package itself, and what is said where it is missing or broken."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.errors import ConfigError, MissingDependencyError
from napari_unet.networks import build_network, geometry
from napari_unet.networks.finetune import adapt, freeze, parameter_groups
from napari_unet.networks.inference import inference_form
from napari_unet.networks.trace import field_of
from napari_unet.training.loop import Trainer

PACKAGE = "segmentation_models_pytorch"
SMALL = ModelConfig(encoder="resnet18")


@pytest.mark.parametrize("size", [(1, 1), (33, 70)])
@pytest.mark.parametrize("training", [False, True])
def test_any_size_comes_back(encoded, size, training, make):
    network = make(encoded).train(training)
    assert network(torch.rand(1, 1, *size)).shape == (1, 2, *size)


def test_channels_and_classes(encoded, make):
    config = encoded.model_copy(update={"in_channels": 5, "classes": ("cell",)})
    assert make(config)(torch.rand(2, 5, 32, 40)).shape == (2, 1, 32, 40)


def test_gradients_reach_every_parameter(encoded, make):
    network = make(encoded).train()
    output = network(torch.rand(2, 1, 96, 64))
    (output * torch.rand_like(output)).sum().backward()
    without = [name for name, values in network.named_parameters() if values.grad is None or not values.grad.any()]
    assert without == []


def test_the_inference_form_gives_the_same(encoded, make):
    network = make(encoded)
    image = torch.rand(2, 1, 33, 70)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    form = inference_form(network.train())
    assert network.training
    assert all(values.requires_grad for values in network.parameters())
    torch.testing.assert_close(form(image), network.eval()(image), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


def test_batch_norms_after_a_convolution_are_gone(encoded, make):
    """U-Net++ on an encoder has none that follows something else."""
    assert [layer for layer in inference_form(make(encoded)).modules() if isinstance(layer, nn.BatchNorm2d)] == []


class Shared(nn.Module):
    """One convolution with two readers, and a batch norm that follows none."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.BatchNorm2d(2)

    def forward(self, x):
        x = self.first(x)
        return self.last(x.relu()) + self.norm(x) * x


def test_a_convolution_that_something_else_reads_too_is_not_fused():
    network = Shared().eval()
    for norm in (network.norm, network.last):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    image = torch.randn(1, 1, 20, 20)
    torch.testing.assert_close(inference_form(network)(image), network(image))


def test_a_frozen_encoder_keeps_its_weights_and_statistics(encoded, make):
    network = freeze(make(encoded), "decoder").train()
    before = {name: values.clone() for name, values in network.encoder.state_dict().items()}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.rand(2, 1, 64, 64)).square().sum().backward()
    optimiser.step()
    assert all(torch.equal(values, before[name]) for name, values in network.encoder.state_dict().items())
    assert all(values.grad is not None for values in network.decoder.parameters())


def test_the_encoder_learns_more_slowly(encoded, make):
    network = make(encoded)
    slow, fast = parameter_groups(network, 0.01, encoder=0.1)
    assert {id(values) for values in slow["params"]} == {id(values) for values in network.encoder.parameters()}
    assert (slow["lr"], fast["lr"]) == (0.001, 0.01)


def test_other_classes_and_channels(encoded, make):
    old, new = encoded, encoded.model_copy(update={"in_channels": 3, "classes": ("cell",)})
    network = make(old)
    adapted = adapt(network.state_dict(), old, new).eval()
    image = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(adapted(image.expand(1, 3, 32, 32))[:, 0], network(image)[:, 1], atol=1e-4, rtol=1e-4)


# ---------------------------------------------------------------------- receptive field and tiles


@pytest.mark.parametrize("architecture", ["unet", "unetpp", "linknet"])
@pytest.mark.usefixtures("encoders")
def test_the_field_is_where_the_gradient_is(architecture, make):
    """With positive weights and averages in place of maxima, the gradient is non-zero on the whole receptive field."""
    config = ModelConfig(architecture=architecture, encoder="resnet18")
    network = make(config).double()
    network.encoder.maxpool = nn.AvgPool2d(3, 2, 1)
    for values in network.parameters():
        values.data.abs_().add_(0.01)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.zero_()
    halo = geometry(config).halo[0]
    image = torch.rand(1, 1, 2 * (-(-halo // 32) + 2) * 32, 32, dtype=torch.double, requires_grad=True)
    middle = image.shape[2] // 64 * 32
    rows = network(image).sum((0, 1, 3))
    reaches = {phase: field_of(config, 0, phase) for phase in range(32)}
    farthest = max(reaches, key=lambda phase: max(phase - reaches[phase][0], reaches[phase][1] - phase))
    for phase in (farthest, 13):
        (gradient,) = torch.autograd.grad(rows[middle + phase], image, retain_graph=True)
        seen = gradient.abs().sum((0, 1, 3)).nonzero().flatten() - middle
        assert (int(seen.min()), int(seen.max())) == reaches[phase]
    low, high = reaches[farthest]
    assert max(farthest - low, high - farthest) == halo


@pytest.mark.parametrize("architecture", ["unet", "unetpp", "linknet"])
@pytest.mark.usefixtures("encoders")
def test_tiles_equal_the_whole(architecture, make):
    config = ModelConfig(architecture=architecture, encoder="resnet18")
    shape = geometry(config)
    assert shape.exact
    edge = -(-shape.halo[0] // 32) * 32
    tile, whole, image = _tile_and_whole(make(config), edge)
    torch.testing.assert_close(tile, whole, atol=1e-5 * float(whole.abs().max()), rtol=1e-5)
    assert image.shape[2] > tile.shape[2] + 2 * edge


@pytest.mark.parametrize("architecture", ["fpn", "pspnet"])
@pytest.mark.usefixtures("encoders")
def test_tiles_of_members_that_see_the_whole_image_differ_little(architecture, make):
    config = ModelConfig(architecture=architecture, encoder="resnet18")
    shape = geometry(config)
    assert (shape.exact, shape.halo, shape.field) == (False, (256, 256), ())
    tile, whole, _ = _tile_and_whole(make(config), shape.halo[0])
    assert (tile.argmax(1) != whole.argmax(1)).float().mean() < 0.03


def test_a_field_too_large_for_a_halo_is_told(encoders):
    shape = geometry(ModelConfig(encoder="resnet34"))
    assert (shape.exact, shape.halo, shape.stride) == (False, (256, 256), (32, 32))
    assert shape.field == (2 * 543 + 1,) * 2


def _tile_and_whole(network, edge):
    """A tile with `edge` rows more on both sides, without them; the same rows of the whole image; the image."""
    image = torch.rand(1, 1, 2 * edge + 4 * 32, 64)
    image[:, :, edge // 2 :] *= 0.3
    with torch.no_grad():
        tile = network(image[:, :, 32 : 2 * edge + 96])[:, :, edge:-edge]
        whole = network(image)[:, :, edge + 32 : edge + 96]
    return tile, whole, image


# ---------------------------------------------------------------------- weights


def _encoder_weights():
    """Weights of another encoder of that name, for colour images."""
    torch.manual_seed(7)
    return build_network(ModelConfig(encoder="resnet18", in_channels=3)).encoder.state_dict()


@pytest.fixture(params=["safetensors", "pth"])
def weight_file(request, encoders, tmp_path):
    path = tmp_path / f"resnet18.{request.param}"
    if request.param == "pth":
        torch.save(_encoder_weights(), path)
    else:
        save_file(_encoder_weights(), path)
    return str(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_of_a_file_are_in_the_encoder(weight_file, channels):
    config = ModelConfig(encoder="resnet18", encoder_weights=weight_file, in_channels=channels)
    loaded, expected = build_network(config).encoder.state_dict(), _encoder_weights()
    first = expected.pop("conv1.weight")
    torch.testing.assert_close(loaded.pop("conv1.weight"), first if channels == 3 else first.sum(1, keepdim=True))
    assert all(torch.equal(loaded[name], values) for name, values in expected.items())
    fresh = build_network(config, pretrained=False).encoder.state_dict()
    assert not torch.equal(fresh["layer1.0.conv1.weight"], expected["layer1.0.conv1.weight"])


def test_pretrained_encoders_get_the_mean_and_spread_they_learnt_with(weight_file):
    config = ModelConfig(encoder="resnet18", encoder_weights=weight_file, in_channels=3)
    network = build_network(config).eval()
    seen = []
    network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1).expand(1, 3, 32, 32)
    network(image)
    torch.testing.assert_close(seen[0], torch.zeros(1, 3, 32, 32))
    assert set(network.state_dict()) == set(build_network(ModelConfig(encoder="resnet18")).state_dict())


def test_weights_by_name_come_from_the_cache_of_the_package(encoders, tmp_path, monkeypatch):
    """The files lie where a download would have put them."""
    import huggingface_hub.constants
    from segmentation_models_pytorch.encoders import encoders as known

    place = known["resnet18"]["pretrained_settings"]["imagenet"]
    repository = tmp_path / f"models--{place['repo_id'].replace('/', '--')}"
    folder = repository / "snapshots" / place["revision"]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    save_file(_encoder_weights(), folder / "model.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    network = build_network(ModelConfig(encoder="resnet18", encoder_weights="imagenet", in_channels=3))
    assert all(torch.equal(network.encoder.state_dict()[name], values) for name, values in _encoder_weights().items())
    assert network.mean is not None


def test_weights_that_cannot_be_fetched(encoders, tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    config = ModelConfig(encoder="resnet18", encoder_weights="imagenet")
    with pytest.raises(ConfigError, match="encoder_weights=None"):
        build_network(config)
    build_network(config, pretrained=False)


@pytest.mark.parametrize("content", [b"", b"not weights", None])
@pytest.mark.parametrize("end", ["safetensors", "pth"])
def test_files_without_weights_of_this_encoder_are_refused(content, end, encoders, tmp_path):
    path = tmp_path / f"weights.{end}"
    if content is not None:
        path.write_bytes(content)
    elif end == "pth":
        torch.save({"conv1.weight": torch.zeros(1)}, path)
    else:
        save_file({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match="encoder_weights"):
        build_network(ModelConfig(encoder="resnet18", encoder_weights=str(path)))


def test_a_missing_file_of_weights_is_told(encoders):
    with pytest.raises(ConfigError, match="cannot be read"):
        build_network(ModelConfig(encoder="resnet18", encoder_weights="nowhere.pth"))


# ---------------------------------------------------------------------- missing, broken, nonsense


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


def test_the_torchvision_that_is_installed_works_or_is_answered(encoders):
    """In a process of its own, where nothing is declared for it."""
    code = """
from napari_unet import ModelConfig, build_network
from napari_unet.errors import MissingDependencyError
try:
    import torchvision
    expected = "built"
except RuntimeError:
    expected = "pip install -U --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/"
try:
    found = "built" if build_network(ModelConfig(encoder="resnet18")) else ""
except MissingDependencyError as error:
    found = str(error)
assert expected in found and "\\n" not in found, found
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_unknown_encoders_are_refused(encoders):
    with pytest.raises(ConfigError, match="for example 'resnet50', not 'resnet1'"):
        build_network(ModelConfig(encoder="resnet1"))


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


# ---------------------------------------------------------------------- training


@pytest.mark.parametrize(("settings", "moves"), [({"learns": "decoder"}, 0.0), ({"encoder_rate": 0.01}, 0.05)])
def test_the_config_holds_the_encoder_back_in_a_training(encoders, settings, moves):
    """Of a step of SGD without momentum, how far the encoder goes compared with a free training."""
    held, free = (_distance(TrainConfig(**OPTIMISER, **changes)) for changes in (settings, {}))
    assert free["encoder"] > 0
    assert held["encoder"] <= moves * free["encoder"]
    assert held["head"] > 0.1 * free["head"]
    assert (held["encoder"] > 0) == (moves > 0)


OPTIMISER = {
    "steps": 1,
    "patch_size": 64,
    "device": "cpu",
    "optimizer": "sgd",
    "momentum": 0,
    "warmup": 0,
    "threads": 1,
}


def _distance(config):
    """How far each part of a network goes in a training."""
    trainer = Trainer(SMALL, config)
    image = np.zeros((64, 64), np.uint8)
    image[16:48, 16:48] = 200
    trainer.set_image("a", image, "YX")
    trainer.set_strokes("a", np.where(image > 0, 2, 1))
    before = {name: values.detach().clone() for name, values in trainer.network.named_parameters()}
    for _ in trainer.run():
        pass
    gone = {"encoder": 0.0, "decoder": 0.0, "head": 0.0}
    for name, values in trainer.network.named_parameters():
        gone[name.split(".")[0]] += float((values.detach() - before[name]).square().sum())
    return gone
