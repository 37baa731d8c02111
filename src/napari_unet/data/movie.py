"""A movie that comes with the installation: synthetic cells that drift, press each other, and bleach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_unet.data.synthetic import SyntheticImage, touching_cells
from napari_unet.errors import ConfigError

_OFFSET, _READ_NOISE = 100.0, 3.0  # grey values of the camera
_REACH = 60.0  # pixels over which neighbours move alike
_MARGIN = 64  # pixels around the frame from which cells come in


def moving_cells(
    shape: Sequence[int] = (12, 256, 256), seed: int = 0, *, speed: float = 3.0, bleaching: float = 0.04
) -> SyntheticImage:
    """Draw fluorescent cells that move, as a camera would film them.

    One field of touching cells is bent a little further in each frame: neighbours move together, far cells on ways
    of their own. The light fades, and each frame has noise of its own.

    Parameters
    ----------
    shape : sequence of int
        ``(T, Y, X)``: frames, and pixels of a frame.
    seed : int
        Seed of all random choices; the same seed gives the same movie.
    speed : float
        How far a cell goes from one frame to the next, pixels (root mean square along each axis).
    bleaching : float
        Part of the light that is lost from one frame to the next; 0 to less than 1.

    Returns
    -------
    SyntheticImage
        `image` and `labels`, both uint16 of that shape; a cell has the same number in all frames.

    Raises
    ------
    ConfigError
        When the shape has not 3 axes, or a parameter is out of its range.

    Examples
    --------
    >>> movie = moving_cells((3, 64, 64), seed=1)
    >>> movie.image.shape, movie.labels.dtype
    ((3, 64, 64), dtype('uint16'))
    """
    size = tuple(int(n) for n in shape)
    _check(size, speed, bleaching)
    rng = np.random.default_rng(seed)
    still = touching_cells([edge + 2 * _MARGIN for edge in size[1:]], seed=seed, noise=0)
    light, labels = still.image - _OFFSET, still.labels
    velocity = speed * _flow(rng, size[1:])
    image, truth = np.zeros(size, np.uint16), np.zeros(size, np.uint16)
    grid = np.indices(size[1:], dtype=np.float32) + _MARGIN
    for frame in range(size[0]):
        places = grid - frame * velocity
        truth[frame] = ndimage.map_coordinates(labels, places, order=0, mode="mirror")
        seen = ndimage.map_coordinates(light, places, order=1, mode="mirror") * (1 - bleaching) ** frame
        image[frame] = _film(rng, np.clip(seen, 0, None))
    return SyntheticImage(image, truth)


def _flow(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """A smooth field of velocities, shape (2, Y, X), of root mean square 1."""
    noise = [ndimage.gaussian_filter(rng.standard_normal(shape), _REACH, mode="wrap") for _ in shape]
    field = np.stack(noise)
    return np.asarray(field / max(float(np.sqrt(np.mean(field**2))), 1e-9), dtype=np.float32)


def _film(rng: np.random.Generator, photons: npt.NDArray[np.floating]) -> npt.NDArray[np.uint16]:
    """Photon noise, read noise and offset."""
    values = rng.poisson(photons) + rng.normal(_OFFSET, _READ_NOISE, photons.shape)
    return np.asarray(np.clip(np.rint(values), 0, 65535), dtype=np.uint16)


def _check(shape: tuple[int, ...], speed: float, bleaching: float) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise ConfigError(f"give a movie 3 axes (T, Y, X) of at least one pixel each, not {shape}")
    if not 0 <= speed < np.inf:
        raise ConfigError(f"give a speed of 0 or more, not {speed}")
    if not 0 <= bleaching < 1:
        raise ConfigError(f"give a bleaching between 0 and 1, not {bleaching}")
