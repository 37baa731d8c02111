"""Batches of tiles through the network; what does not fit in memory is cut smaller, with the same result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from napari_unet.errors import PredictionError
from napari_unet.networks.geometry import Geometry
from napari_unet.networks.module import Network
from napari_unet.networks.snapshot import Snapshot
from napari_unet.prediction.reader import Batch, TileReader, inner
from napari_unet.prediction.tiling import Tile, plan_tiles

Convert = Callable[[Tensor], npt.NDArray[Any]]
#: Input ``(N, C, *spatial)`` and the wanted part of the output to the logits of that part.
Form = Callable[[Tensor, tuple[slice, ...]], Tensor]
Found = TypeVar("Found")
#: An edge that is not halved any more.
SMALLEST = 16
_FORMAT = {4: torch.channels_last, 5: torch.channels_last_3d}


class Solver:
    """Runs a network on batches, and remembers how much was too much for the memory.

    Parameters
    ----------
    geometry : Geometry
        Of the network.
    device : torch.device
        Where it computes.
    """

    def __init__(self, geometry: Geometry, device: torch.device) -> None:
        self.geometry = geometry
        self.device = device
        self._too_many = inf

    def solve(self, form: Form, reader: TileReader, batch: Batch, convert: Convert) -> list[npt.NDArray[Any]]:
        """What `convert` makes of the logits ``(K, *tile)`` of each tile of a batch.

        Parameters
        ----------
        form : callable
            The network, see `form_of`.
        reader : TileReader
            Reads what has to be cut smaller.
        batch : Batch
            Tiles of one size.
        convert : callable
            Logits to a result.

        Raises
        ------
        PredictionError
            When a single small tile does not fit in memory.
        """
        found = self._attempt(form, batch, convert) if batch.pixels.size < self._too_many else None
        if found is not None:
            return found
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return [self._one(form, reader, batch, i, convert) for i in range(len(batch.places))]

    def _attempt(self, form: Form, batch: Batch, convert: Convert) -> list[npt.NDArray[Any]] | None:
        """All tiles at once; None when they do not fit in memory."""
        found = unless_memory(lambda: [convert(logits) for logits in self._forward(form, batch)])
        if found is None:
            self._too_many = batch.pixels.size
        return found

    def _forward(self, form: Form, batch: Batch) -> Iterator[Tensor]:
        """Logits of each tile; the network is asked for what all tiles need."""
        crops = [tile.crop for _, tile in batch.places]
        keep = tuple(
            slice(min(p.start for p in parts), max(p.stop for p in parts)) for parts in zip(*crops, strict=True)
        )
        with torch.inference_mode():
            x = torch.from_numpy(batch.pixels).to(self.device)
            logits = form(x.contiguous(memory_format=_FORMAT[x.ndim]), keep)
            for y, crop in zip(logits, crops, strict=True):
                yield y[(slice(None), *inner(crop, [part.start for part in keep]))]

    def _one(self, form: Form, reader: TileReader, batch: Batch, i: int, convert: Convert) -> npt.NDArray[Any]:
        """One tile of a batch by itself, or in pieces where it was alone already."""
        lead, tile = batch.places[i]
        if len(batch.places) > 1:
            return self.solve(form, reader, Batch([(lead, tile)], batch.pixels[i : i + 1]), convert)[0]
        return self.in_pieces(form, reader, lead, tile, convert)

    def in_pieces(
        self, form: Form, reader: TileReader, lead: tuple[int, ...], tile: Tile, convert: Convert
    ) -> npt.NDArray[Any]:
        """Result of a tile, from tiles of half its edge."""
        edge = max(tile.shape) // 2
        if edge < SMALLEST:
            raise PredictionError("free some memory or take a smaller network: not even a small tile fits in memory")
        whole: npt.NDArray[Any] | None = None
        for piece in plan_tiles(reader.source.spatial, edge, self.geometry, box=tile.write):
            data = self.solve(form, reader, reader([(lead, piece)]), convert)[0]
            if whole is None:
                whole = np.empty(data.shape[: data.ndim - len(tile.shape)] + tile.shape, data.dtype)
            where: tuple[Any, ...] = (..., *inner(piece.write, [part.start for part in tile.write]))
            whole[where] = data
        assert whole is not None  # a tile is never empty
        return whole


def form_of(network: nn.Module, geometry: Geometry) -> Form:
    """A network as it is now, in the form that costs least.

    One of the family is fused and computes no more than each part of its output needs. What looks at whole images, or
    is not made by `build_network`, is used as it is.
    """
    if isinstance(network, Network) and geometry.exact:
        return Snapshot(network)

    def whole(x: Tensor, keep: tuple[slice, ...]) -> Tensor:
        with evaluating(network):
            logits: Tensor = network(x)
        return logits[(slice(None), slice(None), *keep)]

    return whole


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Inference behaviour of all modules, and afterwards what each of them was in."""
    learning = [module for module in network.modules() if module.training]
    for module in learning:
        module.training = False
    try:
        yield
    finally:
        for module in learning:
            module.training = True


def unless_memory(compute: Callable[[], Found]) -> Found | None:
    """What `compute` returns; None where the memory was not enough for it."""
    try:
        return compute()
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        # Torch reports a full GPU with a class of its own, a full CPU with a sentence.
        told = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "DefaultCPUAllocator" in str(error)
        if not told:
            raise
    return None
