"""The torch module of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_unet.networks.blocks import LOCAL
from napari_unet.networks.graph import Axes, Graph, Move, Node, schedule
from napari_unet.networks.scale_space import scale_space

_CONV: dict[int, Callable[..., nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSE: dict[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_BATCH: dict[int, Callable[..., nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL: dict[int, Callable[..., Tensor]] = {2: functional.max_pool2d, 3: functional.max_pool3d}
_LINEAR = {2: "bilinear", 3: "trilinear"}


class Network(nn.Module):
    """A network that runs the layers of its graph.

    Parameters
    ----------
    graph : Graph
        What to build.
    layers : mapping of str to nn.Module, optional
        Layers by the name of their node that are there already; they are shared.

    Attributes
    ----------
    graph : Graph
        What was built.
    """

    def __init__(self, graph: Graph, layers: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.graph = graph
        known = layers or {}
        self._layers = [known[node.name] if node.name in known else _layer(graph, node) for node in graph.nodes]
        for node, layer in zip(graph.nodes, self._layers, strict=True):
            if layer is not None:
                _attach(self, node.name, layer)
        self._main = schedule(graph, graph.outputs[:1])

    @property
    def layers(self) -> dict[str, nn.Module]:
        """The layers that have a module, by the name of their node."""
        found = zip(self.graph.nodes, self._layers, strict=True)
        return {node.name: layer for node, layer in found if layer is not None}

    def forward(self, x: Tensor) -> Tensor:
        """Logits of an image batch.

        Parameters
        ----------
        x : Tensor
            Shape ``(N, C, *spatial)``, of any size with same padding, of a legal size (see `Geometry`) without.

        Returns
        -------
        Tensor
            Shape ``(N, K, *spatial)``, one channel per class; smaller by the margin without padding.
        """
        return self._outputs(x, self._main, self.graph.outputs[:1])[0]

    def train(self, mode: bool = True) -> Self:
        """Switch to training; layers whose parameters are all frozen keep their statistics."""
        super().train(mode)
        hold_frozen(self)
        return self

    def _outputs(self, x: Tensor, moves: Sequence[Move], wanted: Sequence[int]) -> list[Tensor]:
        """Logits at `wanted`, cropped back to the size of the input."""
        if self.graph.valid:
            return self._run(x, moves, wanted)
        size = x.shape[2:]
        found = self._run(self._padded(x), moves, wanted)
        box = (slice(None), slice(None), *(slice(n) for n in size))
        return [y if y.shape[2:] == size else y[box] for y in found]

    def _padded(self, x: Tensor) -> Tensor:
        """Normalisation over an image, or over a batch of one, needs two pixels at every level."""
        alone = self.training and x.shape[0] == 1 and self.graph.norm_kind == "batch"
        return pad_to(x, self.graph.stride, twice=alone or self.graph.norm_kind in ("group", "instance"))

    def _run(self, x: Tensor, moves: Sequence[Move], wanted: Sequence[int]) -> list[Tensor]:
        values = {0: x}
        for move in moves:
            node = self.graph.nodes[move.index]
            inputs = [values[i] for i in node.inputs]
            for i in move.forget:
                del values[i]
            layer = self._layers[move.index]
            values[move.index] = apply(node, inputs, move.alone) if layer is None else layer(inputs[0])
        return [values[i] for i in wanted]


class DeepNetwork(Network):
    """A network that can also be asked for its intermediate outputs."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self._all = schedule(graph, graph.outputs)

    def forward_deep(self, x: Tensor) -> list[Tensor]:
        """All outputs, each ``(N, K, *spatial)``, the main one first."""
        return self._outputs(x, self._all, self.graph.outputs)


def pad_to(x: Tensor, stride: Axes, *, twice: bool = False) -> Tensor:
    """Repeat the last pixels up to a multiple of `stride`, along the last axis at least up to `twice` the stride."""
    size = x.shape[2:]
    target = [(n + s - 1) // s * s for n, s in zip(size, stride, strict=True)]
    if twice:
        target[-1] = torch.sym_max(target[-1], 2 * stride[-1])  # type: ignore[no-untyped-call]
    extra = [t - n for t, n in zip(target, size, strict=True)]
    if not any(extra):
        return x
    return functional.pad(x, [n for pixels in reversed(extra) for n in (0, pixels)], mode="replicate")


def hold_frozen(network: nn.Module) -> None:
    """Keep layers whose own parameters are all frozen in evaluation mode."""
    for layer in network.modules():
        own = list(layer.parameters(recurse=False))
        if own and not any(values.requires_grad for values in own):
            layer.eval()


def apply(node: Node, inputs: list[Tensor], alone: bool) -> Tensor:
    """Run a layer that has no module of its own."""
    x = inputs[0]
    if node.op == "relu":
        return functional.relu(x, inplace=alone)
    if node.op == "scale_space":
        return scale_space(x, node.units, node.pad)
    if node.op == "concat":
        return torch.cat(inputs, 1)
    if node.op == "add":
        return sum(inputs[1:], x)
    if node.op == "gate":
        return _gate(x, inputs[1])
    if node.op == "crop":
        return x[(slice(None), slice(None), *(slice(p, n - p) for p, n in zip(node.pad, x.shape[2:], strict=True)))]
    if node.op == "pool":
        return _POOL[len(node.step)](x, node.step)
    mode = "nearest" if node.op == "nearest" else _LINEAR[len(node.step)]
    return functional.interpolate(x, scale_factor=[float(s) for s in node.step], mode=mode)


def _gate(logits: Tensor, evidence: Tensor) -> Tensor:
    """Add the log-probability that a class is there at all to its logits; the background always is."""
    presence = functional.logsigmoid(evidence.amax(tuple(range(2, evidence.ndim)), keepdim=True))
    if logits.shape[1] > 1:
        presence = functional.pad(presence, [0, 0] * (logits.ndim - 2) + [1, 0])
    return logits + presence


def _layer(graph: Graph, node: Node) -> nn.Module | None:
    """Make the module of a layer that needs one."""
    if node.op == "norm":
        return _norm(graph.norm_kind, node.channels, graph.ndim)
    if node.op == "dropout":
        return nn.Dropout(node.amount)
    if node.op not in ("conv", "transpose"):
        return None
    before = graph.nodes[node.inputs[0]].channels
    if node.op == "conv":
        layer = _CONV[graph.ndim](before, node.channels, node.kernel, padding=node.pad, bias=node.bias)
    else:
        layer = _TRANSPOSE[graph.ndim](before, node.channels, node.kernel, node.step, node.pad, bias=node.bias)
    _initialise(layer, node, before)
    return layer


def _norm(kind: str, channels: int, ndim: int) -> nn.Module:
    """Instance normalisation is group normalisation with one channel per group."""
    if kind == "batch":
        return _BATCH[ndim](channels)
    return nn.GroupNorm(channels if kind == "instance" else math.gcd(channels, 8), channels)


def _initialise(layer: nn.Module, node: Node, before: int) -> None:
    """He et al. 2015: standard deviation sqrt(2 / N), N the values that a neuron reads; the local head says nothing."""
    reads = before * math.prod(node.kernel) / (math.prod(node.step) if node.op == "transpose" else 1)
    for name, values in layer.named_parameters():
        if name == "bias" or node.name == LOCAL:
            nn.init.zeros_(values)
        elif node.op == "transpose" and node.kernel != node.step:
            _bilinear(values, node.step)
        else:
            nn.init.normal_(values, std=math.sqrt(2 / reads))


@torch.no_grad()
def _bilinear(values: Tensor, step: Axes) -> None:
    """Interpolate each channel linearly (Long et al. 2015)."""
    kernel = torch.ones(())
    for size, factor in zip(values.shape[2:], step, strict=True):
        offsets = (torch.arange(size) - (size - 1) / 2).abs()
        kernel = kernel[..., None] * (1 - offsets / factor if factor > 1 else torch.ones(1))
    values.zero_()
    for channel in range(len(values)):
        values[channel, channel] = kernel


def _attach(root: nn.Module, name: str, layer: nn.Module) -> None:
    """Register `layer` under a dotted name."""
    *path, last = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, layer)
