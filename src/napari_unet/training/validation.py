"""Trying a network on strokes it has not learnt from: class scores, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.data.annotations import IGNORE, class_count, class_names
from napari_unet.data.sampler import Example
from napari_unet.events import Score
from napari_unet.networks.geometry import Geometry, geometry
from napari_unet.training.holdout import Trial

Table = npt.NDArray[np.int64]
#: Pixels that the network sees around what it is asked for, at most.
CONTEXT = 96
#: Fewer areas than this allow no interval, and so no score.
FEWEST_AREAS = 3
#: Areas looked at, at most; samples of the bootstrap.
MOST_AREAS = 64
SAMPLES = 1000


class Judge:
    """Compares predictions with trials.

    Parameters
    ----------
    model : ModelConfig
        The network.
    """

    def __init__(self, model: ModelConfig) -> None:
        self._model = model
        self._grid = geometry(model)
        self._names = class_names(model)

    def confusion(self, network: nn.Module, examples: Mapping[str, Example], trial: Trial) -> Table:
        """Pixels by true (rows) and predicted class; the network sees the image around them."""
        found = self._predict(network, examples[trial.key], trial)
        asked = trial.targets != IGNORE
        count = class_count(self._model)
        pairs = trial.targets[asked].astype(np.int64) * count + found[asked]
        return np.bincount(pairs, minlength=count**2).reshape(count, count)

    def pixels(self, trials: Iterable[Trial]) -> int:
        """Pixels that go through the network for `trials`."""
        return sum(prod(b - a for a, b in self._region(trial)) for trial in trials)

    def scores(self, tables: Sequence[Table]) -> tuple[Score | None, dict[str, Score]]:
        """Mean IoU of the foreground classes, and IoU of each class, from one confusion per area.

        The intervals are percentiles of a bootstrap over whole areas (Efron 1979): pixels of one area are not
        independent of each other.
        """
        stack = np.stack(tables)
        if len(stack) < FEWEST_AREAS:
            return None, {}
        draws = np.random.default_rng(0).multinomial(len(stack), np.full(len(stack), 1 / len(stack)), SAMPLES)
        resampled = _iou(np.tensordot(draws, stack, axes=1))
        whole, painted = _iou(stack.sum(0)), stack.sum((0, 2))
        classes = {
            name: _score(whole[i], resampled[:, i], int(painted[i])) for i, name in enumerate(self._names) if painted[i]
        }
        front = [i for i in range(1, len(painted)) if painted[i]]
        if not front or not painted[0]:
            return None, classes
        return _score(whole[front].mean(), _mean(resampled[:, front]), int(painted.sum())), classes

    def _region(self, trial: Trial) -> list[tuple[int, int]]:
        """What the network reads: on the grid of its strides, of a legal size, with context around what is asked."""
        return [_side(self._grid, axis, a, a + n) for axis, (a, n) in enumerate(_sides(trial))]

    @torch.no_grad()
    def _predict(self, network: nn.Module, example: Example, trial: Trial) -> npt.NDArray[np.int64]:
        region = self._region(trial)
        start, stop = [a for a, _ in region], [b for _, b in region]
        block = np.ascontiguousarray(example.normalizer(example.source.read_mirrored(trial.lead, start, stop)))
        device = next(network.parameters()).device
        logits = network(torch.from_numpy(block)[None].to(device))[0]
        classes = logits.argmax(0) if len(logits) > 1 else (logits[0] > 0).long()
        margin = self._grid.margin
        at = [t - a - m for t, a, m in zip(trial.start, start, margin, strict=True)]
        inner = tuple(slice(a, a + n) for a, n in zip(at, trial.targets.shape, strict=True))
        found: npt.NDArray[np.int64] = classes[inner].cpu().numpy()
        return found


def mean_score(values: Sequence[float], pixels: int) -> Score | None:
    """Mean of values that count alike, with a bootstrap interval; None when there are fewer than three."""
    if len(values) < FEWEST_AREAS:
        return None
    rows = np.random.default_rng(0).integers(len(values), size=(SAMPLES, len(values)))
    return _score(float(np.mean(values)), np.asarray(values)[rows].mean(1), pixels)


def _sides(trial: Trial) -> list[tuple[int, int]]:
    return list(zip(trial.start, trial.targets.shape, strict=True))


def _side(grid: Geometry, axis: int, low: int, high: int) -> tuple[int, int]:
    stride, margin, residue = grid.stride[axis], grid.margin[axis], grid.residue[axis]
    context = margin or min(grid.halo[axis], CONTEXT)
    start = (low - context) // stride * stride
    size = high + context - start
    return start, start + size + (residue - size) % stride


def _iou(table: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """IoU of each class, nan where it neither occurs nor is predicted."""
    hit = np.diagonal(table, axis1=-2, axis2=-1)
    whole = table.sum(-1) + table.sum(-2) - hit
    ratios: npt.NDArray[np.float64] = np.divide(hit, whole, out=np.full(hit.shape, np.nan), where=whole > 0)
    return ratios


def _mean(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean of each row over the classes that occur in it."""
    known = ~np.isnan(rows)
    sums, counts = np.where(known, rows, 0).sum(1), known.sum(1)
    means: npt.NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(rows), np.nan), where=counts > 0)
    return means


def _score(value: float, samples: npt.NDArray[np.float64], pixels: int) -> Score:
    known = samples[~np.isnan(samples)]
    low, high = np.percentile(known, (2.5, 97.5)) if known.size else (0.0, 1.0)
    return Score(float(value), float(min(low, value)), float(max(high, value)), pixels)
