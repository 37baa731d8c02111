"""Forms of a trained network that only predict: fused, pruned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from napari_unet.errors import ConfigError
from napari_unet.networks.graph import Graph, schedule, select
from napari_unet.networks.module import Network

STATISTICS = ("running_mean", "running_var", "weight", "bias")


def inference_form(network: nn.Module) -> nn.Module:
    """Copy a network for prediction: batch norms fused into their convolutions, channels-last, no gradients.

    Parameters
    ----------
    network : nn.Module
        Network made by `build_network`; it is not changed. One with an encoder is copied, but not fused.

    Returns
    -------
    nn.Module
        Gives the main output of ``network.eval()``, equal up to rounding.

    Examples
    --------
    >>> from napari_unet.config import ModelConfig
    >>> from napari_unet.networks import build_network
    >>> fused = inference_form(build_network(ModelConfig(width=2, depth=1)))
    >>> sorted(name for name in fused.state_dict() if "norm" in name)
    []
    """
    if not isinstance(network, Network):
        return _frozen(deepcopy(network), 2)
    graph, convolutions = fused_graph(network.graph)
    form = Network(graph)
    form.load_state_dict(fused_state(network, convolutions, form.state_dict().keys()))
    return _frozen(form.to(next(network.parameters()).device), graph.ndim)


def fused_graph(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """The layers of a graph that its main output needs, without dropout and without the batch norms to be fused.

    Returns
    -------
    graph : Graph
    convolutions : dict
        The convolutions that took a batch norm in, each with the name of that norm.
    """
    pairs = _fusible(graph)
    dropouts = {i for i, node in enumerate(graph.nodes) if node.op == "dropout"}
    part = select(graph, graph.outputs[:1], frozenset(pairs) | dropouts)
    convolutions = {graph.nodes[i].name: graph.nodes[norm].name for norm, i in pairs.items()}
    part.nodes = [replace(node, bias=True) if node.name in convolutions else node for node in part.nodes]
    return part, convolutions


def prune(network: nn.Module, output: int) -> Network:
    """Cut a network with deep supervision down to what one of its outputs needs (Zhou et al. 2018, section 2.2).

    Parameters
    ----------
    network : nn.Module
        Network with ``forward_deep``; it is not changed.
    output : int
        Which of ``forward_deep``'s outputs to keep. Of a U-Net++ of depth D, output k is the U-Net++ of depth D - k.

    Raises
    ------
    ConfigError
        When the network has no such output.
    """
    if not isinstance(network, Network) or not 0 <= output < len(network.graph.outputs):
        raise ConfigError(f"choose an output that this network has; there is no output {output}")
    part = Network(select(network.graph, [network.graph.outputs[output]]))
    state = network.state_dict()
    part.load_state_dict({name: state[name] for name in part.state_dict()})
    return part.to(next(network.parameters()).device).train(network.training)


def _frozen(network: nn.Module, ndim: int) -> nn.Module:
    """Prepare for prediction in place."""
    layout = torch.channels_last if ndim == 2 else torch.channels_last_3d
    return network.requires_grad_(False).eval().to(memory_format=layout)  # type: ignore[call-overload,no-any-return]


def _fusible(graph: Graph) -> dict[int, int]:
    """Batch norms that directly follow a convolution, and that convolution."""
    if graph.norm_kind != "batch":
        return {}
    moves = [move for move in schedule(graph, graph.outputs) if graph.nodes[move.index].op == "norm"]
    found = {move.index: graph.nodes[move.index].inputs[0] for move in moves if move.alone}
    return {norm: source for norm, source in found.items() if graph.nodes[source].op == "conv"}


def fused_state(network: Network, convolutions: Mapping[str, str], names: Iterable[str]) -> dict[str, Tensor]:
    """Weights of a network after fusing, those of the parameters `names` only."""
    whole = network.state_dict()
    state = {name: whole[name] for name in names if name in whole}
    for name in convolutions.keys() & {name.rpartition(".")[0] for name in names}:
        norm = convolutions[name]
        eps = cast("nn.BatchNorm2d", network.get_submodule(norm)).eps
        mean, variance, scale, shift = (whole[f"{norm}.{part}"] for part in STATISTICS)
        weight, bias = fuse_conv_bn_weights(
            whole[f"{name}.weight"], whole.get(f"{name}.bias"), mean, variance, eps, scale, shift
        )
        state |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return state
