"""A picture of a napari window: open menus in it, marks on it, small on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from qtpy.QtCore import QPoint, QRect, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QImage, QPainter, QPen
from qtpy.QtWidgets import QApplication, QMenu, QWidget

COLORS = 256
KEPT = 64  # most frequent colours of either kind that are kept as they are
VIVID = 40  # distance of the channels from which a colour is not a grey
_MARK = QColor("#FF5A36")
_ROUND = 5.0
_BADGE = 20


def take(window: QWidget, marked: Sequence[QWidget | QRect] = ()) -> QImage:
    """The window as it is on the screen, with open menus and a numbered frame around each of the `marked` parts."""
    pixmap = window.grab()
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for popup in QApplication.topLevelWidgets():
        if isinstance(popup, QMenu) and popup.isVisible():
            painter.drawPixmap(window.mapFromGlobal(popup.mapToGlobal(QPoint(0, 0))), popup.grab())
    for number, part in enumerate(marked, start=1):
        box = part if isinstance(part, QRect) else _box(window, part)
        _mark(painter, box, str(number) if len(marked) > 1 else "")
    painter.end()
    return pixmap.toImage()


def save(image: QImage, path: Path) -> None:
    """Write a PNG with a palette: a fifth of the bytes, and nobody sees the difference."""
    pixels = _pixels(image)
    small = Image.fromarray(pixels).quantize(palette=_palette(pixels), dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def _palette(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """Buttons, strokes and text keep their very colours; the rest of the palette is spread over all others."""
    colors, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    frequent = colors[np.argsort(counts)[::-1]]
    vivid = np.ptp(frequent.astype(int), axis=1) > VIVID
    kept = np.concatenate([frequent[vivid][:KEPT], frequent[~vivid][:KEPT]])
    others = Image.fromarray(colors[np.newaxis]).quantize(COLORS - len(kept), method=Image.Quantize.MEDIANCUT)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*kept.ravel().tolist(), *(others.getpalette() or ())][: 3 * COLORS])
    return palette


def _pixels(image: QImage) -> npt.NDArray[np.uint8]:
    """A picture as an array, shape (Y, X, 3)."""
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    pointer: Any = image.constBits()
    pointer.setsize(image.sizeInBytes())
    rows = np.frombuffer(pointer, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def _box(window: QWidget, part: QWidget) -> QRect:
    """What is seen of a part of the window."""
    seen = part.visibleRegion().boundingRect()
    return QRect(part.mapTo(window, seen.topLeft()), seen.size())


def _mark(painter: QPainter, box: QRect, text: str) -> None:
    """A frame, and a badge with the number at its upper left corner."""
    painter.setPen(QPen(_MARK, 3))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    frame = QRectF(box).adjusted(-3, -3, 3, 3)
    painter.drawRoundedRect(frame, _ROUND, _ROUND)
    if not text:
        return
    badge = QRectF(frame.left() - _BADGE / 2, frame.top() - _BADGE / 2, _BADGE, _BADGE)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_MARK)
    painter.drawEllipse(badge)
    painter.setPen(QColor("white"))
    font = QFont(painter.font())
    font.setBold(True)
    painter.setFont(font)
    painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, text)
