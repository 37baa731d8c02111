"""Which folder is segmented, where its results go, and how each image went."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_unet._napari.segmentation import Folder
from napari_unet._napari.widgets.result_file import FORMATS
from napari_unet._napari.widgets.tab import button, labelled
from napari_unet.session.messages import FileDone

_BESIDE, _ELSEWHERE = "Beside the images", "Another folder…"


class FolderChoice(QWidget):
    """Asks for folders, and lists the images that are done.

    Parameters
    ----------
    parent : QWidget, optional
    """

    valueChanged = Signal(object)  # noqa: N815 #: another `Folder`

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folder = Folder()
        self.choose = button("Choose a folder…", "The folder whose images are segmented, with the same model.")
        self.out = QComboBox()
        self.out.setToolTip("Where results go; their names are those of the images, with -labels or -instances.")
        self.format = QComboBox()
        self.format.setToolTip("What results are written as; all keep the pixel size of the image.")
        for text, ending in FORMATS.items():
            self.format.addItem(text.split(" (")[0], ending)
        self.list = QListWidget()
        self.list.setToolTip("The images that are done, and why one could not be.")
        self.list.setWordWrap(True)
        self.list.setMaximumHeight(130)
        self.list.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(labelled(("I&mages in", self.choose), ("Results t&o", self.out), ("As", self.format)))
        layout.addWidget(self.list)
        self._show()
        self.choose.clicked.connect(self._on_choose)
        self.out.activated.connect(self._on_out)
        self.format.activated.connect(self._on_format)

    def value(self) -> Folder:
        """What was chosen."""
        return self._folder

    def begin(self) -> None:
        """Forget how it went the last time."""
        self.list.clear()
        self.list.hide()

    def add(self, done: FileDone) -> None:
        """List an image that is done, or could not be."""
        name = Path(done.source).name
        item = QListWidgetItem(f"✗ {name}: {done.problem}" if done.problem else f"✓ {name} → {Path(done.target).name}")
        item.setToolTip(done.problem or done.target)
        self.list.addItem(item)
        self.list.scrollToItem(item)
        self.list.show()

    def _on_choose(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of images", str(self._folder.path or ""))
        if path:
            self._set(Folder(Path(path), self._folder.out, self._folder.ending))

    def _on_out(self) -> None:
        out = None
        if self.out.currentText() == _ELSEWHERE:
            chosen = QFileDialog.getExistingDirectory(self, "Folder for the results", str(self._folder.path or ""))
            out = Path(chosen) if chosen else self._folder.out
        elif self.out.currentText() != _BESIDE:
            out = self._folder.out
        self._set(Folder(self._folder.path, out, self._folder.ending))

    def _on_format(self) -> None:
        self._set(Folder(self._folder.path, self._folder.out, self.format.currentData()))

    def _set(self, folder: Folder) -> None:
        self._folder = folder
        self._show()
        self.valueChanged.emit(folder)

    def _show(self) -> None:
        path, out = self._folder.path, self._folder.out
        self.choose.setText(path.name if path else "Choose a folder…")
        self.choose.setStatusTip(str(path or ""))
        self.out.clear()
        self.out.addItems([_BESIDE, *([out.name] if out else []), _ELSEWHERE])
        self.out.setCurrentIndex(1 if out else 0)
