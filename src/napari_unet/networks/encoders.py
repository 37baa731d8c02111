"""Decoders on the pretrained encoders of segmentation-models-pytorch, an optional package."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError, MissingDependencyError
from napari_unet.networks.module import hold_frozen, pad_to

DECODERS = {"unet": "Unet", "unetpp": "UnetPlusPlus", "fpn": "FPN", "linknet": "Linknet", "pspnet": "PSPNet"}
STRIDE = 32
#: Mean and standard deviation of the colours of ImageNet, which pretrained encoders expect to be taken off.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: Ends of files that ``encoder_weights`` may name.
WEIGHT_FILES = (".safetensors", ".pt", ".pth")


class EncoderNetwork(nn.Module):
    """An encoder, a decoder and a head of segmentation-models-pytorch, for images of any size.

    Parameters
    ----------
    encoder, decoder, head : nn.Module
        Parts of a model of the package.
    standard : tuple of Tensor, optional
        Mean and standard deviation of each channel, taken off the image first.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, standard: tuple[Tensor, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.mean: Tensor | None
        self.deviation: Tensor | None
        for name, values in zip(("mean", "deviation"), standard or (None, None), strict=True):
            self.register_buffer(name, values, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(N, K, Y, X)`` of an image batch ``(N, C, Y, X)``."""
        height, width = x.shape[2:]
        if self.mean is not None and self.deviation is not None:
            x = (x - self.mean) / self.deviation
        x = pad_to(x, (STRIDE, STRIDE), twice=self.training and x.shape[0] == 1)
        logits: Tensor = self.head(self.decoder(self.encoder(x)))
        return logits[..., :height, :width]

    def train(self, mode: bool = True) -> Self:
        """Switch to training; frozen layers keep their statistics."""
        super().train(mode)
        hold_frozen(self)
        return self


def encoder_network(config: ModelConfig, *, pretrained: bool = True) -> EncoderNetwork:
    """Build a network on an encoder (Iakubovskii, github.com/qubvel-org/segmentation_models.pytorch).

    Parameters
    ----------
    config : ModelConfig
        With ``encoder``; architecture, input channels, classes and ``encoder_weights`` are used. The weights are
        those of a name that the package knows and fetches, or of a file. With any, images are brought to the mean
        and the spread of ImageNet first.
    pretrained : bool
        Get the weights; False where others are loaded afterwards.

    Raises
    ------
    MissingDependencyError
        When the package, or a torchvision that fits this torch, is missing; the message mends it.
    ConfigError
        When the package does not know the encoder, or its weights cannot be had.
    """
    package = _package()
    name, weights = str(config.encoder), config.encoder_weights if pretrained else None
    if name not in package.encoders.get_encoder_names() and not name.startswith("tu-"):
        raise ConfigError(f"choose an encoder of segmentation-models-pytorch, for example 'resnet50', not '{name}'")
    file = Path(weights) if weights is not None and weights.endswith(WEIGHT_FILES) else None
    try:
        model = getattr(package, DECODERS[config.architecture])(
            encoder_name=name,
            encoder_weights=None if file else weights,
            in_channels=3 if file else config.in_channels,
            classes=len(config.outputs),
        )
    except (KeyError, ValueError, RuntimeError) as error:
        raise ConfigError(f"choose another encoder or encoder_weights for {config.architecture}: {error}") from error
    except OSError as error:
        raise ConfigError(f"connect to the internet or set encoder_weights=None: {error}") from error
    if file:
        _load(model.encoder, file)
        model.encoder.set_in_channels(config.in_channels, pretrained=True)
    standard = _standard(config.in_channels) if config.encoder_weights is not None else None
    network = EncoderNetwork(model.encoder, model.decoder, model.segmentation_head, standard)
    _drop_unused(network, config.in_channels)
    return network


@torch.no_grad()
def _drop_unused(network: EncoderNetwork, channels: int) -> None:
    """Leave out the stages of the encoder that this decoder does not read: the coarsest two of `pspnet`."""
    called: set[str] = set()
    hooks = [
        part.register_forward_pre_hook(lambda _, __, name=name: called.add(name))
        for name, part in network.encoder.named_modules()
    ]
    values = {name: tensor.to("meta") for name, tensor in network.state_dict(keep_vars=True).items()}
    values |= {name: tensor.to("meta") for name, tensor in network.named_buffers()}
    image = torch.empty(1, channels, 2 * STRIDE, 2 * STRIDE, device="meta")
    functional_call(network.eval(), values, image)
    network.train()
    for hook in hooks:
        hook.remove()
    for name, part in network.encoder.named_children():
        if (
            not any(other == name or other.startswith(f"{name}.") for other in called)
            and next(part.parameters(), None) is not None
        ):
            setattr(network.encoder, name, nn.Identity())


def _standard(channels: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of colours; other images have those of gray in each channel."""
    mean, deviation = (torch.tensor(values) for values in IMAGENET)
    if channels != 3:
        mean, deviation = mean.mean().expand(channels), deviation.mean().expand(channels)
    return mean.reshape(1, -1, 1, 1).clone(), deviation.reshape(1, -1, 1, 1).clone()


def _load(encoder: nn.Module, path: Path) -> None:
    """Fill an encoder for colour images with the weights in a file; nothing in it is executed."""
    try:
        safe = path.suffix == ".safetensors"
        state: Mapping[str, Tensor] = load_file(path) if safe else torch.load(path, "cpu", weights_only=True)
        encoder.load_state_dict(dict(state))
    except OSError as error:
        raise ConfigError(f"choose another file of encoder_weights: '{path}' cannot be read: {error}") from error
    except (SafetensorError, UnpicklingError, RuntimeError, TypeError, ValueError, AttributeError, EOFError) as error:
        raise ConfigError(f"choose encoder_weights of this encoder: those in '{path}' do not fit it") from error


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


# ---------------------------------------------------------------------- export


def exportable(network: EncoderNetwork) -> EncoderNetwork:
    """Copy a network with its pooling written so that other programs can do it for any image size."""
    copy = deepcopy(network)
    for parent in list(copy.modules()):
        for name, part in parent.named_children():
            if type(part).__name__ == "PSPBlock":
                setattr(parent, name, _PoolAndSpread(part))
    return copy


class _PoolAndSpread(nn.Module):
    """A block of the pyramid pooling of Zhao et al. 2017: cells averaged, projected, spread over the image again."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.cells = int(block.pool_size)  # type: ignore[arg-type]
        self.project = block.get_submodule("pool.1")

    def forward(self, x: Tensor) -> Tensor:
        """Features of the size of `x`."""
        rows, columns = (averages(self.cells, size, x) for size in x.shape[2:])
        pooled = self.project(rows @ x @ columns.T)
        return functional.interpolate(pooled, size=x.shape[2:], mode="bilinear", align_corners=True)


def averages(cells: int, size: int, like: Tensor) -> Tensor:
    """Matrix ``(cells, size)`` that averages as adaptive pooling does.

    Cell i reaches from floor(i n / k) to ceil((i + 1) n / k), n the size and k the number of cells.
    """
    cell, pixel = torch.arange(cells, device=like.device)[:, None], torch.arange(size, device=like.device)
    inside = ((pixel + 1) * cells > cell * size) & (pixel * cells < (cell + 1) * size)
    weights = inside.to(like.dtype)
    return weights / weights.sum(1, keepdim=True)
