"""A network as a value: the list of its layers, written once for geometry, estimates, pictures and torch. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Axes = tuple[int, ...]
Op = Literal[
    "input",
    "conv",
    "transpose",
    "norm",
    "relu",
    "dropout",
    "pool",
    "nearest",
    "linear",
    "concat",
    "add",
    "crop",
    "gate",
    "scale_space",
]

#: Layers before which there is nothing to learn; they come first.
FIXED = ("input", "scale_space")
#: Scales of the scale-space stem, in units of the smallest pixel size.
SIGMAS = (0.5, 1.0, 2.0, 4.0, 8.0)
#: Gaussians end here, in sigmas.
TRUNCATE = 3.0


@dataclass(frozen=True, slots=True)
class Node:
    """One layer.

    Attributes
    ----------
    name : str
        Dotted name; the parameters' names start with it.
    op : str
        What the layer does.
    inputs : tuple of int
        Positions of the layers it reads.
    channels : int
        Channels it gives.
    scale : tuple of int
        Input pixels per pixel of its grid, per axis.
    lost : tuple of int
        Input pixels removed so far by unpadded convolutions, both sides together.
    kernel, step, pad : tuple of int
        Kernel of a convolution; factor of pooling or up-sampling; padding (or, for ``crop``, pixels cut) at each side.
    bias : bool
        Whether a convolution has a bias.
    amount : float
        Probability of dropout.
    units : tuple of float
        Size of a pixel along each axis, in units of the smallest; of the scale-space stem.
    """

    name: str
    op: Op
    inputs: tuple[int, ...]
    channels: int
    scale: Axes
    lost: Axes
    kernel: Axes = ()
    step: Axes = ()
    pad: Axes = ()
    bias: bool = False
    amount: float = 0.0
    units: tuple[float, ...] = ()


class Graph:
    """Layers in the order they are run; each method adds one and returns its position.

    Parameters
    ----------
    channels : int
        Channels of the input image.
    ndim : int
        Spatial axes.
    valid : bool
        Convolutions without padding.
    norm : {"batch", "group", "instance", "none"}
        What `normed` adds.

    Attributes
    ----------
    nodes : list of Node
        The layers; the first is the input.
    outputs : list of int
        Positions of the logits, the main output first.
    """

    def __init__(self, channels: int, ndim: int, *, valid: bool = False, norm: str = "batch") -> None:
        self.ndim = ndim
        self.valid = valid
        self.norm_kind = norm
        self.nodes = [Node("input", "input", (), channels, (1,) * ndim, (0,) * ndim)]
        self.outputs: list[int] = []

    def conv(self, name: str, x: int, channels: int, kernel: Axes, *, bias: bool = True) -> int:
        """Convolution; the padding is the graph's."""
        node = self.nodes[x]
        pad = (0,) * self.ndim if self.valid else tuple(k // 2 for k in kernel)
        spent = [(k - 1 - 2 * p) * s for k, p, s in zip(kernel, pad, node.scale, strict=True)]
        lost = tuple(a + b for a, b in zip(node.lost, spent, strict=True))
        return self._add(Node(name, "conv", (x,), channels, node.scale, lost, kernel, pad=pad, bias=bias))

    def norm(self, name: str, x: int) -> int:
        """Feature normalisation, or nothing."""
        return x if self.norm_kind == "none" else self._same("norm", name, x)

    def relu(self, name: str, x: int) -> int:
        """Rectifier."""
        return self._same("relu", name, x)

    def dropout(self, name: str, x: int, amount: float) -> int:
        """Dropout, or nothing."""
        return self._same("dropout", name, x, amount=amount) if amount else x

    def pool(self, name: str, x: int, step: Axes) -> int:
        """Maximum over cells of `step` pixels."""
        node = self.nodes[x]
        scale = tuple(s * f for s, f in zip(node.scale, step, strict=True))
        return self._add(Node(name, "pool", (x,), node.channels, scale, node.lost, step=step))

    def transpose(self, name: str, x: int, channels: int, step: Axes, *, wide: bool = False, bias: bool = True) -> int:
        """Up-convolution by `step`; `wide` uses the kernel of bilinear interpolation, twice the step."""
        kernel = tuple(2 * f if wide and f > 1 else f for f in step)
        pad = tuple((k - f) // 2 for k, f in zip(kernel, step, strict=True))
        node = self.nodes[x]
        scale = _divide(node.scale, step)
        return self._add(Node(name, "transpose", (x,), channels, scale, node.lost, kernel, step, pad, bias))

    def interpolate(self, name: str, x: int, step: Axes, op: Literal["nearest", "linear"]) -> int:
        """Up-sampling by `step`; without padding, linear cuts the pixels that it made from beyond the border."""
        node = self.nodes[x]
        scale = _divide(node.scale, step)
        x = self._add(Node(name, op, (x,), node.channels, scale, node.lost, step=step))
        if op == "linear" and self.valid:
            x = self.crop(f"{name}_cut", x, tuple(f // 2 for f in step))
        return x

    def crop(self, name: str, x: int, pad: Axes) -> int:
        """Cut `pad` pixels from each side, or nothing."""
        node = self.nodes[x]
        lost = tuple(a + 2 * p * s for a, p, s in zip(node.lost, pad, node.scale, strict=True))
        return self._same("crop", name, x, lost=lost, pad=pad) if any(pad) else x

    def crop_to(self, name: str, x: int, like: int) -> int:
        """Cut the centre of `x` out, as large as `like`."""
        node, target = self.nodes[x], self.nodes[like]
        sizes = zip(target.lost, node.lost, node.scale, strict=True)
        return self.crop(name, x, tuple((a - b) // (2 * s) for a, b, s in sizes))

    def concat(self, name: str, inputs: Sequence[int]) -> int:
        """Join channels."""
        channels = sum(self.nodes[i].channels for i in inputs)
        first = self.nodes[inputs[0]]
        return self._add(Node(name, "concat", tuple(inputs), channels, first.scale, first.lost))

    def add(self, name: str, inputs: Sequence[int]) -> int:
        """Sum of equal shapes."""
        first = self.nodes[inputs[0]]
        return self._add(Node(name, "add", tuple(inputs), first.channels, first.scale, first.lost))

    def gate(self, name: str, x: int, evidence: int) -> int:
        """Lower the logits of the foreground classes that `evidence` sees nowhere in the image."""
        node = self.nodes[x]
        return self._add(Node(name, "gate", (x, evidence), node.channels, node.scale, node.lost))

    def scale_space(self, name: str, x: int, units: Sequence[float]) -> int:
        """Image and fixed features of it (see `scale_space.py`), as far as the widest Gaussian reaches."""
        node = self.nodes[x]
        radius = scale_space_radius(units, SIGMAS[-1])
        lost = tuple(a + 2 * r if self.valid else a for a, r in zip(node.lost, radius, strict=True))
        kernel, pad = tuple(2 * r + 1 for r in radius), (0,) * self.ndim if self.valid else radius
        channels = node.channels * (1 + len(SIGMAS) * (2 + self.ndim))
        made = Node(name, "scale_space", (x,), channels, node.scale, lost, kernel, pad=pad, units=tuple(units))
        return self._add(made)

    @property
    def entry(self) -> int:
        """What the first learnt layer reads: the input, or its fixed features."""
        return sum(node.op in FIXED for node in self.nodes) - 1

    @property
    def stride(self) -> Axes:
        """Product of the strides, per axis."""
        return tuple(max(sizes) for sizes in zip(*(node.scale for node in self.nodes), strict=True))

    def _same(self, op: Op, name: str, x: int, *, lost: Axes | None = None, pad: Axes = (), amount: float = 0.0) -> int:
        node = self.nodes[x]
        place = node.lost if lost is None else lost
        return self._add(Node(name, op, (x,), node.channels, node.scale, place, pad=pad, amount=amount))

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1


@dataclass(frozen=True, slots=True)
class Move:
    """Run one layer, then forget the values that nobody reads any more; `alone` if it may overwrite its input."""

    index: int
    forget: tuple[int, ...]
    alone: bool


def schedule(graph: Graph, outputs: Sequence[int]) -> tuple[Move, ...]:
    """Layers that `outputs` need, in order, each with the values that are free after it."""
    needed = set(outputs)
    for index in range(len(graph.nodes) - 1, -1, -1):
        if index in needed:
            needed.update(graph.nodes[index].inputs)
    order = [index for index in sorted(needed) if index]
    readers: dict[int, list[int]] = {index: [] for index in needed}
    for index in order:
        for source in graph.nodes[index].inputs:
            readers[source].append(index)
    return tuple(_moves(graph, order, readers, set(outputs)))


def _moves(graph: Graph, order: list[int], readers: dict[int, list[int]], kept: set[int]) -> Iterator[Move]:
    for index in order:
        sources = set(graph.nodes[index].inputs)
        forget = tuple(s for s in sorted(sources) if s not in kept and max(readers[s]) == index)
        alone = all(s and len(readers[s]) == 1 and s not in kept for s in sources)
        yield Move(index, forget, alone)


def scale_space_radius(units: Sequence[float], sigma: float) -> Axes:
    """Pixels that the features at `sigma` reach along each axis: the Gaussian's, and one more for its derivatives."""
    return tuple(max(1, math.ceil(TRUNCATE * sigma / unit - 1e-9)) + 1 for unit in units)


def _divide(scale: Axes, step: Axes) -> Axes:
    return tuple(s // f for s, f in zip(scale, step, strict=True))


def select(graph: Graph, outputs: Sequence[int], skip: frozenset[int] = frozenset()) -> Graph:
    """Take the part of a graph that `outputs` need, with each layer in `skip` replaced by what it reads.

    Names are kept, so that a state dict of the whole graph holds the weights of the part.
    """
    part = Graph(graph.nodes[0].channels, graph.ndim, valid=graph.valid, norm=graph.norm_kind)
    places = {0: 0}
    for move in schedule(graph, outputs):
        node = graph.nodes[move.index]
        inputs = tuple(places[i] for i in node.inputs)
        places[move.index] = inputs[0] if move.index in skip else part._add(replace(node, inputs=inputs))
    part.outputs = [places[i] for i in outputs]
    return part
