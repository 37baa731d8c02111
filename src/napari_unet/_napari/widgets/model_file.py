"""Save and load the model."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QWidget

from napari_unet._napari.widgets.tab import button

SUFFIX = ".unet"
_FILTER = f"U-Net models (*{SUFFIX});;All files (*)"


class ModelFile(QWidget):
    """Two buttons, each of which asks for a file.

    Parameters
    ----------
    parent : QWidget, optional
    """

    save = Signal(str)
    load = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.save_button = button("Save model…", "Keep what was learnt, to use it again anywhere.")
        self.load_button = button("Load model…", "Use or go on training a saved model.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.save_button)
        row.addWidget(self.load_button)
        self.save_button.clicked.connect(self._on_save)
        self.load_button.clicked.connect(self._on_load)

    def _on_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the model", f"model{SUFFIX}", _FILTER)
        if path:
            self.save.emit(path if "." in path.rsplit("/", 1)[-1] else path + SUFFIX)

    def _on_load(self) -> None:
        path = ask_for_model(self)
        if path:
            self.load.emit(path)


def ask_for_model(parent: QWidget) -> str:
    """The model file that the user chooses; "" for none."""
    path, _ = QFileDialog.getOpenFileName(parent, "Load a model", "", _FILTER)
    return str(path)
