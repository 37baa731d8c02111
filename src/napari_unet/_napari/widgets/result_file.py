"""Save the result: which file, and what background is in it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QMessageBox, QWidget

from napari_unet._napari.widgets.tab import button
from napari_unet.config import Output

#: What the dialog offers, and the ending that a name without one gets.
FORMATS = {
    "OME-TIFF (*.ome.tif *.ome.tiff)": ".ome.tif",
    "OME-Zarr (*.ome.zarr *.zarr)": ".ome.zarr",
    "TIFF for ImageJ (*.tif *.tiff)": ".tif",
}


class ResultFile(QWidget):
    """A button that asks for a file, and for leave to replace one.

    Parameters
    ----------
    parent : QWidget, optional
    """

    save = Signal(str, bool, bool)  #: the file, whether background is 0 in it, and whether it may be replaced

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = button("Save result…", "Keep the result as OME-TIFF, OME-Zarr or TIFF, with its scale.")
        self.zero = QCheckBox("Background as 0")
        self.zero.setToolTip(
            "Write background as 0 and the classes as 1, 2, ..., as other tools expect; without it the file holds the "
            "values of the layer: 1 is background."
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.button)
        row.addWidget(self.zero)
        self.button.clicked.connect(self._on_save)

    def show_output(self, output: Output) -> None:
        """Only classes are a matter of which number is background."""
        self.zero.setVisible(output == "labels")

    def _on_save(self) -> None:
        # it asks below, for the name as it will be, and for folders too
        options = QFileDialog.Option.DontConfirmOverwrite
        first = next(iter(FORMATS))
        text, chosen = QFileDialog.getSaveFileName(
            self, "Save the result", "result.ome.tif", ";;".join(FORMATS), first, options=options
        )
        if not text:
            return
        path = completed(Path(text), chosen)
        there = path.exists()
        if not there or self._may_replace(path):
            self.save.emit(str(path), self.zero.isChecked(), there)

    def _may_replace(self, path: Path) -> bool:
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return bool(QMessageBox.question(self, "Save the result", f"{path} exists. Replace it?", yes | no, no) == yes)


def completed(path: Path, chosen: str) -> Path:
    """A name with an ending, the one of the `chosen` format if it has none.

    In a dialog a Zarr store is a folder to go into, so a file in one means the store.
    """
    store = next((folder for folder in path.parents if folder.suffix.lower() == ".zarr"), None)
    if store is not None:
        return store
    return path if path.suffix else path.with_name(path.name + FORMATS.get(chosen, ".ome.tif"))
