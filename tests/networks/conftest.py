"""One small config of every member and option: tests that take `member` hold for all of them."""

import importlib.util

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.networks import build_network

SMALL = {"width": 2, "depth": 2}
MEMBERS = {
    "unet": ModelConfig(**SMALL),
    "unet-nearest": ModelConfig(**SMALL, upsampling="nearest", block="conv_relu_norm"),
    "unet-linear": ModelConfig(**SMALL, upsampling="linear", norm="none"),
    "unet-residual": ModelConfig(**SMALL, block="residual", dropout=0.2),
    "unet-anisotropic-pixels": ModelConfig(**SMALL, spacing=(2, 1)),
    "unet-stem": ModelConfig(**SMALL, stem="scale_space"),
    "unet-3d-stem": ModelConfig(width=2, depth=1, ndim=3, spacing=(9, 3, 4), stem="scale_space"),
    "unetpp": ModelConfig(**SMALL, architecture="unetpp", deep_supervision=True),
    "unetpp-3d": ModelConfig(**SMALL, architecture="unetpp", ndim=3, spacing=(3, 1, 1), upsampling="nearest"),
    "unet3plus": ModelConfig(**SMALL, architecture="unet3plus", deep_supervision=True),
    "unet3plus-3d": ModelConfig(**SMALL, architecture="unet3plus", ndim=3, spacing=(3, 1, 1)),
    "unet3plus-guided": ModelConfig(**SMALL, architecture="unet3plus", guided=True, deep_supervision=True),
    "fcn32s": ModelConfig(width=1, architecture="fcn32s"),
    "fcn16s": ModelConfig(width=1, architecture="fcn16s"),
    "fcn8s": ModelConfig(width=1, architecture="fcn8s", norm="none"),
    "fcn8s-3d": ModelConfig(width=1, architecture="fcn8s", ndim=3, spacing=(1, 99, 99)),
    "fcn16s-3d": ModelConfig(width=1, architecture="fcn16s", ndim=3, spacing=(1, 99, 99)),
    "fcn32s-3d": ModelConfig(width=1, architecture="fcn32s", ndim=3, spacing=(1, 99, 99)),
    "unet-3d": ModelConfig(**SMALL, ndim=3),
    "unet-3d-anisotropic": ModelConfig(**SMALL, ndim=3, spacing=(3, 1, 1), upsampling="linear"),
}
VALID = {
    "valid": ModelConfig(**SMALL, padding="valid", norm="none"),
    "valid-nearest": ModelConfig(**SMALL, padding="valid", upsampling="nearest", block="residual"),
    "valid-linear": ModelConfig(**SMALL, padding="valid", upsampling="linear"),
    "valid-stem": ModelConfig(width=2, depth=1, padding="valid", stem="scale_space"),
    "valid-3d": ModelConfig(**SMALL, padding="valid", ndim=3, spacing=(2, 1, 1)),
}
#: Members on an encoder of segmentation-models-pytorch; tests that take `encoded` hold for all of them.
ENCODED = {
    f"{name}-resnet18": ModelConfig(architecture=name, encoder="resnet18")
    for name in ("unet", "unetpp", "fpn", "linknet", "pspnet")
}


def seeded(config: ModelConfig) -> nn.Module:
    """A network in evaluation mode whose batch-norm statistics are not the initial ones."""
    torch.manual_seed(0)
    network = build_network(config)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2.0)
    return network.eval()


@pytest.fixture(params=MEMBERS.values(), ids=MEMBERS.keys())
def member(request) -> ModelConfig:
    return request.param


@pytest.fixture(params=VALID.values(), ids=VALID.keys())
def unpadded(request) -> ModelConfig:
    return request.param


@pytest.fixture(params=(MEMBERS | VALID).values(), ids=(MEMBERS | VALID).keys())
def any_config(request) -> ModelConfig:
    return request.param


@pytest.fixture(scope="session")
def encoders():
    """The package that knows encoders, beside a torchvision that was built for another torch too.

    PyPI's torchvision on Linux wants a torch with CUDA. Two operators that no encoder uses are then missing; declaring
    them lets it be imported. Users are told to install a torchvision that fits instead.
    """
    if importlib.util.find_spec("segmentation_models_pytorch") is None:
        pytest.skip("segmentation-models-pytorch is not installed")
    try:
        import torchvision
    except RuntimeError:
        declared = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401

        yield
        return
    yield


@pytest.fixture(params=ENCODED.values(), ids=ENCODED.keys())
def encoded(request, encoders) -> ModelConfig:
    return request.param


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make():
    return seeded
