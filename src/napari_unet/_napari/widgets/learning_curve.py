"""Loss, score on held-out strokes and corrections over the steps."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_unet._napari.course import Course, in_words
from napari_unet._napari.widgets.paragraph import Paragraph
from napari_unet._napari.widgets.timeline import diamond

#: Colour-blind-safe pairs (Okabe and Ito 2008), for dark and for light windows.
_SCORE, _CORRECTION = ("#56B4E9", "#0072B2"), ("#E69F00", "#B85000")
_MARGIN = 6.0
_HIGH = 96


class LearningCurve(QWidget):
    """Draws a `Course` in the colours of the theme, and says it in words below.

    Parameters
    ----------
    course : Course
    parent : QWidget, optional
    """

    def __init__(self, course: Course, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = _Plot(course, self)
        self.words = Paragraph()
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self._course = course
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.plot)
        layout.addWidget(self.words)
        course.changed.connect(self.show_course)
        self.show_course()

    def show_course(self) -> None:
        """Draw what has changed."""
        colors = (self.plot.text.name(), self.plot.color(_SCORE).name(), self.plot.color(_CORRECTION).name())
        signs = ("—", "◆", "●")
        told = zip(signs, colors, in_words(self._course), strict=True)
        text = "<br>".join(f'<span style="color:{color}">{sign}</span> {words}' for sign, color, words in told if words)
        if text != self.words.text():
            self.words.setText(text)
            self.words.setVisible(bool(text))
        self.plot.update()


class _Plot(QWidget):
    """The picture."""

    def __init__(self, course: Course, parent: QWidget) -> None:
        super().__init__(parent)
        self._course = course
        self.setMinimumHeight(_HIGH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "The line is the loss: how wrong the network still is on your strokes. It should fall, then level off. "
            "Diamonds are its score on strokes that were held out, from 0 (bottom) to 1 (top), with the interval the "
            "score most likely lies in. Dots tell which part of each correction it knew before it learnt it."
        )

    @property
    def text(self) -> QColor:
        """Colour of the theme's text."""
        return self.palette().color(QPalette.ColorRole.WindowText)

    def color(self, pair: tuple[str, str]) -> QColor:
        """The one of a pair that can be read in this theme."""
        return QColor(pair[self.text.lightness() < 128])

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(200, _HIGH)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = self.text
        frame.setAlphaF(0.35)
        painter.setPen(QPen(frame))
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(area, 3, 3)
        if len(self._course.losses) < 2:
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "The learning curve appears here")
            return
        inner = area.adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        self._draw_scores(painter, inner)
        painter.setPen(QPen(self.text, 1.5))
        painter.drawPolyline(QPolygonF(self.loss_points(inner)))
        self._draw_corrections(painter, inner)

    def loss_points(self, area: QRectF) -> list[QPointF]:
        """The losses in pixels, from 0 up."""
        top = max(loss for _, loss in self._course.losses) or 1.0
        return [self._at(step, loss / top, area) for step, loss in self._course.losses]

    def score_points(self, area: QRectF) -> list[tuple[QPointF, QPointF, QPointF]]:
        """Each score in pixels, 0 at the bottom and 1 on top: low, value, high."""
        return [
            (self._at(step, s.low, area), self._at(step, s.value, area), self._at(step, s.high, area))
            for step, s in self._course.scores
        ]

    def _at(self, step: float, part: float, area: QRectF) -> QPointF:
        first, last = self._course.losses[0][0], max(self._course.losses[-1][0], self._course.losses[0][0] + 1)
        across = min(max((step - first) / (last - first), 0.0), 1.0)
        return QPointF(area.left() + area.width() * across, area.bottom() - area.height() * part)

    def _draw_scores(self, painter: QPainter, area: QRectF) -> None:
        points = self.score_points(area)
        if not points:
            return
        band, color = self.color(_SCORE), self.color(_SCORE)
        band.setAlphaF(0.25)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(band)
        painter.drawPolygon(QPolygonF([low for low, _, _ in points] + [high for _, _, high in reversed(points)]))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(color, 1.5))
        painter.drawPolyline(QPolygonF([value for _, value, _ in points]))
        for low, _, high in points[-1:]:
            painter.drawLine(low, high)
        painter.setBrush(color)
        for _, value, _ in points:
            painter.drawPolygon(diamond(value, 4.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _draw_corrections(self, painter: QPainter, area: QRectF) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.color(_CORRECTION))
        for step, right in self._course.corrections:
            painter.drawEllipse(self._at(step, right, area), 3, 3)
