"""Forms of a trained network that only predict: fused, pruned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks.graph import Graph, schedule, select
from napari_unet.networks.module import Network

#: Edge of the image that a fused encoder is checked with, and how much of its largest logit may be rounding.
SMALL = 64
ROUNDING = 1e-3
STATISTICS = ("running_mean", "running_var", "weight", "bias")


def inference_form(network: nn.Module) -> nn.Module:
    """Copy a network for prediction: batch norms fused into their convolutions, channels-last, no gradients.

    Parameters
    ----------
    network : nn.Module
        Network made by `build_network`; it is not changed.

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
        return _frozen(_fused_encoder(network), 2)
    graph, convolutions = fused_graph(network.graph)
    form = Network(graph)
    form.load_state_dict(fused_state(network, convolutions, form.state_dict().keys()))
    return _frozen(form.to(next(network.parameters()).device), graph.ndim)


@torch.no_grad()
def _fused_encoder(network: nn.Module) -> nn.Module:
    """Copy a network of another package, with batch norms fused where a small image shows that nothing changes."""
    copy = deepcopy(network).eval()
    first = next(layer for layer in copy.modules() if isinstance(layer, nn.Conv2d))
    image = torch.rand(1, first.in_channels, SMALL, SMALL, device=first.weight.device)
    pairs, expected = _followed(copy, image)
    for norm, name in pairs.items():
        convolution = cast("nn.Conv2d", copy.get_submodule(name))
        transposed = isinstance(convolution, nn.ConvTranspose2d)
        fused = fuse_conv_bn_eval(convolution, cast("nn.BatchNorm2d", copy.get_submodule(norm)), transposed)
        copy.set_submodule(name, fused)
        copy.set_submodule(norm, nn.Identity())
    tolerance = ROUNDING * float(expected.abs().max())
    same = torch.allclose(copy(image), expected, rtol=0, atol=tolerance)
    return copy if same else deepcopy(network).eval()


def _followed(network: nn.Module, image: Tensor) -> tuple[dict[str, str], Tensor]:
    """Batch norms that read what a convolution made, each with that convolution, by name; and the logits of `image`.

    Layers that are used more than once are left out.
    """
    made: dict[int, tuple[str, Tensor]] = {}
    found: dict[str, str] = {}
    uses: Counter[str] = Counter()

    def look(name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        uses[name] += 1
        if type(layer) is nn.BatchNorm2d:
            source = made.get(id(inputs[0]))
            found.update({} if source is None else {name: source[0]})
        else:
            # The output is kept, so that no other tensor gets its id.
            made[id(output)] = (name, output)

    hooks = [
        layer.register_forward_hook(partial(look, name))
        for name, layer in network.named_modules()
        # Not a subclass: some of them have an activation inside.
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) or type(layer) is nn.BatchNorm2d
    ]
    logits = network(image)
    for hook in hooks:
        hook.remove()
    readers = Counter(found.values())
    return {norm: name for norm, name in found.items() if uses[norm] == uses[name] == readers[name] == 1}, logits


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


def prune(network: nn.Module, config: ModelConfig, depth: int) -> tuple[Network, ModelConfig]:
    """Cut a U-Net++ with deep supervision down to one of the U-Net++ inside it (Zhou et al. 2018, section 2.2).

    Parameters
    ----------
    network : nn.Module
        Network of `config`; it is not changed. What it learns afterwards is learnt by the smaller one too, which
        shares its layers.
    config : ModelConfig
        A ``unetpp`` with ``deep_supervision``.
    depth : int
        Of the smaller network, from 1 to that of `config`.

    Returns
    -------
    network : Network
        Its state is that of a network built from the smaller config.
    config : ModelConfig
        Without deep supervision.

    Raises
    ------
    ConfigError
        When there is no such network inside it.

    Examples
    --------
    >>> from napari_unet.networks import build_network
    >>> config = ModelConfig(architecture="unetpp", width=2, depth=3, deep_supervision=True)
    >>> small, about = prune(build_network(config), config, 1)
    >>> about.depth, len(build_network(about).state_dict()) == len(small.state_dict())
    (1, True)
    """
    if config.architecture != "unetpp" or not config.deep_supervision or not isinstance(network, Network):
        raise ConfigError("predict with the whole network: only a unetpp with deep_supervision has smaller ones inside")
    if not 1 <= depth <= config.depth:
        raise ConfigError(f"choose a depth from 1 to {config.depth}, the depths that this network has learnt")
    graph = select(network.graph, [network.graph.outputs[config.depth - depth]])
    last = graph.outputs[0]
    layers = {**network.layers, "head": network.layers[graph.nodes[last].name]}
    graph.nodes[last] = replace(graph.nodes[last], name="head")
    return Network(graph, layers).train(network.training), config.replace(depth=depth, deep_supervision=False)


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
