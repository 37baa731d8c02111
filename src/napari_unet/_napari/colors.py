"""Class colours as napari colormaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

_TRANSPARENT = np.zeros(4)


def strokes_colormap(colors: Sequence[str]) -> Any:
    """Value 1 in the first colour, 2 in the second, ...; 0 transparent; larger values are seen: magenta."""
    return _colormap(dict(enumerate(colors, start=1)), "magenta")


def prediction_colormap(colors: Sequence[str]) -> Any:
    """As the strokes, with the background transparent."""
    return _colormap({value: color for value, color in enumerate(colors, start=1) if value > 1}, _TRANSPARENT)


def _colormap(colors: Mapping[int, str], other: Any) -> Any:
    table: dict[int | None, Any] = {None: other, 0: _TRANSPARENT}
    for value, color in colors.items():
        table[value] = color
    return DirectLabelColormap(color_dict=table)
