"""Rotation-invariant scale-space features of an image, shown to a network in place of the image alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

from napari_unet.networks.graph import SIGMAS, scale_space_radius

_CONV: dict[int, Callable[..., Tensor]] = {2: functional.conv2d, 3: functional.conv3d}
#: Central differences of order 0, 1 and 2.
DIFFERENCES = ((0.0, 1.0, 0.0), (-0.5, 0.0, 0.5), (1.0, -2.0, 1.0))
#: Factors that bring the features of normalised microscopy images near unit variance.
BLUR_GAIN, SLOPE_GAIN, CURVE_GAIN = 2.0, 8.0, 8.0


def scale_space(x: Tensor, units: Sequence[float], pad: Sequence[int]) -> Tensor:
    """The image, and at each scale its blur, its slope and its curvatures.

    Per channel and sigma: Gaussian intensity, gradient magnitude and Hessian eigenvalues, the largest first, with
    derivatives multiplied by sigma per order (gamma-normalised, Lindeberg 1998, doi:10.1023/A:1008045108935). Turned or
    mirrored images give turned or mirrored features.

    Parameters
    ----------
    x : Tensor
        Image batch, ``(N, C, *spatial)``.
    units : sequence of float
        Size of a pixel along each axis, in units of the smallest.
    pad : sequence of int
        Pixels that the border is repeated outwards by; zeros for an output smaller by the radius at each side.

    Returns
    -------
    Tensor
        Image and features, ``(N, F * C, *spatial)``, channels-last; F is 1 + 5 * 4 in 2D and 1 + 5 * 5 in 3D.

    Examples
    --------
    >>> tuple(scale_space(torch.rand(1, 2, 40, 50), (1.0, 1.0), (25, 25)).shape)
    (1, 42, 40, 50)
    """
    count, channels = x.shape[:2]
    x = x.flatten(0, 1)[:, None]
    if any(pad):
        x = functional.pad(x, [n for pixels in reversed(pad) for n in (pixels, pixels)], mode="replicate")
    radius = scale_space_radius(units, SIGMAS[-1])
    found = [_cut(x, radius)]
    for sigma in SIGMAS:
        used = scale_space_radius(units, sigma)
        found += _features(_cut(x, [a - b for a, b in zip(radius, used, strict=True)]), sigma, units)
    # Joined along a last axis, they lie channels-last without another copy.
    found = [values.reshape(count, channels, *values.shape[2:]).movedim(1, -1) for values in found]
    return torch.cat(found, -1).movedim(-1, 1)


def _features(x: Tensor, sigma: float, units: Sequence[float]) -> Iterator[Tensor]:
    """Blur, slope and curvatures at one scale, from an image that is larger by their radius."""
    for axis, (unit, pixels) in enumerate(zip(units, scale_space_radius(units, sigma), strict=True)):
        x = _blurred(x, axis, gaussian(sigma / unit, pixels - 1))
    steps = [sigma / unit for unit in units]
    kernels = stencils(steps).to(x)
    blur, *found = torch.chunk(_CONV[len(steps)](x, kernels), len(kernels), dim=1)
    yield BLUR_GAIN * blur
    slopes, straight, mixed = found[: len(steps)], found[len(steps) : 2 * len(steps)], found[2 * len(steps) :]
    yield SLOPE_GAIN * torch.sqrt(torch.stack(slopes).square().sum(0) + 1e-12)
    yield from (CURVE_GAIN * value for value in eigenvalues(straight, mixed))


def eigenvalues(straight: Sequence[Tensor], mixed: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Eigenvalues of symmetric 2x2 or 3x3 matrices, the largest first.

    Parameters
    ----------
    straight : sequence of Tensor
        The diagonal: 2 or 3 tensors of one shape.
    mixed : sequence of Tensor
        The other elements: (01) or (01, 02, 12).

    Returns
    -------
    tuple of Tensor
        As many as there are on the diagonal. In 3D the trigonometric solution (Smith 1961, doi:10.1145/355578.366316).

    Examples
    --------
    >>> [float(v) for v in eigenvalues([torch.tensor(3.0), torch.tensor(1.0)], [torch.tensor(0.0)])]
    [3.0, 1.0]
    """
    middle = sum(straight) / len(straight)
    if len(straight) == 2:
        spread = torch.sqrt(((straight[0] - straight[1]) / 2) ** 2 + mixed[0] ** 2 + 1e-12)
        return middle + spread, middle - spread
    a, b, c = (value - middle for value in straight)
    ab, ac, bc = mixed
    spread = torch.sqrt((a**2 + b**2 + c**2 + 2 * (ab**2 + ac**2 + bc**2)) / 6 + 1e-12)
    determinant = a * (b * c - bc**2) - ab * (ab * c - bc * ac) + ac * (ab * bc - b * ac)
    angle = torch.acos((determinant / (2 * spread**3)).clamp(-1 + 1e-6, 1 - 1e-6)) / 3
    first = middle + 2 * spread * torch.cos(angle)
    last = middle + 2 * spread * torch.cos(angle + 2 * math.pi / 3)
    return first, 3 * middle - first - last, last


def gaussian(sigma: float, radius: int) -> list[float]:
    """Weights of 2 * radius + 1 pixels, which sum to 1."""
    weights = [math.exp(-(place**2) / (2 * sigma**2)) for place in range(-radius, radius + 1)]
    return [weight / sum(weights) for weight in weights]


def _blurred(x: Tensor, axis: int, weights: list[float]) -> Tensor:
    """Convolve along an axis, without padding.

    On a CPU as a sum of shifted images: there torch's convolution of one channel holds many copies of the image.
    """
    if x.is_cuda or torch.compiler.is_exporting():
        kernel = x.new_tensor(weights).reshape([-1 if a == axis + 2 else 1 for a in range(x.ndim)])
        return _CONV[x.ndim - 2](x, kernel)
    size, radius = x.shape[axis + 2] - len(weights) + 1, len(weights) // 2
    blurred = x.narrow(axis + 2, radius, size) * weights[radius]
    for place, weight in enumerate(weights[:radius]):
        pair = x.narrow(axis + 2, place, size) + x.narrow(axis + 2, 2 * radius - place, size)
        blurred = torch.add(blurred, pair, alpha=weight)
    return blurred


def stencils(steps: Sequence[float]) -> Tensor:
    """Central differences over 3 pixels per axis: value, first, second and mixed second derivatives.

    Parameters
    ----------
    steps : sequence of float
        What a derivative along each axis is multiplied by, once per order.

    Returns
    -------
    Tensor
        Shape ``(1 + 2 * d + d * (d - 1) / 2, 1, 3, ...)``.
    """
    axes = range(len(steps))
    single = [*((a,) for a in axes), *((a, a) for a in axes), *combinations(axes, 2)]
    return torch.stack([_stencil(steps, along) for along in [(), *single]])[:, None]


def _stencil(steps: Sequence[float], along: tuple[int, ...]) -> Tensor:
    """Derivative along the named axes."""
    kernel = torch.ones(())
    for axis, step in enumerate(steps):
        order = along.count(axis)
        kernel = kernel[..., None] * torch.tensor(DIFFERENCES[order]) * step**order
    return kernel


def _cut(x: Tensor, margin: Sequence[int]) -> Tensor:
    """Without `margin` pixels at each side."""
    for axis, pixels in enumerate(margin, start=2):
        x = x.narrow(axis, pixels, x.shape[axis] - 2 * pixels)
    return x
