"""A button that copies what was done as a command or as Python."""

from __future__ import annotations

from functools import partial
from typing import Literal

from qtpy.QtWidgets import QApplication, QFileDialog, QMenu, QPushButton

from napari_unet._napari.controller import Controller
from napari_unet._napari.copying import Kind


class CopyMenu(QPushButton):
    """Asks for a folder for the files that the command needs, and fills the clipboard.

    Parameters
    ----------
    controller : Controller
    what : {"training", "prediction"}
    tooltip : str
    """

    def __init__(self, controller: Controller, what: Literal["training", "prediction"], tooltip: str) -> None:
        super().__init__("Copy as")
        self._controller, self._what = controller, what
        self.setToolTip(tooltip)
        menu = QMenu(self)
        menu.addAction("Command line…", partial(self.copy, "command"))
        menu.addAction("Python…", partial(self.copy, "python"))
        self.setMenu(menu)

    def copy(self, kind: Kind) -> None:
        """Ask for the folder and copy."""
        folder = QFileDialog.getExistingDirectory(self, "Folder for the files that the command needs")
        if folder:
            self._controller.recipes.copied.connect(_to_clipboard)
            self._controller.recipes.copy(self._what, kind, folder)
            self._controller.recipes.copied.disconnect(_to_clipboard)


def _to_clipboard(text: str) -> None:
    QApplication.clipboard().setText(text)
