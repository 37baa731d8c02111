"""Microscopy images that come with the installation: synthetic touching cells, and stained tissue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_unet.errors import ConfigError

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

_OFFSET = 100.0  # camera offset, grey values
_READ_NOISE = 3.0  # grey values
_PEAK = 1500.0  # photo-electrons of a bright cell when noise is 1
_SMALLEST = 12  # pixels; what is left of a cell below this size is not drawn


@dataclass(frozen=True, slots=True)
class SyntheticImage:
    """A synthetic image and the truth about it.

    Attributes
    ----------
    image : ndarray of uint16, shape (Y, X) or (Z, Y, X)
        Grey values as a camera gives them.
    labels : ndarray of uint16, same shape
        0 = background, 1..N = cells; neighbours touch without a gap.
    """

    image: npt.NDArray[np.uint16]
    labels: npt.NDArray[np.uint16]

    @property
    def axes(self) -> str:
        """Names of the axes, ``"YX"`` or ``"ZYX"``."""
        return "ZYX"[-self.image.ndim :]


@dataclass(frozen=True, slots=True)
class _Cell:
    """An ellipsoid: centre and radii in pixels of the image plane, and the axes it is turned to."""

    centre: Points
    radii: Points
    rotation: Points

    @property
    def reach(self) -> float:
        return float(self.radii.max())


def touching_cells(
    shape: Sequence[int] = (256, 256),
    seed: int = 0,
    *,
    diameter: float = 26.0,
    density: float = 0.4,
    noise: float = 1.0,
    spacing: Sequence[float] | None = None,
) -> SyntheticImage:
    """Draw fluorescent cells in clumps, as a camera behind a microscope would see them.

    Cells are deformed ellipsoids of unequal brightness with a grainy texture; where two of them meet they share
    a border without a gap. Then come out-of-focus haze, the blur of the optics, uneven light, photon noise and
    the camera's offset and read noise.

    Parameters
    ----------
    shape : sequence of int
        ``(Y, X)`` or ``(Z, Y, X)``, pixels.
    seed : int
        Seed of all random choices; the same seed gives the same image.
    diameter : float
        Mean diameter of a cell, in pixels of the image plane.
    density : float
        Part of the image that cells cover, roughly; 0 to 0.9.
    noise : float
        Strength of the photon noise: the number of photons falls with its square; 0 for none.
    spacing : sequence of float, optional
        Pixel size along each axis relative to X; by default planes of a volume lie twice as far apart as pixels.

    Returns
    -------
    SyntheticImage
        `image` and `labels`, both uint16.

    Raises
    ------
    ConfigError
        When the shape has not 2 or 3 axes, or a parameter is out of its range.

    Examples
    --------
    >>> sample = touching_cells((64, 64), seed=1)
    >>> sample.image.shape, sample.image.dtype, bool(sample.labels.max() > 1)
    ((64, 64), dtype('uint16'), True)
    """
    size = tuple(int(n) for n in shape)
    step = _checked_spacing(size, spacing)
    _check(size, diameter, density, noise)
    rng = np.random.default_rng(seed)
    cells = list(_place(rng, size, step, diameter, density))
    labels, depth = _draw(rng, cells, size, step, diameter)
    light = _fluorescence(rng, labels, depth, step, diameter)
    photons = _illuminate(rng, _through_optics(light, step, diameter))
    return SyntheticImage(_camera(rng, photons, noise), labels)


def stained_tissue() -> npt.NDArray[np.uint8]:
    """Immunohistochemically stained colon, shape (512, 512, 3), axes ``YXC``.

    A real microscopy image (brown stain, blue nuclei; bright field) that lies inside the scikit-image package, so
    that no network is needed. It has no truth.

    Notes
    -----
    `skimage.data.immunohistochemistry`, from the Center for Microscopy And Molecular Imaging (CMMI), no known
    copyright restrictions.
    """
    from skimage import data

    image: npt.NDArray[np.uint8] = data.immunohistochemistry()  # type: ignore[no-untyped-call]
    return image


def _checked_spacing(shape: tuple[int, ...], spacing: Sequence[float] | None) -> tuple[float, ...]:
    """Pixel size of each axis, the default where none is given."""
    given = tuple(spacing) if spacing is not None else (2.0, 1.0, 1.0)[-len(shape) :]
    if len(given) != len(shape) or not all(0 < step < np.inf for step in given):
        raise ConfigError(f"give one positive pixel size for each of the {len(shape)} axes, not {given}")
    return given


def _check(shape: tuple[int, ...], diameter: float, density: float, noise: float) -> None:
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ConfigError(f"give a shape of 2 or 3 axes of at least one pixel each, not {shape}")
    if not 2 <= diameter < np.inf:
        raise ConfigError(f"give cells a diameter of at least 2 pixels, not {diameter}")
    if not 0 <= density <= 0.9:
        raise ConfigError(f"give a density between 0 and 0.9, not {density}")
    if not 0 <= noise < np.inf:
        raise ConfigError(f"give a noise of 0 or more, not {noise}")


def _place(
    rng: np.random.Generator, shape: tuple[int, ...], step: tuple[float, ...], diameter: float, density: float
) -> Iterator[_Cell]:
    """Place cells one by one, most of them beside one that is there, none on top of another."""
    extent = np.multiply(shape, step)
    volume = np.pi / 6 * diameter**3 if len(shape) == 3 else np.pi / 4 * diameter**2
    wanted = max(round(density * float(extent.prod()) / volume), 1) if density else 0
    centres, reaches, count = np.zeros((wanted, len(shape))), np.zeros(wanted), 0
    for _ in range(40 * wanted):
        cell = _random_cell(rng, len(shape), diameter)
        beside = count and rng.random() < 0.75
        centre = _beside(rng, centres[:count], reaches[:count], cell) if beside else rng.uniform(0, extent)
        if not _fits(centre, cell.reach, centres[:count], reaches[:count], extent):
            continue
        centres[count], reaches[count] = centre, cell.reach
        count += 1
        yield _Cell(centre, cell.radii, cell.rotation)
        if count == wanted:
            return


def _random_cell(rng: np.random.Generator, ndim: int, diameter: float) -> _Cell:
    """Draw size, elongation and direction of a cell that has no place yet."""
    stretch = rng.uniform(1.0, 1.45)
    radii = np.full(ndim, 0.5 * diameter * np.clip(rng.normal(1.0, 0.14), 0.65, 1.4))
    radii[-1] *= stretch**0.5
    radii[0] /= stretch**0.5
    rotation, _ = np.linalg.qr(rng.normal(size=(ndim, ndim)))
    return _Cell(np.zeros(ndim), radii, rotation)


def _beside(rng: np.random.Generator, centres: Points, reaches: Points, cell: _Cell) -> Points:
    """Find a place where `cell` presses against one of the cells that are there."""
    neighbour = rng.integers(len(centres))
    direction = rng.normal(size=centres.shape[1])
    distance = rng.uniform(0.7, 0.95) * (reaches[neighbour] + cell.reach)
    return np.asarray(centres[neighbour] + distance * direction / np.linalg.norm(direction), dtype=float)


def _fits(centre: Points, reach: float, centres: Points, reaches: Points, extent: Points) -> bool:
    """Whether the centre lies in the image and no other cell is too near."""
    if not np.all((centre >= 0) & (centre < extent)):
        return False
    return bool(np.all(((centres - centre) ** 2).sum(1) > (0.66 * (reach + reaches)) ** 2))


def _draw(
    rng: np.random.Generator, cells: list[_Cell], shape: tuple[int, ...], step: tuple[float, ...], diameter: float
) -> tuple[npt.NDArray[np.uint16], Floats]:
    """Labels, and how deep inside its cell a pixel lies (1 in the centre, 0 on the border and outside)."""
    nearest = np.ones(shape, dtype=np.float32)
    labels = np.zeros(shape, dtype=np.uint16)
    warp = _smooth_noise(rng, shape, step, 0.3 * diameter)
    for number, cell in enumerate(cells, start=1):
        box = _box(cell, shape, step)
        distance = _distance(cell, box, step) * (1 + 0.13 * _crop(rng, warp, box))
        inside = distance < nearest[box]
        nearest[box][inside] = distance[inside]
        labels[box][inside] = number
    kept = _connected(labels)
    return kept, np.where(kept > 0, 1 - nearest, 0).astype(np.float32)


def _box(cell: _Cell, shape: tuple[int, ...], step: tuple[float, ...]) -> tuple[slice, ...]:
    """Part of the image a cell can lie in."""
    reach = 1.6 * cell.reach
    ranges = zip(cell.centre - reach, cell.centre + reach, step, shape, strict=True)
    return tuple(slice(max(int(a / s), 0), min(int(b / s) + 2, n)) for a, b, s, n in ranges)


def _distance(cell: _Cell, box: tuple[slice, ...], step: tuple[float, ...]) -> Floats:
    """Distance from the cell's centre in units of its radii: 1 on the border."""
    axes = [np.arange(part.start, part.stop) * s - c for part, s, c in zip(box, step, cell.centre, strict=True)]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return np.asarray(np.linalg.norm(offsets @ cell.rotation / cell.radii, axis=-1), dtype=np.float32)


def _crop(rng: np.random.Generator, field: Floats, box: tuple[slice, ...]) -> Floats:
    """Random part of a periodic field, of the size of `box`."""
    starts = [int(rng.integers(n)) for n in field.shape]
    sizes = [part.stop - part.start for part in box]
    grids = [(np.arange(size) + start) % n for size, start, n in zip(sizes, starts, field.shape, strict=True)]
    return field[np.ix_(*grids)]


def _connected(labels: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Keep the largest piece of each cell, drop crumbs, and number the cells 1..N."""
    result = np.zeros_like(labels)
    count = 0
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        pieces, found = ndimage.label(labels[box] == number)
        sizes = np.bincount(pieces.ravel(), minlength=found + 1)[1:]
        if sizes.max() < _SMALLEST:
            continue
        count += 1
        result[box][pieces == 1 + int(sizes.argmax())] = count
    return result


def _fluorescence(
    rng: np.random.Generator, labels: npt.NDArray[np.uint16], depth: Floats, step: tuple[float, ...], diameter: float
) -> Floats:
    """Light of the cells before the optics: a dome per cell, its own brightness, and grain of two sizes."""
    count = int(labels.max())
    brightness = np.concatenate([[0.0], np.clip(rng.lognormal(-0.9, 0.35, count), 0.15, 1.0)]).astype(np.float32)
    dome = np.sqrt(np.clip(depth * (2 - depth), 0, 1))
    grain = 0.16 * _smooth_noise(rng, labels.shape, step, 0.045 * diameter)
    grain += 0.14 * _smooth_noise(rng, labels.shape, step, 0.13 * diameter)
    return np.asarray(brightness[labels] * (0.35 + 0.65 * dome) * np.clip(1 + grain, 0.2, None), dtype=np.float32)


def _through_optics(light: Floats, step: tuple[float, ...], diameter: float) -> Floats:
    """Blur of the focus (wider along Z) and a haze of light from outside it."""
    widths = [(1.0 if axis > 0 or light.ndim == 2 else 2.0) / s for axis, s in enumerate(step)]
    sharp = ndimage.gaussian_filter(light, widths)
    haze = ndimage.gaussian_filter(light, [0.45 * diameter / s for s in step])
    return np.asarray(0.85 * sharp + 0.12 * haze, dtype=np.float32)


def _illuminate(rng: np.random.Generator, light: Floats) -> Floats:
    """Uneven light: brightest off the centre of the image plane, with a faint glow of the medium."""
    plane = light.shape[-2:]
    centre = rng.uniform(0.3, 0.7, size=2)
    squares = [((np.arange(n) / n - c) ** 2).astype(np.float32) for n, c in zip(plane, centre, strict=True)]
    field = np.exp(-reduce(np.add.outer, squares) / (2 * 0.55**2))
    return np.asarray((light + 0.03) * (0.35 + 0.65 * field), dtype=np.float32)


def _camera(rng: np.random.Generator, photons: Floats, noise: float) -> npt.NDArray[np.uint16]:
    """Photon noise, read noise and offset; 16 bit."""
    if noise == 0:
        return np.asarray(np.rint(photons * _PEAK + _OFFSET), dtype=np.uint16)
    peak = _PEAK / noise**2
    counts = rng.poisson(photons.astype(np.float64) * peak) * (_PEAK / peak)
    values = counts + rng.normal(_OFFSET, _READ_NOISE, photons.shape)
    return np.asarray(np.clip(np.rint(values), 0, 65535), dtype=np.uint16)


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], step: tuple[float, ...], sigma: float) -> Floats:
    """Periodic noise of unit standard deviation, smooth over `sigma` pixels of the image plane."""
    noise = ndimage.gaussian_filter(
        rng.standard_normal(shape, dtype=np.float32), [sigma / s for s in step], mode="wrap"
    )
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)
