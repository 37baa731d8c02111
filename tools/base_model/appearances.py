"""How a microscope might show a label image: fluorescence, phase contrast, membranes, organelles, texture, dirt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from tools.base_model.shapes import Floats, Labels, smooth_noise


def render(rng: np.random.Generator, labels: Labels) -> Floats:
    """Draw an appearance of objects; the sign of the contrast is drawn too.

    Parameters
    ----------
    rng : Generator
        Source of all choices.
    labels : ndarray of int32, shape (Y, X)
        0 = background, 1.. = objects.

    Returns
    -------
    ndarray of float32, shape (Y, X)
        Intensities of no particular range.
    """
    kind = rng.random()
    if kind < 0.2:
        image = _phase(rng, labels)
    elif kind < 0.5 and _fills(labels):
        return _electron(rng, labels)
    else:
        image = _interior(rng, labels)
        if rng.random() < 0.55:
            image += _outline(rng, labels)
        if rng.random() < 0.3:
            image += _halo(rng, labels)
    if rng.random() < 0.4:
        image += _organelles(rng, labels)
    image += _dirt(rng, labels.shape[0])
    image = ndimage.gaussian_filter(image, min(np.exp(rng.uniform(np.log(0.4), np.log(2.5))), _finest(labels)))
    image = _light(rng, image)
    image = _noise(rng, image)
    return np.asarray(-image if rng.random() < 0.5 else image, np.float32)


def _fills(labels: Labels) -> bool:
    """Whether cells fill nearly all of the plane."""
    return bool(np.mean(labels > 0) > 0.5) and len(np.unique(labels)) > 2


def _electron(rng: np.random.Generator, labels: Labels) -> Floats:
    """Electron microscopy: cells of one brightness, stained membranes, and within cells much that is stained too."""
    size = labels.shape[0]
    stain = _membranes(rng, labels) + np.abs(_organelles(rng, labels)) * rng.uniform(0.5, 1.3)
    if rng.random() < 0.7:
        stain += _mitochondria(rng, labels)
    grain = rng.uniform(0.05, 0.25) * smooth_noise(rng, size, rng.uniform(0.7, 2)) * (labels > 0)
    image = 1 - np.clip(stain, 0, 1.4) + grain + rng.uniform(0, 0.12) * smooth_noise(rng, size, rng.uniform(3, 8))
    if rng.random() < 0.5:  # cells differ a little
        image += rng.normal(0, 0.08, int(labels.max()) + 1)[labels]
    image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.0))
    image = _noise(rng, _light(rng, image) if rng.random() < 0.3 else image)
    return np.asarray(-image if rng.random() < 0.3 else image, np.float32)


def _membranes(rng: np.random.Generator, labels: Labels) -> Floats:
    """Stain where cells meet, as wide as the gap between them, fainter where the cut is oblique."""
    edge = borders(labels) | (labels == 0)
    line = ndimage.gaussian_filter(edge.astype(np.float32), rng.uniform(0.4, 1.2))
    strength = np.clip(1 + rng.uniform(0, 0.5) * smooth_noise(rng, labels.shape[0], rng.uniform(4, 15)), 0.15, 1.6)
    return np.asarray(rng.uniform(0.5, 1.0) * line * strength, np.float32)


def _mitochondria(rng: np.random.Generator, labels: Labels) -> Floats:
    """Few large dark bodies with a darker rim and folds within, inside of cells."""
    size = labels.shape[0]
    body = smooth_noise(rng, size, rng.uniform(4, 12)) > rng.uniform(1.0, 2.0)
    body &= ndimage.distance_transform_edt((labels > 0) & ~borders(labels)) > rng.uniform(2, 5)
    rim = body & ~ndimage.binary_erosion(body, iterations=2)
    folds = 1 + 0.5 * smooth_noise(rng, size, 1.2)
    return np.asarray(rng.uniform(0.2, 0.6) * body * folds + rng.uniform(0.1, 0.5) * rim, np.float32)


def _finest(labels: Labels) -> float:
    """Blur that objects of this size survive, pixels."""
    count = len(np.unique(labels))
    return 0.1 * float(np.sqrt(labels.size / max(count, 1)))


def _interior(rng: np.random.Generator, labels: Labels) -> Floats:
    """Brightness of each object, its dome, and grain within and without."""
    size, count = labels.shape[0], int(labels.max()) + 1
    contrast = 0.0 if rng.random() < 0.2 else rng.uniform(0.2, 1.0)
    level = contrast * np.clip(rng.lognormal(0, rng.uniform(0, 0.5), count), 0.2, 3)
    level[0] = 0
    image = level[labels].astype(np.float32)
    if rng.random() < 0.5:
        image *= 1 - rng.uniform(0, 0.7) * (1 - depth(labels))
    inside = labels > 0
    for part, strength in ((inside, 0.4), (~inside, 0.3)):
        if rng.random() < 0.7:
            sigma = np.exp(rng.uniform(np.log(0.7), np.log(6)))
            image += part * rng.uniform(0, strength) * smooth_noise(rng, size, sigma)
    return image


def depth(labels: Labels) -> Floats:
    """How deep a pixel lies in its object: 0 outside, rising from the border to 1 in the middle.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        0 = background, 1.. = objects.

    Returns
    -------
    ndarray of float32, shape (Y, X)
    """
    distance = ndimage.distance_transform_edt(np.pad(~borders(labels) & (labels > 0), 1, mode="edge"))[1:-1, 1:-1]
    count = int(labels.max())
    if count == 0:
        return np.zeros(labels.shape, np.float32)
    top = np.ones(count + 1)
    top[1:] = np.maximum(ndimage.maximum(distance, labels, np.arange(1, count + 1)), 1)
    return np.asarray(np.where(labels > 0, distance / top[labels], 0), np.float32)


def borders(labels: Labels) -> npt.NDArray[np.bool_]:
    """Pixels of objects that have another label among their eight neighbours."""
    low = ndimage.minimum_filter(labels, 3, mode="nearest")
    high = ndimage.maximum_filter(labels, 3, mode="nearest")
    return np.asarray((low != high) & (labels > 0))


def contacts(labels: Labels) -> npt.NDArray[np.bool_]:
    """Pixels within two pixels of two different objects."""
    high = ndimage.maximum_filter(labels, 5, mode="nearest")
    low = ndimage.minimum_filter(np.where(labels > 0, labels, np.iinfo(np.int32).max), 5, mode="nearest")
    return np.asarray((high > 0) & (low != high) & (low != np.iinfo(np.int32).max))


def _outline(rng: np.random.Generator, labels: Labels) -> Floats:
    """Membranes: bright or dark lines where labels change, of unequal strength along their way."""
    edge = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    width = np.exp(rng.uniform(np.log(0.5), np.log(2.5)))
    line = ndimage.gaussian_filter(edge.astype(np.float32), width) * width * 1.5
    strength = np.clip(1 + 0.4 * smooth_noise(rng, labels.shape[0], 12), 0, None)
    return np.asarray(rng.choice([-1, 1]) * rng.uniform(0.3, 1.2) * line * strength, np.float32)


def _halo(rng: np.random.Generator, labels: Labels) -> Floats:
    """Phase contrast: light around an object, shade within; or relief: light on one side and shade on the other."""
    mask = (labels > 0).astype(np.float32)
    wide = ndimage.gaussian_filter(mask, rng.uniform(2, 10))
    if rng.random() < 0.5:
        return np.asarray(rng.uniform(0.5, 2) * (wide - mask) * (wide > 0.02), np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    dy, dx = np.gradient(ndimage.gaussian_filter(mask, rng.uniform(0.7, 2)))
    return np.asarray(rng.uniform(1, 4) * (np.sin(angle) * dy + np.cos(angle) * dx), np.float32)


def _phase(rng: np.random.Generator, labels: Labels) -> Floats:
    """Phase contrast: what is thicker than its surroundings is dark, with a bright halo, whatever its inside."""
    size = labels.shape[0]
    thickness = depth(labels) ** rng.uniform(0.3, 1.0) * (1 + 0.3 * smooth_noise(rng, size, rng.uniform(1, 5)))
    thickness *= np.clip(rng.lognormal(0, 0.3, int(labels.max()) + 1), 0.3, 3)[labels]
    edge = ndimage.gaussian_filter(borders(labels).astype(np.float32), rng.uniform(0.5, 1.5))
    thickness = thickness + rng.uniform(0, 1.0) * edge
    wide = ndimage.gaussian_filter(thickness, np.exp(rng.uniform(np.log(2), np.log(12))))
    return np.asarray(rng.uniform(0.8, 2) * (wide - thickness), np.float32)


def _organelles(rng: np.random.Generator, labels: Labels) -> Floats:
    """Granules, vesicles and larger bodies within objects: edges that are nobody's border."""
    size = labels.shape[0]
    found = np.zeros((size, size), np.float32)
    places = np.argwhere((labels > 0) & (depth(labels) > 0.25))
    if not len(places):
        return found
    largest = 0.35 * float(np.sqrt((labels > 0).sum() / max(len(np.unique(labels)) - 1, 1)))
    sign, ring = rng.choice([-1, 1]), rng.random() < 0.5
    for place in places[rng.integers(len(places), size=int(rng.integers(3, 60)))]:
        radius = float(np.exp(rng.uniform(np.log(0.8), np.log(max(largest * rng.uniform(0.3, 1), 1.0)))))
        reach = int(2 * radius) + 3
        low, high = np.maximum(place - reach, 0), np.minimum(place + reach + 1, size)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        y, x = np.mgrid[box] - place[:, None, None]
        angle, stretch = rng.uniform(0, np.pi), rng.uniform(1, 1.8)
        along, across = np.sin(angle) * y + np.cos(angle) * x, np.cos(angle) * y - np.sin(angle) * x
        away = np.sqrt((along / stretch) ** 2 + (across * stretch) ** 2)
        body = 1 / (1 + np.exp(np.clip(2 * (away - radius), -20, 20)))
        shape = np.exp(-(((away - radius) / 0.8) ** 2)) + 0.3 * body if ring and radius > 2 else body
        own = labels[box] == labels[tuple(place)]
        found[box] += own * sign * rng.uniform(0.2, 0.9) * shape
    if rng.random() < 0.5:
        found *= 1 + 0.4 * smooth_noise(rng, size, 1.5)
    return found


def _dirt(rng: np.random.Generator, size: int) -> Floats:
    """Specks that are no objects."""
    dirt = np.zeros((size, size), np.float32)
    if rng.random() < 0.4:
        count = int(rng.integers(1, 12))
        dirt[tuple(rng.integers(size, size=(2, count)))] = rng.uniform(-1, 1, count) * rng.uniform(5, 25)
        dirt = ndimage.gaussian_filter(dirt, rng.uniform(0.7, 2))
    return dirt


def _light(rng: np.random.Generator, image: Floats) -> Floats:
    """Uneven light, and haze from out of focus."""
    size = image.shape[0]
    if rng.random() < 0.5:
        image = image * np.clip(1 + rng.uniform(0, 0.4) * smooth_noise(rng, size, size / 3), 0.2, None)
    if rng.random() < 0.5:
        image = image + rng.uniform(0, 0.4) * smooth_noise(rng, size, size / 4)
    if rng.random() < 0.3:
        image = image + rng.uniform(0, 0.6) * ndimage.gaussian_filter(image, rng.uniform(5, 20))
    return np.asarray(image, np.float32)


def _noise(rng: np.random.Generator, image: Floats) -> Floats:
    """Noise of the camera, now and then of photons or of neighbouring pixels together."""
    low, high = float(image.min()), float(image.max())
    span = max(high - low, 1e-3)
    if rng.random() < 0.3:
        peak = np.exp(rng.uniform(np.log(8), np.log(300)))
        image = rng.poisson((image - low) / span * peak) / peak * span + low
    sigma = span * rng.uniform(0, 0.12) ** 1.2
    if rng.random() < 0.3:
        return np.asarray(image + sigma * smooth_noise(rng, image.shape[0], rng.uniform(0.5, 1.2)), np.float32)
    return np.asarray(image + rng.normal(0, sigma, image.shape), np.float32)
