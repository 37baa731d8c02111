"""From a config to the graph of its network, or one sentence that says why there is none. No torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks.fcn import fcn
from napari_unet.networks.graph import Graph, Node
from napari_unet.networks.unet import unet
from napari_unet.networks.unet3plus import unet3plus
from napari_unet.networks.unetpp import unetpp

MAX_PARAMETERS = 2_000_000_000
MEMBERS: dict[str, Callable[[ModelConfig], Graph]] = {
    "unet": unet,
    "unetpp": unetpp,
    "unet3plus": unet3plus,
    "fcn8s": fcn,
    "fcn16s": fcn,
    "fcn32s": fcn,
}
DEEP = ("unetpp", "unet3plus")
ENCODED = ("unet", "unetpp", "fpn", "linknet", "pspnet")


@lru_cache(maxsize=64)
def plan(config: ModelConfig) -> Graph:
    """Write down the network's graph; treat it as read-only.

    Raises
    ------
    ConfigError
        When no network can be built from this config.
    """
    check(config)
    graph = MEMBERS[config.architecture](config)
    count = sum(parameters(graph, node) for node in graph.nodes)
    if count > MAX_PARAMETERS:
        raise ConfigError(f"lower width or depth: this network would have {count / 1e9:.0f} billion parameters")
    return graph


def parameters(graph: Graph, node: Node) -> int:
    """Count the learnt values of one layer."""
    if node.op == "norm":
        return 2 * node.channels
    if node.op not in ("conv", "transpose"):
        return 0
    return node.channels * (graph.nodes[node.inputs[0]].channels * prod(node.kernel) + node.bias)


def check(config: ModelConfig) -> None:
    """Raise `ConfigError` for settings that do not go together."""
    name = config.architecture
    wrong = {
        f"choose padding='same' for {name}; only unet has an unpadded form": config.padding == "valid"
        and (name != "unet" or config.encoder is not None),
        f"switch deep_supervision off or choose unetpp or unet3plus without an encoder; {name} has none": (
            config.deep_supervision and (name not in DEEP or config.encoder is not None)
        ),
        f"switch guided off or choose unet3plus; {name} has no guidance": config.guided and name != "unet3plus",
        f"choose another block than 'residual'; {name} is built of single convolutions": (
            config.block == "residual" and name.startswith("fcn")
        ),
        f"remove the encoder; {name} has its own": config.encoder is not None and name not in ENCODED,
        "remove the encoder or choose ndim=2; encoders read planes": config.encoder is not None and config.ndim != 2,
        f"choose an encoder for {name}, for example encoder='resnet50'": not config.encoder and name not in MEMBERS,
        "switch the stem off or remove the encoder; an encoder reads the image itself": (
            config.encoder is not None and config.stem != "none"
        ),
        "choose an encoder, or set encoder_weights=None": not config.encoder and config.encoder_weights is not None,
    }
    for sentence, applies in wrong.items():
        if applies:
            raise ConfigError(sentence)
