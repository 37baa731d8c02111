"""How single objects are made, with what that gives in view."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QVBoxLayout, QWidget

from napari_unet._napari.widgets.form import ConfigForm
from napari_unet._napari.widgets.tab import call, labelled, narrow
from napari_unet.config import InstanceConfig

#: What napari-unet proposes: smaller pieces are rarely objects, and slices of one object overlap at least so much.
SMALLEST, OVERLAP = 15, 0.3
_LINK_HELP = "Objects go on in the next slice or frame where they overlap by this part (IoU) (link)."
#: Label, and texts for none and for `OVERLAP`; of slices, and of frames.
_TEXTS = {
    False: ("Slices", "each by itself", "one object through the slices"),
    True: ("Frames", "each by itself", "keep numbers over time"),
}


class ObjectSettings(QWidget):
    """Sizes, holes, smoothing, splitting, slices; and whether a change is shown at once.

    Parameters
    ----------
    parent : QWidget, optional
    """

    valueChanged = Signal(object)  # noqa: N815 #: another `InstanceConfig`
    refused = Signal(str)
    previewed = Signal(bool)  #: whether changes are to be shown

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._chosen = False
        self.preview = QCheckBox("Preview i&n view")
        self.preview.setToolTip("Show at once what these settings make of what is in view; nothing is learnt or saved.")
        self.preview.setChecked(True)
        self.stack = narrow(QComboBox())
        self.form = ConfigForm(InstanceConfig(), ("link",))
        row = labelled(("Slices", self.stack))
        self.stack_label = row.itemAtPosition(0, 0).widget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.preview)
        layout.addLayout(row)
        layout.addWidget(self.form)
        self._show_stack(None, 0.0)
        self.stack.activated.connect(partial(call, self._on_value))
        self.form.valueChanged.connect(partial(call, self._on_value))
        self.form.refused.connect(self.refused)
        self.preview.toggled.connect(self.previewed)

    def value(self) -> InstanceConfig:
        """The settings."""
        return InstanceConfig.model_validate({**self.form.value().model_dump(), "link": self.stack.currentData()})

    def setValue(self, config: InstanceConfig) -> None:  # noqa: N802 - Qt's way to name methods
        """Show settings that were chosen before, or, if they are the defaults, were not."""
        self._set(config)
        self._chosen = config != InstanceConfig()

    def suggest(self, times: bool | None) -> None:
        """Propose what suits an image, until the user chooses something.

        Parameters
        ----------
        times : bool or None
            Whether the network goes slice by slice through time; False through space, None when it does not.
        """
        link = self.stack.currentData()
        if not self._chosen:
            link = OVERLAP if times is False else 0.0
        self._show_stack(times, link)
        if not self._chosen:
            self._set(self.value().replace(min_size=SMALLEST, link=link))

    def _set(self, config: InstanceConfig) -> None:
        blocked = self.blockSignals(True)
        chosen = self._chosen
        self._show_stack(self._times, config.link)
        self.form.setValue(config)
        self._chosen = chosen
        self.blockSignals(blocked)

    def _show_stack(self, times: bool | None, link: float) -> None:
        """Offer the choices of slices or frames, and the one that is in force."""
        self._times = times
        label, alone, joined = _TEXTS[bool(times)]
        self.stack_label.setText(label)
        self.stack.clear()
        choices = {0.0: alone, OVERLAP: joined}
        for value in sorted({*choices, link}):
            self.stack.addItem(choices.get(value, f"{joined}, overlap {value:.0%}"), value)
            self.stack.setItemData(self.stack.count() - 1, _LINK_HELP, Qt.ItemDataRole.ToolTipRole)
        self.stack.setCurrentIndex(self.stack.findData(link))
        self.stack.setToolTip(
            "Whether what overlaps in the next slice (or frame) is the same object, with the same number and colour, "
            f"or each slice is numbered for itself. {_LINK_HELP}"
        )
        for widget in (self.stack_label, self.stack):
            widget.setVisible(times is not None or link > 0)

    def _on_value(self) -> None:
        self._chosen = True
        self.valueChanged.emit(self.value())
