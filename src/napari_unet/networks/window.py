"""What each layer must compute so that a part of the output is right: the dependency cone, in integers. No torch.

Only the first layers of a U-Net need the whole halo of a tile; its expanding path, most of the work, needs little
more than the part of the output that is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from napari_unet.networks.geometry import reads
from napari_unet.networks.graph import Graph, Node

Span = tuple[int, int]
#: Layers whose inputs are cut to what they need: those that copy them anyway.
_COPYING = ("concat", "add")
#: Layers that need no padding where their input reaches as far as they look.
_LOOKING = ("conv", "scale_space")


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a layer that is computed.

    Attributes
    ----------
    spans : tuple of (start, stop)
        Per axis, in pixels of the layer's grid, counted from the first that the layer would have without a window.
    cuts : tuple
        For each input the slices to take of what was computed of it.
    keep : tuple of slice
        The part of the result to keep.
    pads : tuple of int
        What to pad at each side; none where the input reaches as far as the layer looks.
    """

    spans: tuple[Span, ...]
    cuts: tuple[tuple[slice, ...], ...]
    keep: tuple[slice, ...]
    pads: tuple[int, ...]


def windows(graph: Graph, size: Sequence[int], keep: Sequence[slice]) -> tuple[Window | None, ...]:
    """Window of every layer, so that the main output is right at `keep`; None for layers that are not needed.

    Parameters
    ----------
    graph : Graph
        A network of convolutions and what goes with them; normalisation over an image and gates look at all of it.
    size : sequence of int
        Size of the input; a legal one, see `Geometry`.
    keep : sequence of slice
        Wanted part of the output, in its pixels.
    """
    key = _Key(tuple(graph.nodes), graph.outputs[0], graph.ndim)
    return _windows(key, tuple(size), tuple((part.start, part.stop) for part in keep))


def operations(graph: Graph, size: Sequence[int], keep: Sequence[slice]) -> int:
    """Floating-point operations of the convolutions for a part of the output, two per multiplication and addition."""
    found = windows(graph, size, keep)
    total = 0
    for node, window in zip(graph.nodes, found, strict=True):
        # An up-convolution costs per pixel that it reads, any other per pixel that it makes.
        counted = found[node.inputs[0]] if node.op == "transpose" else window
        if window is None or counted is None or node.op not in ("conv", "transpose"):
            continue
        pixels = prod(stop - start for start, stop in counted.spans)
        total += 2 * pixels * graph.nodes[node.inputs[0]].channels * node.channels * prod(node.kernel)
    return total


@dataclass(frozen=True, slots=True)
class _Key:
    """The layers that lead to one output."""

    nodes: tuple[Node, ...]
    output: int
    ndim: int


@lru_cache(maxsize=256)
def _windows(key: _Key, size: tuple[int, ...], keep: tuple[Span, ...]) -> tuple[Window | None, ...]:
    axes = [_Axis(key, axis, size[axis], keep[axis]) for axis in range(key.ndim)]
    return tuple(_joined(node, [axis.window(index) for axis in axes]) for index, node in enumerate(key.nodes))


def _joined(node: Node, parts: list[tuple[Span, list[slice], slice, int] | None]) -> Window | None:
    """One window from those along the axes."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    spans, cuts, kept, pads = zip(*known, strict=True)
    return Window(spans, tuple(tuple(each[i] for each in cuts) for i in range(len(node.inputs))), kept, pads)


class _Axis:
    """Windows along one axis: backwards what is needed, then forwards what is computed."""

    def __init__(self, key: _Key, axis: int, size: int, keep: Span) -> None:
        self._nodes = key.nodes
        self._axis = axis
        self._full = [(size - node.lost[axis]) // node.scale[axis] for node in key.nodes]
        self._target: dict[int, Span] = {key.output: keep}
        self._grid: dict[int, int] = {}
        for index in range(key.output, 0, -1):
            if index in self._target:
                self._ask(index)
        self._align(0)
        self._spans: dict[int, Span] = {0: self._target[0]}
        self._cuts = {index: self._compute(index) for index in sorted(self._target) if index}

    def window(self, index: int) -> tuple[Span, list[slice], slice, int] | None:
        """What is computed of a layer, how its inputs are cut, what of it is kept, and how it is padded."""
        if index not in self._target:
            return None
        span = self._spans[index]
        if not index:
            return span, [], slice(*span), 0
        inputs, computed = self._cuts[index]
        return span, inputs, slice(span[0] - computed, span[1] - computed), self._pad(index)

    def _ask(self, index: int) -> None:
        """What a layer needs of its inputs, and on which grid."""
        node = self._nodes[index]
        low, high = self._align(index)
        low, high = reads(node, self._axis, low, high - 1)
        grid = self._grid.get(index, 1)
        step = node.step[self._axis] if node.step else 1
        # What looks around begins where it is asked to, wherever its input begins.
        grid = 1 if node.op in _LOOKING else grid * step if node.op == "pool" else max(1, grid // step)
        for source in node.inputs:
            known = self._target.get(source, (low, high + 1))
            self._target[source] = (min(known[0], max(low, 0)), max(known[1], min(high + 1, self._full[source])))
            self._grid[source] = max(grid, self._grid.get(source, 1))

    def _align(self, index: int) -> Span:
        """Widen what is needed of a layer to the grid of the pooling behind it."""
        low, high = self._target[index]
        grid = self._grid.get(index, 1)
        self._target[index] = max(0, low // grid * grid), min(self._full[index], -(-high // grid) * grid)
        return self._target[index]

    def _compute(self, index: int) -> tuple[list[slice], int]:
        """Cuts of the inputs of a layer, and the first pixel of what it makes of them; sets its span."""
        node = self._nodes[index]
        given = [self._spans[source] for source in node.inputs]
        target = self._target[index]
        if node.op in _COPYING:
            self._spans[index] = target
            return [slice(target[0] - a, target[1] - a) for a, _ in given], target[0]
        low, high = given[0]
        made = self._made(index, low, high)
        narrow = node.op in ("pool", "crop") or (node.op in _LOOKING and made[0] % self._grid.get(index, 1))
        self._spans[index] = target if narrow else made
        return [slice(0, high - low)], made[0]

    def _pad(self, index: int) -> int:
        """Padding at each side."""
        node = self._nodes[index]
        pad = node.pad[self._axis] if node.pad else 0
        if node.op not in _LOOKING:
            return pad
        low, high = self._spans[node.inputs[0]]
        first, last = reads(node, self._axis, self._target[index][0], self._target[index][1] - 1)
        return 0 if low <= first and last < high else pad

    def _made(self, index: int, low: int, high: int) -> Span:
        """Pixels that a layer makes of the pixels ``low:high`` of its input."""
        node = self._nodes[index]
        if node.op in _LOOKING:
            pad = self._pad(index)
            first = low + node.pad[self._axis] - pad
            return first, first + high - low + 2 * pad - node.kernel[self._axis] + 1
        if node.op == "crop":
            return low - node.pad[self._axis], high - node.pad[self._axis]
        if not node.step:
            return low, high
        step = node.step[self._axis]
        return (low // step, high // step) if node.op == "pool" else (low * step, high * step)
