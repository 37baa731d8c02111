"""Go on from a trained network: freeze parts of it, or give it other classes and channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks.build import build_network

Policy = Literal["all", "decoder", "head"]
HEADS = frozenset({"head", "local", "deep", "score", "up", "guide"})
ENCODERS = frozenset({"encoder", "classifier"})
#: Settings that decide the shapes of the weights; the others may change.
SHAPES = ("architecture", "ndim", "width", "depth", "norm", "block", "upsampling", "encoder", "spacing", "stem")


def freeze(network: nn.Module, policy: Policy) -> nn.Module:
    """Choose which part of a network goes on learning.

    Parameters
    ----------
    network : nn.Module
        Network made by `build_network`; it is changed in place and returned.
    policy : {"all", "decoder", "head"}
        What learns: everything; all but the contracting path; only the layers that give logits. The rest keeps its
        weights, and its batch norms their statistics.

    Raises
    ------
    ConfigError
        For another policy.
    """
    if policy not in ("all", "decoder", "head"):
        raise ConfigError(f"choose what learns: 'all', 'decoder' or 'head', not '{policy}'")
    for name, part in network.named_children():
        frozen = {"all": False, "decoder": name in ENCODERS, "head": name not in HEADS}[policy]
        part.requires_grad_(not frozen)
    return network.train(network.training)


def parameter_groups(network: nn.Module, learning_rate: float, encoder: float = 0.1) -> list[dict[str, Any]]:
    """Groups for an optimiser in which the contracting path learns more slowly than the rest.

    Parameters
    ----------
    network : nn.Module
        Network made by `build_network`.
    learning_rate : float
        Learning rate of the decoder and the head.
    encoder : float
        Learning rate of the encoder, in parts of that.

    Returns
    -------
    list of dict
        ``params`` and ``lr`` for `torch.optim`; frozen parameters are left out.
    """
    slow: list[nn.Parameter] = []
    fast: list[nn.Parameter] = []
    for name, values in network.named_parameters():
        if values.requires_grad:
            (slow if name.split(".")[0] in ENCODERS else fast).append(values)
    groups = [(slow, learning_rate * encoder), (fast, learning_rate)]
    return [{"params": values, "lr": rate} for values, rate in groups if values]


def adapt(state: Mapping[str, Tensor], old: ModelConfig, new: ModelConfig) -> nn.Module:
    """Build the network of `new` with the weights of a network of `old`.

    Classes are matched by name: a class that both know keeps its weights, a new one begins afresh. With another
    number of input channels the first convolutions begin as the mean over the old channels.

    Parameters
    ----------
    state : mapping of str to Tensor
        State dict of a network of `old`.
    old, new : ModelConfig
        May differ in classes, input channels, padding, dropout, deep supervision and normalisation of intensities.

    Raises
    ------
    ConfigError
        When the two differ in what decides the shapes of the weights.
    """
    for field in SHAPES:
        if getattr(old, field) != getattr(new, field):
            raise ConfigError(
                f"keep {field}={getattr(old, field)!r}; weights cannot be carried over to another {field}"
            )
    network = build_network(new, pretrained=False)
    fresh = network.state_dict()
    with torch.no_grad():
        for name in fresh.keys() & state.keys():
            if name.split(".")[0] in HEADS:
                known = [_foreground(c.outputs) if name.startswith("guide.") else c.outputs for c in (old, new)]
                _copy_classes(fresh[name], state[name], *known, both=name.startswith("up."))
            elif fresh[name].shape != state[name].shape:
                fresh[name].copy_(for_channels(state[name], old.in_channels, new.in_channels))
            else:
                fresh[name].copy_(state[name])
    return network


def _copy_classes(target: Tensor, source: Tensor, old: tuple[str, ...], new: tuple[str, ...], *, both: bool) -> None:
    """Copy the rows of the classes that both networks know; with `both`, the columns are classes too."""
    pairs = [(new.index(name), old.index(name)) for name in new if name in old]
    if not pairs:
        return
    to, at = (torch.tensor(indices, device=source.device) for indices in zip(*pairs, strict=True))
    if both:
        target[to[:, None], to] = source[at[:, None], at].to(target)
    else:
        target[to] = source[at].to(target)


def _foreground(classes: tuple[str, ...]) -> tuple[str, ...]:
    return classes[1:] or classes


def for_channels(weight: Tensor, before: int, after: int) -> Tensor:
    """Weights of a first convolution for another number of input channels, of the same response to gray.

    With a scale-space stem each feature comes once for every channel.
    """
    kernel = weight.shape[2:]
    by_feature = weight.reshape(len(weight), -1, before, *kernel).mean(2, keepdim=True)
    wider: Tensor = by_feature.expand(-1, -1, after, *kernel) * (before / after)
    return wider.flatten(1, 2)
