"""Which network: its name, a picture of it, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

from napari_unet._napari.machine import Machine, fits, in_words, memory_in_words
from napari_unet._napari.members import MEMBERS, member_of
from napari_unet._napari.widgets.paragraph import Paragraph
from napari_unet._napari.widgets.tab import column, labelled
from napari_unet.config import ModelConfig
from napari_unet.errors import NapariUnetError
from napari_unet.session.costs import Box, picture
from napari_unet.standard import standard_model

_HIGH, _MARGIN, _ABOVE = 120, 6.0, 16.0
#: Colour-blind-safe (Okabe and Ito 2008): halving, doubling, and what is handed across.
_DOWN, _UP, _ACROSS = "#D55E00", "#0072B2", "#999999"
_FILL = {"encoder": "#E69F00", "classifier": "#E69F00", "decoder": "#56B4E9", "input": "#999999"}
_ALARM = "QLabel { color: #D55E00; font-weight: bold; }"


class NetworkCard(QWidget):
    """A list of networks; below it the one that is chosen.

    Parameters
    ----------
    machine : Machine
        Knows the costs.
    parent : QWidget, optional
    """

    chosen = Signal(int)  #: place among `MEMBERS`

    def __init__(self, machine: Machine, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._machine = machine
        self._ndim = 2
        self.names = QComboBox()
        self.names.setPlaceholderText("Own network")
        for member in MEMBERS:
            self.names.addItem(member.name)
            here = self.names.count() - 1
            self.names.setItemData(here, member.words, Qt.ItemDataRole.ToolTipRole)
            self.names.model().item(here).setEnabled(member.available)
        self.picture = NetworkPicture(self)
        self.words, self.memory = Paragraph(), Paragraph()
        layout = column(self, margin=0)
        layout.addLayout(labelled(("&Network", self.names)))
        for widget in (self.picture, self.words, self.memory):
            layout.addWidget(widget)
        self.names.activated.connect(self.chosen)
        machine.changed.connect(self.show_costs)
        self.show_model(standard_model())

    def show_model(self, model: ModelConfig) -> None:
        """Show the network of a model."""
        index = member_of(model)
        self._ndim = model.ndim
        self.names.setCurrentIndex(-1 if index is None else index)
        words = MEMBERS[index].words if index is not None else "A network of your own."
        self.names.setToolTip(f"{words} Its size is set under Network settings; another one begins with Start again.")
        try:
            self.picture.show_boxes(picture(model))
        except NapariUnetError:
            self.picture.show_boxes(())

    def show_costs(self) -> None:
        """Show what the session told."""
        found, free = self._machine.costs, self._machine.free
        self.words.setText(in_words(found, self._ndim) if found else _sentence(self._machine.trouble))
        self.words.setVisible(bool(self.words.text()))
        self.memory.setText(memory_in_words(found, free, self._machine.where) if found else "")
        self.memory.setVisible(found is not None)
        self.memory.setStyleSheet("" if found is None or fits(found, free) else _ALARM)


class NetworkPicture(QWidget):
    """Boxes and arrows: levels from fine to coarse downwards, the order of work to the right."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._boxes: tuple[Box, ...] = ()
        self.setFixedHeight(_HIGH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Picture of the network")
        self.setToolTip(
            "Each box is a few layers; the number is how many features it finds. Downwards the image is halved, "
            "upwards it is enlarged again, and across, details are handed over."
        )

    def show_boxes(self, boxes: Sequence[Box]) -> None:
        """Draw these boxes."""
        self._boxes = tuple(boxes)
        self.setVisible(bool(boxes))
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(240, _HIGH)

    def place(self, box: Box) -> QRectF:
        """Where a box is drawn."""
        columns, levels = (1 + max(getattr(other, name) for other in self._boxes) for name in ("column", "level"))
        wide = (self.width() - 2 * _MARGIN) / columns
        high = (self.height() - _ABOVE - _MARGIN) / levels
        corner = QPointF(_MARGIN + wide * box.column, _ABOVE + high * box.level)
        return QRectF(corner.x(), corner.y(), min(0.72 * wide, 34.0), min(0.68 * high, 17.0))

    # ------------------------------------------------------------------ drawing

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for box in self._boxes:
            for source in box.sources:
                self._draw_arrow(painter, self._boxes[source], box)
        for box in self._boxes:
            self._draw_box(painter, box)

    def _draw_box(self, painter: QPainter, box: Box) -> None:
        place, text = self.place(box), self.palette().color(QPalette.ColorRole.WindowText)
        fill = QColor(_FILL.get(box.kind, "#009E73"))
        painter.setPen(QPen(fill, 1.2))
        fill.setAlphaF(0.35)
        painter.fillRect(place, self.palette().color(QPalette.ColorRole.Window))
        painter.setBrush(fill)
        painter.drawRoundedRect(place, 2, 2)
        font = painter.font()
        font.setPixelSize(9)
        painter.setFont(font)
        if painter.fontMetrics().horizontalAdvance(str(box.channels)) <= place.width() and place.height() >= 9:
            painter.setPen(text)
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, str(box.channels))

    def _draw_arrow(self, painter: QPainter, start: Box, end: Box) -> None:
        begin, stop = self.place(start), self.place(end)
        color = QColor(_ACROSS if start.level == end.level else _DOWN if start.level < end.level else _UP)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(color, 1.2))
        path = _way(start, begin, end, stop)
        painter.drawPath(path)
        tip, before = path.pointAtPercent(1), path.pointAtPercent(0.9)
        painter.setBrush(color)
        painter.drawPolygon(_head(before, tip))


def _way(start: Box, begin: QRectF, end: Box, stop: QRectF) -> QPainterPath:
    """The line of an arrow; one that would run through boxes between bends over them."""
    if start.level == end.level:
        first, last = QPointF(begin.right(), begin.center().y()), QPointF(stop.left(), stop.center().y())
        path = QPainterPath(first)
        if end.column - start.column == 1:
            path.lineTo(last)
        else:
            high = QPointF(0, -0.9 * begin.height())
            path = QPainterPath(QPointF(begin.center().x(), begin.top()))
            path.cubicTo(begin.topRight() + high, stop.topLeft() + high, QPointF(stop.center().x(), stop.top()))
        return path
    down = start.level < end.level
    path = QPainterPath(QPointF(begin.center().x(), begin.bottom() if down else begin.top()))
    if down:
        path.quadTo(QPointF(begin.center().x(), stop.center().y()), QPointF(stop.left(), stop.center().y()))
    else:
        path.quadTo(QPointF(stop.center().x(), begin.center().y()), QPointF(stop.center().x(), stop.bottom()))
    return path


def _head(before: QPointF, tip: QPointF) -> QPolygonF:
    """A small triangle at the end of a line."""
    along = tip - before
    length = max((along.x() ** 2 + along.y() ** 2) ** 0.5, 1e-6)
    along = along * (4.0 / length)
    across = QPointF(-along.y(), along.x()) * 0.5
    return QPolygonF([tip, tip - along + across, tip - along - across])


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("." if words and not words.endswith((".", "!", "?")) else "")
