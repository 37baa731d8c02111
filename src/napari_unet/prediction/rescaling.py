"""Prediction at the pixel size of the model, with the result on the image's own grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from napari_unet.config import ModelConfig, Output, PredictConfig
from napari_unet.data.normalize import Normalizer
from napari_unet.data.rescale import apply, nearest, resampling, rescaled
from napari_unet.data.source import ImageSource
from napari_unet.events import Masked, TileDone, Warned
from napari_unet.networks.geometry import Geometry
from napari_unet.networks.inference import prune
from napari_unet.prediction.predictor import Predictor, Work
from napari_unet.prediction.reader import TileReader, inner
from napari_unet.prediction.tiling import Tile, TilePlan, plan_tiles

#: Edge of the pieces, in pixels of the model; a piece is cut into tiles again where memory is small.
EDGE = {2: 1024, 3: 128}


class RescalingPredictor(Predictor):
    """As `Predictor`, for images whose pixel size is not the model's.

    The network sees the image resampled to ``model.spacing``. Labels come back by the nearest pixel, probabilities by
    linear interpolation, and objects are made of them on the image's own grid. Any part, cut into any tiles, has the
    pixels of the whole.

    Parameters
    ----------
    network, model, device, tile, memory
        As for `Predictor`.
    spacing : sequence of float or None
        Pixel size of the images along ``ZYX`` or ``YX``, in the unit of ``model.spacing``.

    Examples
    --------
    >>> from napari_unet.config import ModelConfig
    >>> from napari_unet.networks import build_network
    >>> config = ModelConfig(width=4, depth=2, spacing=(1, 1))
    >>> predictor = RescalingPredictor(build_network(config), config, device="cpu", spacing=(0.5, 0.5))
    >>> predictor.predict(ImageSource(np.eye(33), "YX", ndim=2)).shape
    (33, 33)
    """

    def __init__(self, *args: Any, spacing: Sequence[float] | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._plain = Predictor(*args, **options)
        self._spacing = spacing

    def _other(self, source: ImageSource) -> ImageSource:
        """The image as the network sees it."""
        return rescaled(source, self._spacing, self.model.spacing)

    def settle(self, source: ImageSource, normalizer: Normalizer) -> None:
        """As for `Predictor`, for the image as the network sees it."""
        self._dtype = self._dtype or torch.float32
        self._plain.settle(self._other(source), normalizer)

    def _found_type(self, reader: TileReader, plan: TilePlan, positions: int) -> torch.dtype:
        """Pieces are predicted one by one, each a short prediction unless it was settled before."""
        same = self._other(reader.source) is reader.source
        return super()._found_type(reader, plan, positions) if same else torch.float32

    def _plan(self, source: ImageSource, box: Sequence[slice] | None, centre: Sequence[int] | None) -> TilePlan:
        """The image cut so that the pieces have about the same size for the network."""
        other = self._other(source)
        if other is source:
            return super()._plan(source, box, centre)
        edge = self._tile or EDGE[source.ndim]
        sides = [ceil(edge * n / m) for n, m in zip(source.spatial, other.spatial, strict=True)]
        ones, zeros = (1,) * source.ndim, (0,) * source.ndim
        return plan_tiles(source.spatial, sides, Geometry(ones, zeros, zeros, zeros), box=box, centre=centre)

    def _spared(self, source: ImageSource, plan: TilePlan, places: Sequence[tuple[int, ...]]) -> TilePlan:
        """Work is spared piece by piece, where they are predicted."""
        return super()._spared(source, plan, places) if self._other(source) is source else plan

    def _classes(self, work: Work, output: Output) -> Iterator[TileDone | Warned]:
        """Each piece, from its box of the resampled image."""
        source = work.reader.source
        other = self._other(source)
        if other is source:
            yield from super()._classes(work, output)
            return
        bad = 0
        for done, (lead, piece) in enumerate(work.places(), start=1):
            grid = _Grid(source.spatial, other.spatial, piece, smooth=output == "probabilities")
            data = self._predicted(other, lead, grid, output, work)
            if data is None:
                return
            bad += _nonfinite(source, lead, piece)
            yield TileDone(source.label_index(lead, piece.write), grid.back(data), done, work.total)
        if bad:
            yield Masked(f"{bad} values of the image are NaN or infinite; they were taken as 0", bad)

    def _predicted(
        self, other: ImageSource, lead: tuple[int, ...], grid: _Grid, output: Output, work: Work
    ) -> npt.NDArray[Any] | None:
        """Result of a box of the resampled image; None when a stop came first."""
        result: npt.NDArray[Any] | None = None
        shape = tuple(part.stop - part.start for part in grid.box)
        start = [part.start for part in grid.box]
        options: dict[str, Any] = {
            "normalizer": work.reader.normalizer,
            "answers": work.answers,
            "should_stop": work.should_stop,
        }
        for event in self._plain.tiles(other, output=output, leads=[lead], box=grid.box, **options):
            if not isinstance(event, TileDone) or event.data is None:
                continue
            if result is None:
                result = np.zeros(event.data.shape[: event.data.ndim - len(shape)] + shape, event.data.dtype)
            parts = [part for part in event.index if isinstance(part, slice)]
            where: tuple[Any, ...] = (..., *inner(parts, start))
            result[where] = event.data
        return None if work.should_stop() else result


def predictor_for(
    network: nn.Module,
    model: ModelConfig,
    config: PredictConfig,
    *,
    spacing: Sequence[float] | None = None,
    memory: int | None = None,
) -> Predictor:
    """The predictor that `config` asks for.

    Parameters
    ----------
    network, model
        As for `Predictor`.
    config : PredictConfig
        Device, precision, tile, memory, how objects are made, which depth of a U-Net++; with ``rescale``, images are
        brought to the model's pixel size.
    spacing : sequence of float, optional
        Pixel size of the image, where the config does not give it.
    memory : int, optional
        Bytes to work in, instead of those of the config.
    """
    if config.depth is not None:
        network, model = prune(network, model, config.depth)
    if memory is None and config.memory is not None:
        memory = int(config.memory * 2**30)
    options: dict[str, Any] = {
        "device": config.device,
        "tile": config.tile,
        "memory": memory,
        "instances": config.instances,
        "augmented": config.augmented,
        "uncertainty": config.uncertainty,
        "precision": config.precision,
    }
    if not config.rescale:
        return Predictor(network, model, **options)
    return RescalingPredictor(network, model, **options, spacing=config.spacing or spacing)


class _Grid:
    """A piece of the image, and the box of the resampled image that it is made from."""

    def __init__(self, spatial: Sequence[int], other: Sequence[int], piece: Tile, *, smooth: bool) -> None:
        self._smooth = smooth
        axes = list(zip(other, spatial, piece.write, strict=True))
        self._linear = [resampling(m, n, part) for m, n, part in axes] if smooth else []
        self._nearest = [] if smooth else [nearest(m, n, part) for m, n, part in axes]
        near = [slice(int(i[0]), int(i[-1]) + 1) for i in self._nearest]
        self.box = [needed for needed, _ in self._linear] or near

    def back(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The result of `box` on the grid of the image."""
        if self._smooth:
            return apply(data, [None, *(matrix for _, matrix in self._linear)])
        index = np.ix_(*(i - part.start for i, part in zip(self._nearest, self.box, strict=True)))
        return data[index]


def _nonfinite(source: ImageSource, lead: tuple[int, ...], piece: Tile) -> int:
    """NaN and infinite values of a piece."""
    if np.dtype(source.array.dtype).kind != "f":
        return 0
    return int(np.count_nonzero(~np.isfinite(source.read(lead, piece.write))))
