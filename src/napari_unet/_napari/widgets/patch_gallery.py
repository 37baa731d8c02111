"""Six augmented patches, each with what the network is told about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget
from superqt import QCollapsible

from napari_unet._napari.widgets.paragraph import Paragraph
from napari_unet._napari.widgets.tab import button, call, column
from napari_unet.session.messages import Previewed

COUNT, COLUMNS, EDGE = 6, 3, 84
Picture = npt.NDArray[np.uint8]


class PatchGallery(QCollapsible):
    """Folded at first; asks for patches when it is unfolded, and for others when the button is pressed.

    Parameters
    ----------
    parent : QWidget, optional
    """

    wanted = Signal(int)  #: the seed of the patches to show

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("What it learns from", parent, expandedIcon="▼", collapsedIcon="▶")
        self.setDuration(0)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self._seed = 0
        self.cells = [QLabel() for _ in range(2 * COUNT)]
        self.words = Paragraph(
            "Patches of your images as training changes them at random. Below each: in colour what your strokes tell "
            "about it, the stronger the more it counts; where it is dark nothing is known."
        )
        self.others = button("Show others", "Draw six other patches, with the training settings as they are now.")
        content = QWidget()
        layout = column(content, margin=0)
        layout.addWidget(self.words)
        layout.addLayout(self._grid())
        layout.addWidget(self.others)
        self.addWidget(content)
        self.others.setEnabled(False)
        self.toggled.connect(self._on_toggled)
        self.others.clicked.connect(lambda: call(self._on_others))

    def show_patches(self, found: Previewed, colors: Sequence[str]) -> None:
        """Show patches with targets in the colours of the classes."""
        heaviest = float(found.weights.max(initial=0)) or 1.0
        for index in range(min(COUNT, len(found.images))):
            image, target = _rgb(found.images[index]), found.targets[index]
            told = _told(image, target, found.weights[index] / heaviest, colors)
            row, place = divmod(index, COLUMNS)
            first = 2 * COLUMNS * row + place
            self._put(self.cells[first], image)
            self._put(self.cells[first + COLUMNS], told)

    def _grid(self) -> QGridLayout:
        """Rows of images and of targets in turn."""
        grid = QGridLayout()
        grid.setSpacing(3)
        for index, cell in enumerate(self.cells):
            cell.setFixedSize(EDGE, EDGE)
            cell.setAlignment(Qt.AlignmentFlag.AlignCenter)
            grid.addWidget(cell, *divmod(index, COLUMNS))
        return grid

    def _put(self, cell: QLabel, picture: Picture) -> None:
        ratio = self.devicePixelRatioF()
        edge = round(EDGE * ratio)
        pixmap = _pixmap(picture).scaled(edge, edge, Qt.AspectRatioMode.KeepAspectRatio)
        pixmap.setDevicePixelRatio(ratio)
        cell.setPixmap(pixmap)

    def _on_toggled(self, unfolded: bool) -> None:
        self.others.setEnabled(unfolded)  # the key Tab passes by what is folded
        if unfolded:
            self.wanted.emit(self._seed)

    def _on_others(self) -> None:
        self._seed += 1
        self.wanted.emit(self._seed)


def _rgb(image: Picture) -> Picture:
    """Three channels as red, green and blue; any other number as the mean of all."""
    if len(image) == 3:
        return np.ascontiguousarray(np.moveaxis(image, 0, -1))
    return np.repeat(image.mean(0).astype(np.uint8)[..., None], 3, axis=-1)


def _told(image: Picture, target: npt.NDArray[Any], weights: npt.NDArray[Any], colors: Sequence[str]) -> Picture:
    """The image darkened, and the annotated pixels in the colours of their classes."""
    shown = image * 0.35
    known = target >= 0
    table = np.array([QColor(color).getRgb()[:3] for color in colors] or [(255, 255, 255)], float)
    strength = (0.55 + 0.45 * weights[known])[:, None]
    shown[known] = table[target[known] % len(table)] * strength
    return shown.astype(np.uint8)


def _pixmap(picture: Picture) -> QPixmap:
    high, wide = picture.shape[:2]
    return QPixmap.fromImage(QImage(picture.tobytes(), wide, high, 3 * wide, QImage.Format.Format_RGB888))
