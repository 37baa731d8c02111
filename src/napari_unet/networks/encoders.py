"""Decoders on the pretrained encoders of segmentation-models-pytorch, an optional package."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError, MissingDependencyError
from napari_unet.networks.module import hold_frozen, pad_to

DECODERS = {"unet": "Unet", "unetpp": "UnetPlusPlus", "fpn": "FPN", "linknet": "Linknet", "pspnet": "PSPNet"}
STRIDE = 32


class EncoderNetwork(nn.Module):
    """An encoder, a decoder and a head of segmentation-models-pytorch, for images of any size."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(N, K, Y, X)`` of an image batch ``(N, C, Y, X)``."""
        height, width = x.shape[2:]
        x = pad_to(x, (STRIDE, STRIDE), twice=self.training and x.shape[0] == 1)
        logits: Tensor = self.head(self.decoder(self.encoder(x)))
        return logits[..., :height, :width]

    def train(self, mode: bool = True) -> Self:
        """Switch to training; frozen layers keep their statistics."""
        super().train(mode)
        hold_frozen(self)
        return self


def encoder_network(config: ModelConfig) -> nn.Module:
    """Build a network on an encoder (Iakubovskii, github.com/qubvel-org/segmentation_models.pytorch).

    Parameters
    ----------
    config : ModelConfig
        With ``encoder``; architecture, input channels, classes and ``encoder_weights`` are used.

    Raises
    ------
    MissingDependencyError
        When the package, or a torchvision that fits this torch, is missing; the message mends it.
    ConfigError
        When the package does not know the encoder, or its weights cannot be fetched.
    """
    package = _package()
    known = package.encoders.get_encoder_names()
    name = str(config.encoder)
    if name not in known and not name.startswith("tu-"):
        raise ConfigError(f"choose an encoder of segmentation-models-pytorch, for example 'resnet50', not '{name}'")
    try:
        model = getattr(package, DECODERS[config.architecture])(
            encoder_name=name,
            encoder_weights=config.encoder_weights,
            in_channels=config.in_channels,
            classes=len(config.outputs),
        )
    except (KeyError, ValueError, RuntimeError) as error:
        raise ConfigError(f"choose another encoder or encoder_weights for {config.architecture}: {error}") from error
    except OSError as error:
        raise ConfigError(f"connect to the internet or set encoder_weights=None: {error}") from error
    return EncoderNetwork(model.encoder, model.decoder, model.segmentation_head)


def _package() -> Any:
    """Import segmentation-models-pytorch, or say how to install it."""
    try:
        import segmentation_models_pytorch
    except ImportError as error:
        if error.name == "segmentation_models_pytorch":
            raise MissingDependencyError("run: pip install 'napari-unet[encoders]', to use encoders") from error
        raise MissingDependencyError(f"run: {_mend()}, because an import failed: {error}") from error
    except RuntimeError as error:
        # A torchvision built for another torch than this one.
        raise MissingDependencyError(f"run: {_mend()}, because torchvision does not fit torch: {error}") from error
    return segmentation_models_pytorch


def _mend() -> str:
    """Install a torch and a torchvision that were built together."""
    build = torch.__version__.partition("+")[2] or "cpu"
    return f"pip install -U --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/{build}"
