"""One builder for the whole family."""

from __future__ import annotations

from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.networks.encoders import encoder_network
from napari_unet.networks.module import DeepNetwork, Network
from napari_unet.networks.plan import check, plan


def build_network(config: ModelConfig, *, pretrained: bool = True) -> nn.Module:
    """Network of a config, with fresh weights from torch's global generator.

    Parameters
    ----------
    config : ModelConfig
        Architecture, classes, size.
    pretrained : bool
        Fetch ``encoder_weights``, if there are any; False where other weights are loaded afterwards.

    Returns
    -------
    nn.Module
        Maps ``(N, C, *spatial)`` to logits ``(N, K, *spatial)`` (smaller with ``padding="valid"``), K the number of
        classes; with ``deep_supervision`` it also has ``forward_deep``, the list of all outputs, the main one first.

    Raises
    ------
    ConfigError
        When no network can be built from this config; nothing has been allocated then.
    MissingDependencyError
        When it has an encoder, and the package that knows encoders is missing.

    Examples
    --------
    >>> import torch
    >>> network = build_network(ModelConfig(width=4, depth=2, classes=("background", "cell", "edge")))
    >>> tuple(network(torch.zeros(2, 1, 33, 50)).shape)
    (2, 3, 33, 50)
    """
    if config.encoder:
        check(config)
        return encoder_network(config, pretrained=pretrained)
    graph = plan(config)
    return DeepNetwork(graph) if config.deep_supervision else Network(graph)
