"""The training loss as a line."""

from __future__ import annotations

from math import isfinite

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

MOST_POINTS = 1000
_MARGIN = 6.0


class LossCurve(QWidget):
    """Draws the smoothed loss over the steps, in the colours of the theme; forgets detail, never the whole.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.points: list[tuple[float, float]] = []
        self._smooth: float | None = None
        self._every = 1
        self.setMinimumHeight(72)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("How wrong the network still is on your strokes. It should fall, then level off.")

    def clear(self) -> None:
        """Forget all points."""
        self.points, self._smooth, self._every = [], None, 1
        self.update()

    def add(self, step: int, loss: float) -> None:
        """Append a point; steps must not fall, a loss that is not a number is left out."""
        if not isfinite(loss):
            return
        if self.points and step <= self.points[-1][0]:
            self.clear()
        self._smooth = loss if self._smooth is None else 0.9 * self._smooth + 0.1 * loss
        if step % self._every == 0 or not self.points:
            self.points.append((float(step), self._smooth))
        if len(self.points) > MOST_POINTS:
            self.points, self._every = self.points[::2], self._every * 2
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(200, 72)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color = self.palette().windowText().color()
        color.setAlphaF(0.35)
        painter.setPen(QPen(color))
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(area, 3, 3)
        if len(self.points) < 2:
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "The learning curve appears here")
            return
        painter.drawText(area.adjusted(_MARGIN, 2, -_MARGIN, -2), Qt.AlignmentFlag.AlignRight, self._caption())
        color.setAlphaF(1.0)
        painter.setPen(QPen(color, 1.5))
        painter.drawPolyline(self._polygon(area.adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)))

    def _caption(self) -> str:
        step, loss = self.points[-1]
        return f"step {step:.0f}   loss {loss:.3f}"

    def _polygon(self, area: QRectF) -> QPolygonF:
        """The points in pixels, loss from 0 up."""
        first, last = self.points[0][0], self.points[-1][0]
        top = max(loss for _, loss in self.points) or 1.0
        return QPolygonF(
            [
                QPointF(
                    area.left() + area.width() * (step - first) / (last - first),
                    area.bottom() - area.height() * loss / top,
                )
                for step, loss in self.points
            ]
        )
