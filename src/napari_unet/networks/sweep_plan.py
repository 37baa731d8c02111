"""A pass along one axis, slab by slab, in which each layer computes each of its pixels once. Integers only, no torch.

A tile that is computed as a whole needs memory for all of its layers. A sweep keeps of each layer only the last pixels,
those that the next slab looks back at, and so it can take tiles that are much larger, up to the whole image: less halo.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from napari_unet.networks.geometry import reads
from napari_unet.networks.graph import Graph, Node, schedule
from napari_unet.networks.plan import parameters
from napari_unet.networks.window import Span, Window, windows

#: Layers that a sweep can run; a network with any other is not swept.
KNOWN = frozenset(
    {"input", "scale_space", "conv", "transpose", "norm", "relu", "pool", "nearest", "linear", "concat", "add", "crop"}
)
#: Slabs after the output has begun of which the memory is looked at.
STEADY = 3


@dataclass(frozen=True, slots=True)
class Stage:
    """One layer in one step.

    Attributes
    ----------
    index : int
        Which layer.
    reads : (start, stop)
        What it reads of its inputs, in their pixels along the axis.
    makes : (start, stop)
        What it computes, in its own pixels; may be nothing.
    trims : tuple of (int, int)
        Layers, each with its first pixel that is still needed once this layer has read.
    """

    index: int
    reads: Span
    makes: Span
    trims: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A tile and how it is cut into slabs.

    Attributes
    ----------
    axis : int
        Along which spatial axis.
    size : tuple of int
        Of the tile's input, pixels.
    keep : tuple of slice
        Wanted part of the output, in its pixels.
    step : int
        Pixels of the output that are computed at once.
    """

    axis: int
    size: tuple[int, ...]
    keep: tuple[slice, ...]
    step: int

    @property
    def stops(self) -> tuple[int, ...]:
        """Where along the axis the slabs of the output end."""
        part = self.keep[self.axis]
        return (*range(part.start + self.step, part.stop, self.step), part.stop)


class SweepPlan:
    """Which pixels of which layer are computed for which slab.

    Parameters
    ----------
    graph : Graph
        Layers of `KNOWN` kinds.
    sweep : Sweep
        Tile and slabs.

    Attributes
    ----------
    windows : tuple of Window or None
        Of every layer, for the whole tile; along the other axes they hold for every slab.
    alone : set of int
        Layers that may overwrite what they read.
    first : dict
        First pixel of each layer that is needed.
    """

    def __init__(self, graph: Graph, sweep: Sweep) -> None:
        self.graph = graph
        self.sweep = sweep
        self.windows: tuple[Window | None, ...] = windows(graph, sweep.size, sweep.keep)
        moves = schedule(graph, graph.outputs[:1])
        self.alone = {move.index for move in moves if move.alone}
        self._order = [move.index for move in moves]
        self._readers = _readers(graph, self._order)
        self._trimmed = _last_reads(self._readers)
        part = sweep.keep[sweep.axis]
        self.first = self._needed(part.start, low=True)
        self._last = self._needed(part.stop)

    def steps(self) -> Iterator[tuple[bool, list[Stage]]]:
        """Layers of each step, and whether it ends a slab: the first takes several, none larger than the others."""
        before = dict(self.first)
        part = self.sweep.keep[self.sweep.axis]
        ahead = range(part.start - self._lead(), part.start, self.sweep.step)
        stops = [(stop, False) for stop in ahead] + [(stop, True) for stop in self.sweep.stops]
        for stop, ends in stops:
            reached = self._needed(stop)
            after = {i: max(before[i], min(reached[i], self._last[i])) for i in before}
            yield ends, self._stages(before, after)
            before = after

    def peak(self) -> int:
        """Values alive at the worst moment, with the weights; the length of the tile does not count."""
        memory = _Memory(self)
        left = STEADY
        for ends, stages in self.steps():
            memory.run(stages)
            left -= ends
            if not left:
                break
        weights = sum(parameters(self.graph, node) for node in self.graph.nodes)
        return memory.peak + weights

    def cross(self, index: int) -> int:
        """Values of a layer in one pixel along the axis."""
        window = self.windows[index]
        assert window is not None  # only layers that are needed are asked for
        spans = [stop - start for axis, (start, stop) in enumerate(window.spans) if axis != self.sweep.axis]
        return self.graph.nodes[index].channels * prod(spans)

    def _needed(self, position: int, *, low: bool = False) -> dict[int, int]:
        """First pixel of each layer that the output from `position` on needs, or the end of what it needs before."""
        found = {self.graph.outputs[0]: position}
        for index in reversed(self._order):
            if index not in found:
                continue
            node, edge = self.graph.nodes[index], found[index]
            edge = _low(node, self.sweep.axis, edge) if low else _high(node, self.sweep.axis, edge)
            for source in node.inputs:
                known = found.get(source, edge)
                found[source] = min(known, edge) if low else max(known, edge)
        return found

    def _lead(self) -> int:
        """How far before the first output the first layers begin, in whole steps."""
        distance = self._needed(self.sweep.keep[self.sweep.axis].start)[0] - self.first[0]
        return -(-distance // self.sweep.step) * self.sweep.step

    def _stages(self, before: dict[int, int], after: dict[int, int]) -> list[Stage]:
        found = [Stage(0, (before[0], after[0]), (before[0], after[0]), ())]
        axis = self.sweep.axis
        for index in self._order:
            node = self.graph.nodes[index]
            if node.op == "concat":
                continue
            start, stop = before[index], after[index]
            span = (_low(node, axis, start), _high(node, axis, stop)) if stop > start else (0, 0)
            trims = tuple((source, self._still_needed(source, after)) for source in self._trimmed.get(index, ()))
            found.append(Stage(index, span, (start, stop), trims))
        return found

    def _still_needed(self, index: int, after: dict[int, int]) -> int:
        """First pixel of a layer that later steps read."""
        starts = [
            _low(self.graph.nodes[reader], self.sweep.axis, after[reader])
            for reader in self._readers[index]
            if after[reader] < self._last[reader]
        ]
        return min([after[index], *starts]) if starts else after[index]


def can_sweep(graph: Graph) -> bool:
    """Whether all layers look only at pixels near them, in ways that a sweep knows."""
    return graph.norm_kind in ("batch", "none") and all(node.op in KNOWN for node in graph.nodes)


class _Memory:
    """Values alive in a sweep, counted as its layers run."""

    def __init__(self, plan: SweepPlan) -> None:
        self._plan = plan
        self._held: dict[int, list[Span]] = {}
        self.peak = 0

    def run(self, stages: Sequence[Stage]) -> None:
        for stage in stages:
            made = stage.makes[1] > stage.makes[0]
            gathered = self._gathered(stage) if made else 0
            self._look(gathered)
            for index, first in stage.trims:
                self._held[index] = trimmed(self._held.get(index, []), first)
            if made:
                self._held.setdefault(stage.index, []).append(stage.makes)
            # Convolutions work on a reordered copy of their weights.
            self._look(gathered + parameters(self._plan.graph, self._plan.graph.nodes[stage.index]))

    def _gathered(self, stage: Stage) -> int:
        """What a layer copies: what it reads, where that lies in several places, and features that it joins."""
        node = self._plan.graph.nodes[stage.index]
        if node.op in ("input", "relu", "norm", "pool", "crop"):
            return 0
        found = (stage.reads[1] - stage.reads[0]) * sum(self._plan.cross(i) for i in node.inputs)
        # The features of the scale space are made one by one, then joined.
        joined = (stage.makes[1] - stage.makes[0]) * self._plan.cross(stage.index) if node.op == "scale_space" else 0
        return found + joined

    def _look(self, more: int) -> None:
        held = sum((b - a) * self._plan.cross(i) for i, pieces in self._held.items() for a, b in pieces)
        self.peak = max(self.peak, held + more)


def trimmed(pieces: Sequence[Span], first: int) -> list[Span]:
    """Pieces in a row without those before `first`; one of which less than half is needed is cut off."""
    found = [(a, b) for a, b in pieces if b > first]
    if found and 2 * (found[0][1] - first) < found[0][1] - found[0][0]:
        found[0] = (first, found[0][1])
    return found


def _low(node: Node, axis: int, start: int) -> int:
    return reads(node, axis, start, start)[0]


def _high(node: Node, axis: int, stop: int) -> int:
    return reads(node, axis, stop - 1, stop - 1)[1] + 1


def _readers(graph: Graph, order: Sequence[int]) -> dict[int, list[int]]:
    """Layers that read each layer; what is joined is read by those that read the join."""
    found: dict[int, list[int]] = {index: [] for index in (0, *order)}
    for index in order:
        if graph.nodes[index].op == "concat":
            continue
        for source in graph.nodes[index].inputs:
            joined = graph.nodes[source].op == "concat"
            for each in graph.nodes[source].inputs if joined else (source,):
                found[each].append(index)
    return found


def _last_reads(readers: dict[int, list[int]]) -> dict[int, list[int]]:
    """For each layer the layers of which it is the last reader."""
    found: dict[int, list[int]] = {}
    for index, after in readers.items():
        if after:
            found.setdefault(max(after), []).append(index)
    return found
