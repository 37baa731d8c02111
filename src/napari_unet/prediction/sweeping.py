"""Large tiles computed slab by slab: chosen by their work and memory, and run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_unet.config import ModelConfig
from napari_unet.data.source import ImageSource
from napari_unet.networks.estimate import FLOAT
from napari_unet.networks.geometry import Geometry
from napari_unet.networks.graph import Graph
from napari_unet.networks.inference import fused_graph
from napari_unet.networks.plan import plan as layers
from napari_unet.networks.snapshot import Snapshot
from napari_unet.networks.sweep import Sweeper
from napari_unet.networks.sweep_plan import Sweep, SweepPlan, can_sweep
from napari_unet.networks.window import Span
from napari_unet.prediction.budget import work_of_plan
from napari_unet.prediction.reader import Batch, TileReader
from napari_unet.prediction.solver import Convert, Form, Solver, unless_memory
from napari_unet.prediction.tiling import TilePlan, plan_tiles

#: Edges of a tile across the sweep, besides all of the image.
ACROSS = (512, 384, 256, 192, 128, 64)
#: Pixels of a slab to choose from; more per slab means less to copy.
STEPS = (64, 48, 32, 24, 16, 12, 8, 4)
#: A sweep is taken where it saves this part of the work of tiles.
WORTH = 0.97


def sweeps(model: ModelConfig, geometry: Geometry) -> bool:
    """Whether tiles of this network are computed slab by slab; the halo of planes costs little."""
    return model.ndim == 3 and geometry.exact and not model.encoder and can_sweep(_graph(model))


def choose_sweep(
    source: ImageSource,
    model: ModelConfig,
    geometry: Geometry,
    memory: int,
    operations: float,
    box: Sequence[slice] | None,
) -> TilePlan | None:
    """The plan that is least work, of tiles that a sweep along the last axis computes within `memory`.

    Channels-last, pixels that follow each other along the last axis are copied in the longest runs.

    Parameters
    ----------
    source, box
        What is to be predicted.
    model, geometry
        The network.
    memory : int
        Bytes to work in.
    operations : float
        A slab takes at most so many, so that stopping is prompt.

    Returns
    -------
    TilePlan or None
        None when no slab is small enough.
    """
    whole = plan_tiles(source.spatial, max(source.spatial), geometry, box=box)
    if not len(whole):
        return None
    size = tuple(part.stop - part.start for part in whole.box)
    along = len(size) - 1
    sides = product(*([n, *(edge for edge in ACROSS if edge < n)] for n in size[:along]), size[along:])
    plans = [plan_tiles(source.spatial, each, geometry, box=box) for each in sides]
    for plan in sorted(plans, key=lambda each: work_of_plan(model, each, geometry)):
        per_pixel = work_of_plan(model, plan, geometry) / (size[along] * prod(len(spans) for spans in plan.spans))
        for step in STEPS:
            sweep = Sweep(along, plan.read_shape, _largest(plan), step)
            if step * per_pixel <= operations and _peak(model, sweep) <= memory:
                return plan.swept(along, step, geometry)
    return None


def _largest(plan: TilePlan) -> tuple[slice, ...]:
    """The largest written box of a tile, in what the network makes of it."""
    found = []
    for spans, margin in zip(plan.spans, plan.margin, strict=True):
        a, b, read = max(spans, key=lambda span: span[1] - span[0])
        found.append(slice(a - read - margin, b - read - margin))
    return tuple(found)


@lru_cache(maxsize=64)
def _graph(model: ModelConfig) -> Graph:
    return fused_graph(layers(model))[0]


def _peak(model: ModelConfig, sweep: Sweep) -> int:
    """Bytes that a sweep takes."""
    keep = tuple((part.start, part.stop) for part in sweep.keep)
    return _peak_of(model, sweep.axis, sweep.size, keep, sweep.step)


@lru_cache(maxsize=1024)
def _peak_of(model: ModelConfig, axis: int, size: tuple[int, ...], keep: tuple[Span, ...], step: int) -> int:
    return FLOAT * SweepPlan(_graph(model), Sweep(axis, size, tuple(slice(*part) for part in keep), step)).peak()


class Slabs:
    """Computes the tiles of one prediction; those that are slabs go on from the slab before.

    Parameters
    ----------
    solver : Solver
        For tiles that are no slabs, and where the memory was not enough.
    """

    def __init__(self, solver: Solver) -> None:
        self._solver = solver
        self._sweeper: Sweeper | None = None

    def solve(self, form: Form, reader: TileReader, batch: Batch, convert: Convert) -> list[npt.NDArray[Any]]:
        """As `Solver.solve`."""
        lead, tile = batch.places[0]
        if tile.slab is None:
            return self._solver.solve(form, reader, batch, convert)
        if tile.slab.number == 0:
            assert isinstance(form, Snapshot)  # others are not swept
            self._sweeper = Sweeper(form, tile.slab.sweep)
        found = unless_memory(lambda: self._slab(batch.pixels, convert)) if self._sweeper is not None else None
        if found is None:
            # What the slabs before left is lost: the rest of the tile is cut into small ones.
            self._sweeper = None
            found = self._solver.in_pieces(form, reader, lead, tile, convert)
        return [found]

    def _slab(self, pixels: npt.NDArray[np.float32], convert: Convert) -> npt.NDArray[Any]:
        """The next slab."""
        assert self._sweeper is not None  # there is one as long as there was memory for it
        with torch.inference_mode():
            return convert(self._sweeper.slab(torch.from_numpy(pixels).to(self._solver.device))[0])
