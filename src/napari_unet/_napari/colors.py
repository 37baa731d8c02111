"""Class colours as napari colormaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.colormaps.standardize_color import transform_color

from napari_unet.session.soft import code, levels

_TRANSPARENT = np.zeros(4)


def strokes_colormap(colors: Sequence[str]) -> Any:
    """Value 1 in the first colour, 2 in the second, ...; 0 transparent; larger values are seen: magenta."""
    return _colormap(dict(enumerate(colors, start=1)), "magenta")


def prediction_colormap(colors: Sequence[str]) -> Any:
    """As the strokes, with the background transparent."""
    return _colormap({value: color for value, color in enumerate(colors, start=1) if value > 1}, _TRANSPARENT)


def soft_colormap(colors: Sequence[str]) -> Any:
    """For the codes of `session.soft`: the colour of the class, the more opaque the more certain."""
    count = len(colors)
    steps = levels(count)
    table: dict[int, Any] = {}
    for value, color in enumerate(colors[1:], start=2):
        rgb = transform_color(color)[0][:3]
        for level in range(steps):
            alpha = level / (steps - 1) if steps > 1 else 1.0
            table[code(value, level, count)] = np.array([*rgb, alpha])
    return _colormap(table, _TRANSPARENT)


def _colormap(colors: Mapping[int, Any], other: Any) -> Any:
    table: dict[int | None, Any] = {None: other, 0: _TRANSPARENT}
    for value, color in colors.items():
        table[value] = color
    return DirectLabelColormap(color_dict=table)
