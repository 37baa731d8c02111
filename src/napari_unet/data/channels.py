"""Which channels of an image a model reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_unet.config import ModelConfig
from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.errors import ImageError


def source_for(
    model: ModelConfig, array: ArrayLike, axes: str, *, names: Sequence[str] = (), wanted: Sequence[str | int] = ()
) -> ImageSource:
    """The channels of an image that a model reads.

    Parameters
    ----------
    model : ModelConfig
        Reads ``in_channels`` channels, perhaps called ``channels``.
    array : array-like
        The image; of a list of resolutions, as napari's multiscale layers have it, the first and finest.
    axes : str
        One letter per axis, see `ImageSource`.
    names : sequence of str
        What the image's channels are called, if that is known.
    wanted : sequence of str or int
        Channels to read instead of those the model names: by name, or by number from 0.

    Returns
    -------
    ImageSource

    Raises
    ------
    ImageError
        When a channel is not there, or their number is not the model's.

    Examples
    --------
    >>> import numpy as np
    >>> model = ModelConfig(channels=("DAPI",))
    >>> source_for(model, np.zeros((2, 8, 8)), "CYX", names=["GFP", "DAPI"]).chosen
    (1,)
    """
    array = finest(array)
    source = ImageSource(array, axes, model.ndim)
    asked = list(wanted) or (list(model.channels) if names else [])
    if asked:
        source = ImageSource(array, axes, model.ndim, [_number(one, names, source.channels) for one in asked])
    if source.channels != model.in_channels:
        raise ImageError(_sentence(model, source.channels))
    return source


def finest(image: ArrayLike) -> ArrayLike:
    """The first of a list of resolutions; an array as it is.

    Raises
    ------
    ImageError
        When it is no array.
    """
    if isinstance(image, (list, tuple)) and image and len(getattr(image[0], "shape", ())) >= 2:
        image = image[0]
    try:
        np.dtype(image.dtype)
    except (AttributeError, TypeError) as error:
        raise ImageError(f"give the image as an array of NumPy, Zarr or dask, not as {type(image).__name__}") from error
    return image


def _number(wanted: str | int, names: Sequence[str], count: int) -> int:
    """Place of a channel along its axis."""
    known = [name.strip().casefold() for name in names]
    name = str(wanted).strip()
    if name.casefold() in known:
        return known.index(name.casefold())
    if name.isdecimal() and int(name) < count:
        return int(name)
    there = f"its channels are {', '.join(names)}" if names else f"it has {count} without names, 0 to {count - 1}"
    raise ImageError(f"choose an image with the channel '{name}', or other channels: {there}")


def _sentence(model: ModelConfig, count: int) -> str:
    wanted = model.in_channels
    named = f" ({', '.join(model.channels)})" if model.channels else ""
    if count < wanted:
        return f"choose an image with {wanted} channels{named}, from as many the model learnt: this one has {count}"
    first = ",".join(str(number) for number in range(wanted))
    return (
        f"choose {wanted} of the image's {count} channels{named}, for example channels={first}; "
        f"the model learnt from {wanted}"
    )
