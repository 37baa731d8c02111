"""One setting of a config as an input: magicgui chooses the widget from the type, the config gives bounds and help."""

from __future__ import annotations

from math import floor, log10
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from magicgui.widgets import ComboBox, create_widget
from psygnal import Signal
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from napari_unet._napari.widgets.tab import narrow
from napari_unet._napari.words import Words, tooltip

_SIMPLE = (bool, int, float, str)
#: An input is at least so wide, pixels: the dock may be narrow.
NARROW = 70
_LARGEST = {int: 2**31 - 1, float: 1e9}


def plain_type(info: FieldInfo) -> Any:
    """The type of a field without None; None itself when no input can be made for it."""
    parts = [part for part in get_args(info.annotation) if part is not NoneType]
    optional = is_optional(info)
    kind = parts[0] if optional and len(parts) == 1 else info.annotation
    return kind if kind in _SIMPLE or get_origin(kind) is Literal else None


def is_optional(info: FieldInfo) -> bool:
    """Whether the field may be None."""
    return get_origin(info.annotation) is not Literal and NoneType in get_args(info.annotation)


class Field:
    """An input for one setting.

    What was set and not touched comes back exactly, however many digits the input shows.

    Parameters
    ----------
    name : str
    info : FieldInfo
        Of a pydantic model; its description becomes the tooltip.
    words : Words
        What the setting and its choices are called.
    """

    changed = Signal()

    def __init__(self, name: str, info: FieldInfo, words: Words) -> None:
        kind = plain_type(info)
        start = _start(kind, info.default)
        options = _options(kind, info, start)
        if info.default is None and "max" in options:
            start = min(max(start, options["min"]), options["max"])
        self._input = _input(name, info, kind, words, start, options)
        self._given: Any = info.default
        self._switch = QCheckBox() if is_optional(info) else None
        self.label = words.label
        self.native: QWidget = self._build(tooltip(name, info.description))
        self.set(info.default)
        self._input.changed.connect(self._on_input)

    def get(self) -> Any:
        """The value."""
        if self._switch is not None and not self._switch.isChecked():
            return None
        return self._given if self._shown == self._input.value else self._input.value

    def set(self, value: Any) -> None:
        """Show a value."""
        if self._switch is not None:
            self._switch.setChecked(value is not None)
            self._input.enabled = value is not None
        with self._input.changed.blocked():
            if value is not None:
                self._input.value = self._showable(value)
        self._given, self._shown = value, self._input.value
        self.changed.emit()

    def _showable(self, value: Any) -> Any:
        """The nearest value that the input takes."""
        low, high = getattr(self._input, "min", value), getattr(self._input, "max", value)
        return min(max(value, low), high) if low is not None else value

    def _build(self, tooltip: str) -> QWidget:
        self._input.native.setToolTip(tooltip)
        self._input.native.setMinimumWidth(NARROW)
        if self._switch is None:
            return self._input.native
        box = QWidget()
        layout = QHBoxLayout(box)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._switch)
        layout.addWidget(self._input.native, 1)
        self._switch.setToolTip(tooltip)
        self._switch.toggled.connect(self._on_switch)
        return box

    def _on_switch(self, on: bool) -> None:
        self._input.enabled = on
        if on and self._given is None:
            self._given = self._shown = self._input.value
        self.changed.emit()

    def _on_input(self) -> None:
        self.changed.emit()


def _input(name: str, info: FieldInfo, kind: Any, words: Words, start: Any, options: dict[str, Any]) -> Any:
    """The input of magicgui that suits the type."""
    if get_origin(kind) is Literal:
        return _choice(name, info, kind, words, start)
    made: Any = create_widget(value=start, annotation=kind, label=name, options=options)
    if kind is bool:
        made.native.setText("")  # the label stands in front
    return made


def _choice(name: str, info: FieldInfo, kind: Any, words: Words, start: Any) -> ComboBox:
    """A list of choices in plain words, each with its own name in the tooltip."""
    values = get_args(kind)
    made = ComboBox(
        label=name, value=start, choices=[(words.choices.get(value, str(value)), value) for value in values]
    )
    for row, value in enumerate(values):
        made.native.setItemData(row, tooltip(name, info.description, value), Qt.ItemDataRole.ToolTipRole)
    narrow(made.native)
    return made


def _start(kind: Any, default: Any) -> Any:
    """A first value for the input."""
    if default is not None:
        return default
    return get_args(kind)[0] if get_origin(kind) is Literal else {int: 100, float: 60.0, str: "", bool: False}[kind]


def _options(kind: Any, info: FieldInfo, start: Any) -> dict[str, Any]:
    """Bounds and step of a number."""
    if kind not in (int, float):
        return {}
    step = 1 if kind is int else _step(start)
    low, high = -_LARGEST[kind], _LARGEST[kind]
    for bound in info.metadata:
        low = max(low, getattr(bound, "ge", low), getattr(bound, "gt", low - step) + step)
        high = min(high, getattr(bound, "le", high), getattr(bound, "lt", high + step) - step)
    return {"min": low, "max": high, "step": step}


def _step(value: float) -> float:
    """A tenth of the leading digit's place."""
    return 10.0 ** (floor(log10(abs(value))) - 1) if value else 0.01
