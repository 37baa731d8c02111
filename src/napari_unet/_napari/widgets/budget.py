"""How long to train: until stopped, or for some seconds."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QWidget

from napari_unet.config import TrainConfig

_LONGEST = 7 * 86_400.0


class Budget(QWidget):
    """A check box and a number of seconds.

    Parameters
    ----------
    parent : QWidget, optional
    """

    valueChanged = Signal(object)  # noqa: N815 #: seconds, or None for until stopped

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._limited = QCheckBox("Stop by itself after")
        self._limited.setToolTip(TrainConfig.model_fields["seconds"].description or "")
        self._seconds = QDoubleSpinBox()
        self._seconds.setRange(1, _LONGEST)
        self._seconds.setDecimals(0)
        self._seconds.setValue(120)
        self._seconds.setSuffix(" s")
        self._seconds.setMinimumWidth(110)
        self._seconds.setEnabled(False)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._limited)
        layout.addWidget(self._seconds, 1)
        self._limited.toggled.connect(self._seconds.setEnabled)
        self._limited.toggled.connect(self._tell)
        self._seconds.valueChanged.connect(self._tell)

    def value(self) -> float | None:
        """Seconds, or None for until stopped."""
        return float(self._seconds.value()) if self._limited.isChecked() else None

    def setValue(self, seconds: float | None) -> None:  # noqa: N802 - Qt's way to name methods
        """Show a budget."""
        self._limited.setChecked(seconds is not None)
        if seconds is not None:
            self._seconds.setValue(seconds)

    def _tell(self) -> None:
        self.valueChanged.emit(self.value())
