"""Class colours as napari colormaps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.colormaps.standardize_color import transform_color

from napari_unet.config import CLASS_COLORS, ModelConfig
from napari_unet.session.soft import code, levels

#: Painted objects with a colour that neighbours do not have; further ones are magenta.
MOST_OBJECTS = 255
_TRANSPARENT = np.zeros(4)


def strokes_colormap(colors: Sequence[str], hidden: Collection[int] = ()) -> Any:
    """Value 1 in the first colour, 2 in the second, ...; 0 and hidden ones transparent; larger values are magenta."""
    shown = {value: _TRANSPARENT if value in hidden else color for value, color in enumerate(colors, start=1)}
    return _colormap(shown, "magenta")


def stroke_colors(model: ModelConfig) -> tuple[str, ...]:
    """One colour per class, or, where each value is an object of its own, for the background and for each object."""
    if model.task != "instances":
        return model.class_colors
    background, *_ = model.class_colors
    others = [color for color in CLASS_COLORS if color != background]
    return background, *(others[value % len(others)] for value in range(MOST_OBJECTS))


def prediction_colormap(colors: Sequence[str], hidden: Collection[int] = ()) -> Any:
    """As the strokes, with the background transparent."""
    shown = {value: color for value, color in enumerate(colors, start=1) if value > 1 and value not in hidden}
    return _colormap(shown, _TRANSPARENT)


def soft_colormap(colors: Sequence[str], hidden: Collection[int] = ()) -> Any:
    """For the codes of `session.soft`: the colour of the class, the more opaque the more certain."""
    count = len(colors)
    steps = levels(count)
    table: dict[int, Any] = {}
    for value, color in enumerate(colors[1:], start=2):
        if value in hidden:
            continue
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
