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


@lru_cache(maxsize=64)
def plan(config: ModelConfig) -> Graph:
    """Write down the network's graph; treat it as read-only.

    Raises
    ------
    ConfigError
        When no network can be built from this config.
    """
    _check(config)
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


def _check(config: ModelConfig) -> None:
    if config.padding == "valid" and config.architecture != "unet":
        raise ConfigError(f"choose padding='same' for {config.architecture}; only unet has an unpadded form")
    if config.architecture not in MEMBERS:
        raise ConfigError(f"choose architecture {', '.join(MEMBERS)}; '{config.architecture}' cannot be built here")
    if config.deep_supervision and config.architecture not in DEEP:
        raise ConfigError(f"switch deep_supervision off or choose {' or '.join(DEEP)}; {config.architecture} has none")
    if config.guided and config.architecture != "unet3plus":
        raise ConfigError(f"switch guided off or choose unet3plus; {config.architecture} has no guidance")
    if config.block == "residual" and config.architecture.startswith("fcn"):
        raise ConfigError(
            f"choose another block than 'residual'; {config.architecture} is built of single convolutions"
        )
    if config.encoder and config.architecture.startswith("fcn"):
        raise ConfigError(f"remove the encoder; {config.architecture} has its own")
