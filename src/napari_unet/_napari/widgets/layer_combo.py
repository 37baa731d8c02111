"""A drop-down list of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget


class LayerCombo(QComboBox):
    """Shows layers by name; the first entry stands for none.

    Parameters
    ----------
    none : str
        Text of the first entry.
    parent : QWidget, optional
    """

    chosen = Signal(object)  #: the layer the user chose, or None

    def __init__(self, none: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._none = none
        self._layers: list[Any] = []
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumContentsLength(8)
        self.show_layers([], None)
        self.activated.connect(self._on_activated)

    @property
    def layer(self) -> Any:
        """The layer shown, or None."""
        return self._layers[self.currentIndex() - 1] if self.currentIndex() > 0 else None

    def show_layers(self, layers: Sequence[Any], current: Any) -> None:
        """Offer `layers` and select `current`."""
        self._layers = list(layers)
        self.blockSignals(True)
        self.clear()
        self.addItems([self._none, *(layer.name for layer in self._layers)])
        self.setCurrentIndex(self._layers.index(current) + 1 if current in self._layers else 0)
        self.blockSignals(False)

    def _on_activated(self) -> None:
        self.chosen.emit(self.layer)
