"""How single objects are made, with what that gives in view."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_unet._napari.widgets.form import ConfigForm
from napari_unet.config import InstanceConfig


class ObjectSettings(QWidget):
    """Sizes, holes, smoothing, splitting; and whether a change is shown at once.

    Parameters
    ----------
    parent : QWidget, optional
    """

    valueChanged = Signal(object)  # noqa: N815 #: another `InstanceConfig`
    refused = Signal(str)
    previewed = Signal(bool)  #: whether changes are to be shown

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.preview = QCheckBox("Preview i&n view")
        self.preview.setToolTip("Show at once what these settings make of what is in view; nothing is learnt or saved.")
        self.preview.setChecked(True)
        self.form = ConfigForm(InstanceConfig())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.preview)
        layout.addWidget(self.form)
        self.form.valueChanged.connect(self.valueChanged)
        self.form.refused.connect(self.refused)
        self.preview.toggled.connect(self.previewed)

    def value(self) -> InstanceConfig:
        """The settings."""
        return InstanceConfig.model_validate(self.form.value().model_dump())

    def setValue(self, config: InstanceConfig) -> None:  # noqa: N802 - Qt's way to name methods
        """Show settings."""
        self.form.setValue(config)
