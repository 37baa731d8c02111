"""Synthetic label images: blobs, tissues of touching cells, branched cells, rods and filaments, at any scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

Labels = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

#: Sizes of objects, pixels; drawn evenly in the logarithm.
SMALLEST, LARGEST = 7.0, 90.0


def random_labels(rng: np.random.Generator, size: int) -> Labels:
    """Draw a label image.

    Parameters
    ----------
    rng : Generator
        Source of all choices.
    size : int
        Edge in pixels.

    Returns
    -------
    ndarray of int32, shape (size, size)
        0 = background, 1.. = objects; neighbours may touch.
    """
    diameter = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
    kinds: tuple[Callable[..., Labels], ...] = (_blobs, _blobs, _tissue, _tissue, _unequal_tissue, _branched, _threads)
    return kinds[rng.integers(len(kinds))](rng, size, diameter)


def smooth_noise(rng: np.random.Generator, size: int, sigma: float) -> Floats:
    """Periodic noise of unit standard deviation, smooth over `sigma` pixels; coarse noise is made on a coarse grid."""
    step = max(int(sigma / 3), 1)
    small = rng.standard_normal((-(-size // step) + 1,) * 2, dtype=np.float32)
    small = ndimage.gaussian_filter(small, sigma / step, mode="wrap")
    noise = ndimage.zoom(small, step, order=1)[:size, :size] if step > 1 else small[:size, :size]
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def _points(rng: np.random.Generator, size: int, sigma: float, amount: float) -> npt.NDArray[np.float64]:
    """Pixel positions ``(size, size, 2)``, bent by smooth displacements."""
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1).astype(float)
    bend = np.stack([smooth_noise(rng, size, sigma) for _ in range(2)], -1)
    return np.asarray(grid + amount * bend, float)


def _scattered(rng: np.random.Generator, size: int, margin: float, spacing: float) -> npt.NDArray[np.float64]:
    """Even positions ``(count, 2)`` up to `margin` outside the image, one in a square of `spacing`."""
    count = max(int((size + 2 * margin) ** 2 / spacing**2), 2)
    return rng.uniform(-margin, size + margin, (count, 2))


def _sites(rng: np.random.Generator, size: int, diameter: float) -> npt.NDArray[np.float64]:
    """Centres, some of them in clumps, up to one diameter outside the image."""
    sites = _scattered(rng, size, diameter, diameter)
    count = len(sites)
    clumped = rng.random(count) < rng.uniform(0, 0.7)
    parents = sites[rng.integers(count, size=count)]
    beside = parents + rng.normal(0, 0.7 * diameter, (count, 2))
    return np.asarray(np.where(clumped[:, None], beside, sites), float)


def _tissue(rng: np.random.Generator, size: int, diameter: float) -> Labels:
    """Cells that fill the plane, or almost: nearest centre, perhaps with gaps between and cells missing."""
    sites = _scattered(rng, size, diameter, diameter)
    points = _points(rng, size, 0.3 * diameter, 0.1 * diameter)
    distance, index = cKDTree(sites).query(points.reshape(-1, 2), k=2)
    labels = (index[:, 0] + 1).reshape(size, size)
    if rng.random() < 0.5:
        gap = rng.uniform(0.5, 0.15 * diameter + 1)
        labels[(distance[:, 1] - distance[:, 0]).reshape(size, size) < gap] = 0
    if rng.random() < 0.5:
        labels[np.isin(labels, 1 + np.flatnonzero(rng.random(len(sites)) < rng.uniform(0, 0.6)))] = 0
    return np.asarray(labels, np.int32)


def _unequal_tissue(rng: np.random.Generator, size: int, diameter: float) -> Labels:
    """Cells of very unequal size and form that fill the plane, as in nervous tissue, with gaps as wide as membranes."""
    sites = _scattered(rng, size, diameter, max(0.35 * diameter, 5.0))
    cells = _scattered(rng, size, diameter, diameter)
    reach = diameter * rng.lognormal(0, 0.5, len(cells))
    near = np.linalg.norm(sites[:, None] - cells[None], axis=-1) - 0.5 * reach
    owners = np.where(near.min(1) < 0.2 * diameter, near.argmin(1), len(cells) + np.arange(len(sites)))
    points = _points(rng, size, 0.25 * diameter, 0.08 * diameter)
    _, labels = np.unique(owners[cKDTree(sites).query(points.reshape(-1, 2), k=1)[1]], return_inverse=True)
    labels = labels.reshape(size, size).astype(np.int32) + 1
    smooth = ndimage.median_filter(labels, 2 * int(rng.integers(1, 3)) + 1)
    edge = ndimage.maximum_filter(smooth, 3) != ndimage.minimum_filter(smooth, 3)
    gap = rng.uniform(0.5, 3.0)
    return np.where(ndimage.distance_transform_edt(~edge) < gap, 0, smooth).astype(np.int32)


def _branched(rng: np.random.Generator, size: int, diameter: float) -> Labels:
    """Cells that crawl: a body, often long, and arms that grow thin."""
    labels = np.zeros((size, size), np.int32)
    points = _points(rng, size, 0.3 * diameter, 0.1 * diameter)
    count = int(rng.integers(1, 3 + int(0.6 * (size / diameter) ** 2)))
    for number, site in enumerate(rng.uniform(-0.3 * diameter, size + 0.3 * diameter, (min(count, 24), 2)), 1):
        radius = 0.25 * diameter * rng.uniform(0.6, 1.2)
        inside, offset = np.zeros((size, size), bool), points - site
        first = rng.uniform(0, 2 * np.pi)
        for arm in range(int(rng.integers(2, 5))):
            angle = first + np.pi * arm + rng.normal(0, 0.5)
            length = diameter * rng.uniform(0.4, 1.6)
            direction = np.array([np.sin(angle), np.cos(angle)])
            along = np.clip(offset @ direction, 0, length)
            away = np.linalg.norm(offset - along[..., None] * direction, axis=-1)
            inside |= away < np.maximum(radius * (1 - along / length) ** rng.uniform(0.7, 2), 1.0)
        labels[inside & (labels == 0)] = number
    return labels


def _blobs(rng: np.random.Generator, size: int, diameter: float) -> Labels:
    """Roundish objects of unequal size and stretch; where two meet they share a border."""
    sites = _sites(rng, size, diameter)
    sites = sites[rng.random(len(sites)) < rng.uniform(0.1, 0.7)]
    if not len(sites):
        return np.zeros((size, size), np.int32)
    angle = rng.uniform(0, np.pi)
    stretch = rng.uniform(1, 2.2) ** 0.5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * [[stretch], [1 / stretch]]
    points = _points(rng, size, 0.35 * diameter, rng.uniform(0.02, 0.12) * diameter)
    distance, index = cKDTree(sites @ turn.T).query(points.reshape(-1, 2) @ turn.T, k=1)
    radii = 0.5 * diameter * rng.uniform(0.6, 1.2, len(sites))
    inside = (distance < radii[index]).reshape(size, size)
    return np.where(inside, index.reshape(size, size) + 1, 0).astype(np.int32)


def _threads(rng: np.random.Generator, size: int, diameter: float) -> Labels:
    """Rods and filaments: walks that turn slowly, drawn with a thickness."""
    nearest = np.full((size, size), np.inf)
    labels = np.zeros((size, size), np.int32)
    thickness = rng.uniform(1.5, max(0.3 * diameter, 2))
    length = rng.uniform(1, 8) * diameter
    for number in range(1, int(rng.integers(3, 14)) + 1):
        line = np.ones((size, size), bool)
        steps = int(2 * length) + 2
        angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.25 / diameter**0.5, steps))
        walk = rng.uniform(0, size, 2) + np.cumsum(0.5 * np.stack([np.sin(angles), np.cos(angles)], 1), 0)
        walk = walk[((walk >= 0) & (walk < size)).all(1)].astype(int)
        if not len(walk):
            continue
        line[tuple(walk.T)] = False
        distance = ndimage.distance_transform_edt(line)
        closer = (distance < thickness) & (distance < nearest)
        nearest[closer] = distance[closer]
        labels[closer] = number
    return labels
