"""Intensities to network input: percentiles per image and channel, found once over the whole image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.config import NormalizationConfig
from napari_unet.data.source import ImageSource
from napari_unet.errors import ImageError

#: Normalised values beyond these are clipped: one hot pixel must not drown a batch.
LIMITS = (-8.0, 32.0)
#: Edge of the blocks a large image is sampled in, along Z, Y and X: whole blocks suit chunked files.
SAMPLE_BLOCK = (8, 128, 128)
SEED = 0
#: Pixels that an image is known by.
FINGERPRINT_SAMPLES = 2**20


@dataclass(frozen=True, slots=True)
class Normalizer:
    """The linear map of one image: `low` becomes 0 and `high` becomes 1, channel by channel.

    Attributes
    ----------
    low, high : tuple of float
        One value per channel. Where both are equal the channel is constant and becomes 0.
    nonfinite : int
        Pixels seen that are NaN or infinite; they become 0.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    nonfinite: int = 0

    def __call__(self, block: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Normalise a block.

        Parameters
        ----------
        block : ndarray
            Pixels of any real type and byte order, shape ``(C, *spatial)``.

        Returns
        -------
        ndarray
            float32 of the same shape, C-contiguous, finite.
        """
        values = np.array(block, dtype=_working_type(block.dtype), order="C")
        column = (-1,) + (1,) * (values.ndim - 1)
        low = np.asarray(self.low, values.dtype).reshape(column)
        scale = np.asarray([_inverse(a, b) for a, b in zip(self.low, self.high, strict=True)], values.dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            values -= low
            values *= scale.reshape(column)
        if block.dtype.kind == "f":
            values[~np.isfinite(block)] = 0
        return np.clip(values, *LIMITS, out=values).astype(np.float32, copy=False)


def fit_normalizer(source: ImageSource, config: NormalizationConfig | None = None) -> Normalizer:
    """Find the percentiles of an image.

    Every pixel is looked at up to ``config.max_samples`` per channel; a larger image is sampled in blocks whose places
    depend on its shape alone, so that the answer is the same everywhere.

    Parameters
    ----------
    source : ImageSource
        The image.
    config : NormalizationConfig, optional
        Which percentiles.

    Returns
    -------
    Normalizer

    Raises
    ------
    ImageError
        When the image has no finite pixel, or is not made of real numbers.

    Examples
    --------
    >>> image = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    >>> fit_normalizer(ImageSource(image, "YX", ndim=2), NormalizationConfig(low=0, high=100)).high
    (9999.0,)
    """
    config = config or NormalizationConfig()
    if np.dtype(source.array.dtype).kind not in "buif":
        raise ImageError(f"convert the image to real numbers first; its type is {source.array.dtype}")
    samples = np.concatenate([_flat(block) for block in _sample(source, config.max_samples)], axis=1)
    finite = np.isfinite(samples)
    if not finite.any():
        raise ImageError("choose another image: this one has no finite pixel")
    ranges = [_range(row[mask], config) for row, mask in zip(samples, finite, strict=True)]
    lows, highs = zip(*ranges, strict=True)
    return Normalizer(tuple(lows), tuple(highs), int(finite.size - finite.sum()))


def fingerprint(source: ImageSource) -> str:
    """A hash by which an image is known again: its type, its axes, and a sample of its pixels.

    Examples
    --------
    >>> source = ImageSource(np.zeros((8, 8)), "YX", ndim=2)
    >>> fingerprint(source) == fingerprint(ImageSource(np.ones((8, 8)), "YX", ndim=2))
    False
    """
    shape = tuple(int(size) for size in source.array.shape)
    digest = sha256(repr((source.axes, shape, np.dtype(source.array.dtype).str, source.chosen)).encode())
    for block in _sample(source, FINGERPRINT_SAMPLES):
        digest.update(np.ascontiguousarray(block).tobytes())
    return digest.hexdigest()


def _sample(source: ImageSource, limit: int) -> Iterator[npt.NDArray[Any]]:
    """The whole image plane by plane, or blocks of it at seeded places."""
    if np.prod(source.spatial) * np.prod(source.lead) <= limit:
        whole = [slice(0, size) for size in source.spatial]
        yield from (source.read(lead, whole) for lead in source.planes())
        return
    shape = [min(a, b) for a, b in zip(SAMPLE_BLOCK[-source.ndim :], source.spatial, strict=True)]
    rng = np.random.default_rng(SEED)
    for _ in range(max(1, limit // int(np.prod(shape)))):
        lead = [int(rng.integers(size)) for size in source.lead]
        starts = [int(rng.integers(size - edge + 1)) for size, edge in zip(source.spatial, shape, strict=True)]
        yield source.read(lead, [slice(a, a + edge) for a, edge in zip(starts, shape, strict=True)])


def _flat(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Shape (C, pixels), native byte order; half precision and bool widened."""
    kept = block.dtype.kind in "ui" or block.dtype.itemsize >= 4
    dtype = block.dtype.newbyteorder("=") if kept and block.dtype.kind != "b" else np.dtype(np.float32)
    return np.asarray(block, dtype).reshape(block.shape[0], -1)


def _range(values: npt.NDArray[Any], config: NormalizationConfig) -> tuple[float, float]:
    """Low and high of one channel; of mostly empty channels the extremes; of constant or empty ones twice the same."""
    if values.size == 0:
        return 0.0, 0.0
    low, high = (float(v) for v in np.percentile(values, (config.low, config.high)))
    return (low, high) if high > low else (float(values.min()), float(values.max()))


def _inverse(low: float, high: float) -> float:
    """One over the range, 0 for a constant channel."""
    span = high - low
    return 1.0 / span if np.isfinite(span) and span > 0 else 0.0


def _working_type(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """float32 where it holds every value exactly, else float64."""
    small = dtype.itemsize <= 2 or (dtype.kind == "f" and dtype.itemsize == 4)
    return np.float32 if small else np.float64
