"""Run a network along one axis of a tile, slab after slab, without computing a pixel of a layer twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor

from napari_unet.networks.graph import Node
from napari_unet.networks.snapshot import LAYOUT, Snapshot, part_of
from napari_unet.networks.sweep_plan import Stage, Sweep, SweepPlan, trimmed
from napari_unet.networks.window import Span, Window

#: So few pixels of earlier slabs are copied beside the new ones, so that a convolution finds what it reads in a row.
JOINED = 4
#: Layers that make more pixels than they read.
GROWING = ("transpose", "nearest", "linear")
Pieces = list[tuple[int, Tensor]]


class Sweeper:
    """A snapshot on its way through a tile.

    Give it the input of the tile in pieces, one for each slab of the output.

    Parameters
    ----------
    snapshot : Snapshot
        The network; see `can_sweep`.
    sweep : Sweep
        Tile and slabs.

    Examples
    --------
    >>> from napari_unet.config import ModelConfig
    >>> from napari_unet.networks import build_network
    >>> snapshot = Snapshot(build_network(ModelConfig(width=2, depth=1)))
    >>> x = torch.rand(1, 1, 64, 64)
    >>> sweeper = Sweeper(snapshot, Sweep(0, (64, 64), (slice(24, 40), slice(24, 32)), step=10))
    >>> [tuple(sweeper.slab(part).shape[2:]) for part in (x[:, :, :48], x[:, :, 48:])]
    [(10, 8), (6, 8)]
    """

    def __init__(self, snapshot: Snapshot, sweep: Sweep) -> None:
        self._snapshot = snapshot
        self._graph = snapshot.graph
        self._axis, self._keep = sweep.axis, sweep.keep
        self._plan = SweepPlan(snapshot.graph, sweep)
        self._steps = self._plan.steps()
        self._values: dict[int, Pieces] = {}
        self._given = 0

    def slab(self, x: Tensor) -> Tensor:
        """Logits of the next slab, ``(N, K, *slab)``.

        Parameters
        ----------
        x : Tensor
            The next pixels of the input, ``(N, C, *spatial)``: whole along the other axes, and along this one at least
            what the slab depends on, after what was given before.
        """
        part = self._across(self._window(0).keep)
        part[self._axis] = slice(max(0, self._plan.first[0] - self._given), None)
        start = self._given + part[self._axis].start
        self._given += x.shape[2 + self._axis]
        if self._given > start:
            self._values.setdefault(0, []).append((start, x[(slice(None), slice(None), *part)]))
        for ends, stages in self._steps:
            self._run(stages)
            if ends:
                break
        return self._output()

    def _run(self, stages: Sequence[Stage]) -> None:
        for stage in stages[1:]:
            node = self._graph.nodes[stage.index]
            made = stage.makes[1] > stage.makes[0]
            cuts = zip(node.inputs, self._window(stage.index).cuts, strict=True)
            inputs = [self._gathered(i, stage.reads, self._across(cut)) for i, cut in cuts] if made else []
            for index, first in stage.trims:
                self._trim(index, first)
            if made:
                self._make(stage, node, inputs)

    def _make(self, stage: Stage, node: Node, inputs: list[Tensor]) -> None:
        """Compute a layer, and keep it."""
        pieces = self._values.setdefault(stage.index, [])
        start, stop = stage.makes
        if node.op == "relu" and pieces and start - pieces[0][0] <= JOINED:
            self._values[stage.index] = [(pieces[0][0], self._rectified(pieces, inputs[0]))]
            return
        alone = stage.index in self._plan.alone
        window = self._window(stage.index)
        pad = tuple(0 if axis == self._axis else n for axis, n in enumerate(window.pads))
        made = self._snapshot.run(node, inputs, pad, alone=alone)
        part = self._across(window.keep)
        first = stage.reads[0] * node.step[self._axis] - _lost(node, self._axis) if node.op in GROWING else start
        part[self._axis] = slice(start - first, stop - first)
        pieces.append((start, self._dense(part_of(made, part))))

    def _rectified(self, pieces: Pieces, x: Tensor) -> Tensor:
        """A few earlier pixels and the rectified new ones, in a row."""
        before = [piece for _, piece in pieces]
        found = self._empty(x.shape[:2], [*before, x])
        rest = self._copy(found, before)
        torch.clamp_min(x, 0, out=rest)
        return found

    def _gathered(self, index: int, span: Span, part: list[slice]) -> Tensor:
        """A part of a layer, in memory by itself unless it lies in a row already."""
        joined = self._graph.nodes[index]
        if joined.op != "concat":
            layers = [self._pieces(index, span, part)]
        else:
            cuts = zip(joined.inputs, self._window(index).cuts, strict=True)
            layers = [self._pieces(i, span, self._across(cut)) for i, cut in cuts]
        if len(layers) == 1 and len(layers[0]) == 1:
            return self._dense(layers[0][0])
        channels = [pieces[0].shape[1] for pieces in layers]
        found = self._empty((layers[0][0].shape[0], sum(channels)), layers[0])
        first = 0
        for pieces, count in zip(layers, channels, strict=True):
            self._copy(found.narrow(1, first, count), pieces)
            first += count
        return found

    def _pieces(self, index: int, span: Span, part: list[slice]) -> list[Tensor]:
        """What is held of a layer between two pixels."""
        found = []
        for start, piece in self._values[index]:
            stop = start + piece.shape[2 + self._axis]
            if start < span[1] and stop > span[0]:
                part[self._axis] = slice(max(0, span[0] - start), min(stop, span[1]) - start)
                found.append(part_of(piece, [slice(*each.indices(n)[:2]) for each, n in _sized(part, piece)]))
        return found

    def _trim(self, index: int, first: int) -> None:
        """Forget what is not needed any more."""
        pieces = dict(self._values.get(index, []))
        axis = 2 + self._axis
        spans = [(start, start + piece.shape[axis]) for start, piece in pieces.items()]
        kept: Pieces = []
        for start, stop in trimmed(spans, first):
            piece = pieces.get(start)
            if piece is None:
                piece = self._own(pieces[max(a for a in pieces if a < start)], stop - start)
            kept.append((start, piece))
        self._values[index] = kept

    def _own(self, piece: Tensor, count: int) -> Tensor:
        """The last pixels of a piece, without the memory of the others."""
        last = piece.narrow(2 + self._axis, piece.shape[2 + self._axis] - count, count)
        return last.clone(memory_format=LAYOUT[self._graph.ndim])

    def _output(self) -> Tensor:
        """What was made of the output."""
        index = self._graph.outputs[0]
        ((_, made),) = self._values.pop(index)
        spans = zip(self._keep, self._window(index).spans, strict=True)
        inside = self._across([slice(part.start - a, part.stop - a) for part, (a, _) in spans])
        return made[(slice(None), slice(None), *inside)]

    def _window(self, index: int) -> Window:
        return cast("Window", self._plan.windows[index])

    def _across(self, part: Sequence[slice]) -> list[slice]:
        """A part along the other axes, all along this one."""
        return [slice(None) if axis == self._axis else piece for axis, piece in enumerate(part)]

    def _dense(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=LAYOUT[self._graph.ndim])

    def _empty(self, first: Sequence[int], pieces: Sequence[Tensor]) -> Tensor:
        """Room for pieces in a row."""
        spatial = list(pieces[0].shape[2:])
        spatial[self._axis] = sum(piece.shape[2 + self._axis] for piece in pieces)
        like = pieces[0]
        layout = LAYOUT[self._graph.ndim]
        return torch.empty((*first, *spatial), dtype=like.dtype, device=like.device, memory_format=layout)

    def _copy(self, target: Tensor, pieces: Sequence[Tensor]) -> Tensor:
        """Put pieces in a row; the room that is left behind them."""
        place, axis = 0, 2 + self._axis
        for piece in pieces:
            target.narrow(axis, place, piece.shape[axis]).copy_(piece)
            place += piece.shape[axis]
        return target.narrow(axis, place, target.shape[axis] - place)


def _lost(node: Node, axis: int) -> int:
    """Pixels by which what is made of an input begins before the first pixel over it."""
    return node.pad[axis] if node.op == "transpose" else 0


def _sized(part: Sequence[slice], x: Tensor) -> Iterator[tuple[slice, int]]:
    return zip(part, x.shape[2:], strict=True)
