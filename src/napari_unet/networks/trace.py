"""How far a network of another package looks: its layers, traced by torch without values, followed back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from napari_unet.config import ModelConfig
from napari_unet.networks.encoders import STRIDE, EncoderNetwork, encoder_network

#: Edge of the traced image; its place is a multiple of every stride.
EDGE = 512
#: Layers that work on each pixel by itself.
POINTWISE = frozenset(
    {"batch_norm", "relu", "leaky_relu", "silu", "gelu", "hardtanh", "hardswish", "sigmoid", "add", "mul", "cat"}
    | {"dropout", "feature_dropout", "clone", "contiguous"}
)

Span = tuple[int, int]


def trace_encoder(config: ModelConfig) -> tuple[int, int] | None:
    """Receptive field of a network with an encoder.

    Parameters
    ----------
    config : ModelConfig
        With ``encoder``.

    Returns
    -------
    (radius, context) or None
        How far an output pixel looks from itself, and from its block of one stride. None where a layer looks at the
        whole image, or is not known.
    """
    radius = context = 0
    for axis, phase in product((0, 1), range(STRIDE)):
        span = field_of(config, axis, phase)
        if span is None:
            return None
        radius, context = max(radius, phase - span[0], span[1] - phase), max(context, -span[0], span[1] - STRIDE + 1)
    return radius, context


def field_of(config: ModelConfig, axis: int, position: int) -> Span | None:
    """First and last pixel that the output pixel at `position` depends on; None if that is the whole image.

    Positions count from the start of a block of one stride.
    """
    nodes, output = _layers(config)
    span = _field(nodes, output, axis, EDGE // 2 + position)
    return None if span is None else (span[0] - EDGE // 2, span[1] - EDGE // 2)


@lru_cache(maxsize=4)
def _layers(config: ModelConfig) -> tuple[list[Node], Node]:
    """The network's layers in the order they are run, and the one that gives the logits."""
    with torch.device("meta"):
        network = encoder_network(config, pretrained=False).to("meta").eval()
        image = torch.empty(1, config.in_channels, EDGE, EDGE)
    nodes = list(torch.export.export(_Inner(network), (image,), strict=False).graph.nodes)
    (output,) = nodes[-1].args[0]
    return nodes, output


class _Inner(nn.Module):
    """The network without what is done for images of any size."""

    def __init__(self, network: EncoderNetwork) -> None:
        super().__init__()
        self.parts = nn.Sequential(network.encoder, network.decoder, network.head)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.parts(x)
        return logits


def _field(nodes: Sequence[Node], output: Node, axis: int, position: int) -> Span | None:
    """First and last pixel of the image that the output at `position` depends on."""
    needs = {output: (position, position)}
    for node in reversed(nodes):
        if node not in needs:
            continue
        if node.op == "placeholder":
            return needs[node]
        span = _reads(node, axis, *needs[node])
        if span is None:
            return None
        for source in _sources(node):
            known = needs.get(source, span)
            needs[source] = (min(span[0], known[0]), max(span[1], known[1]))
    return None


def _sources(node: Node) -> list[Node]:
    """The feature maps that a layer reads, without its weights."""
    first: Any = node.args[0]
    found = list(first) if isinstance(first, list | tuple) else [first]
    if _name(node) in ("add", "mul"):
        found += [other for other in node.args[1:] if isinstance(other, Node)]
    return found


def _name(node: Node) -> str:
    """For example ``relu`` of ``aten.relu_.default``."""
    return str(node.target).split(".")[1].rstrip("_")


def _reads(node: Node, axis: int, low: int, high: int) -> Span | None:
    """Pixels of the layer's input that its pixels ``low..high`` are made from."""
    name, args = _name(node), node.args
    if name in POINTWISE:
        return low, high
    if name == "conv2d" and not isinstance(_argument(args, 4, 0), str):
        kernel = _size(args[1], axis)
        step, pad, gap = (_along(_argument(args, i, one), axis) for i, one in ((3, 1), (4, 0), (5, 1)))
        return low * step - pad, high * step - pad + gap * (kernel - 1)
    if name in ("max_pool2d", "avg_pool2d"):
        kernel = _along(args[1], axis)
        step, pad = _along(_argument(args, 2, kernel) or kernel, axis), _along(_argument(args, 3, 0), axis)
        return low * step - pad, high * step - pad + kernel - 1
    if name == "conv_transpose2d":
        kernel, step, pad = (
            _size(args[1], axis),
            *(_along(_argument(args, i, one), axis) for i, one in ((3, 1), (4, 0))),
        )
        return -((kernel - 1 - low - pad) // step), (high + pad) // step
    if name in ("upsample_nearest2d", "upsample_bilinear2d"):
        return _resized(node, axis, low, high)
    return None


def _resized(node: Node, axis: int, low: int, high: int) -> Span | None:
    """Up-sampling by a whole number, its grid in the middle of the pixels."""
    step, rest = divmod(_size(node, axis), _size(node.args[0], axis))
    if rest:
        return None
    if _name(node) == "upsample_nearest2d":
        return low // step, high // step
    if _argument(node.args, 2, False):
        return None
    return (2 * low + 1 - step) // (2 * step), -((step - 2 * high - 1) // (2 * step))


def _argument(args: Sequence[Any], index: int, default: Any) -> Any:
    return args[index] if len(args) > index else default


def _along(value: Any, axis: int) -> int:
    """One number for both axes, or one for each."""
    if isinstance(value, int):
        return value
    return int(value[axis if len(value) > 1 else 0])


def _size(node: Any, axis: int) -> int:
    return int(node.meta["val"].shape[2 + axis])
