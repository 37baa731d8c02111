"""The states of the network that can be gone back to."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QPointF, QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_unet._napari.course import Course, Mark
from napari_unet._napari.widgets.paragraph import Paragraph
from napari_unet._napari.widgets.tab import button

_HINT = "Click a mark to take the network back to that state."
_HIGH, _MARGIN, _NEAR = 24, 12.0, 14.0
_KEYS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}


class Timeline(QWidget):
    """Marks to click, what the one under the mouse is, and a button that undoes.

    Parameters
    ----------
    course : Course
    parent : QWidget, optional
    """

    chosen = Signal(int)  #: the user wants the state of this step

    def __init__(self, course: Course, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._course = course
        self.marks = _Marks(course, self)
        self.words = Paragraph(_HINT)
        self.undo = button("Undo", "Make the network again what it was before you took it back.")
        row = QHBoxLayout()
        row.addWidget(self.words, 1)
        row.addWidget(self.undo)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.marks)
        layout.addLayout(row)
        self.marks.chosen.connect(self.chosen)
        self.marks.pointed.connect(self._on_pointed)
        self.undo.clicked.connect(self._on_undo)
        course.changed.connect(self.show_course)
        self.show_course()

    def show_course(self) -> None:
        """Show the states there are; nothing while there are none."""
        self.setVisible(bool(self._course.marks))
        self.undo.setVisible(self._course.undo is not None)
        if self._course.undo is not None:
            self.undo.setText(f"Undo: step {self._course.undo:,}")
        self.marks.update()

    def _on_pointed(self, mark: Mark | None) -> None:
        words = _HINT if mark is None else mark.in_words()
        self.words.setText(words[:1].upper() + words[1:])

    def _on_undo(self) -> None:
        if self._course.undo is not None:
            self.chosen.emit(self._course.undo)


class _Marks(QWidget):
    """A line with a mark for each state, evenly spread: the newest would lie on each other by their steps."""

    chosen = Signal(int)
    pointed = Signal(object)

    def __init__(self, course: Course, parent: QWidget) -> None:
        super().__init__(parent)
        self._course = course
        self._pointed: int | None = None
        self.setMinimumHeight(_HIGH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Earlier states of the network")
        self.setToolTip(
            "Earlier states, from the oldest to the newest; the filled one is in use, the diamond is the best. Click "
            "one to take the network back, or choose with the arrow keys and press Enter. It can be undone."
        )

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(200, _HIGH)

    def place(self, index: int) -> QPointF:
        """Where the mark of a state is, pixels."""
        count = len(self._course.marks)
        room = self.width() - 2 * _MARGIN
        return QPointF(_MARGIN + room * (index / (count - 1) if count > 1 else 0.5), self.height() / 2)

    # ------------------------------------------------------------------ mouse and keys

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self._point_at(self._nearest(event.position()))

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self._point_at(self._nearest(event.position()))
        self._choose()

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        self._point_at(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        key, last = event.key(), len(self._course.marks) - 1
        if key in _KEYS and last >= 0:
            start = self._current() if self._pointed is None else self._pointed
            self._point_at(min(max(start + _KEYS[key], 0), last))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._choose()
        else:
            super().keyPressEvent(event)

    def _choose(self) -> None:
        if self._pointed is not None and self._pointed < len(self._course.marks):
            self.chosen.emit(self._course.marks[self._pointed].state.step)

    def _point_at(self, index: int | None) -> None:
        if index == self._pointed:
            return
        self._pointed = index
        self.pointed.emit(None if index is None else self._course.marks[index])
        self.update()

    def _nearest(self, at: QPointF) -> int | None:
        """The mark under the mouse."""
        away = [(abs(self.place(i).x() - at.x()), i) for i in range(len(self._course.marks))]
        return min(away)[1] if away and min(away)[0] <= _NEAR else None

    def _current(self) -> int:
        """The mark of the state in use, or the newest."""
        steps = [mark.state.step for mark in self._course.marks]
        return steps.index(self._course.step) if self._course.step in steps else len(steps) - 1

    # ------------------------------------------------------------------ drawing

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        if not self._course.marks:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color = self.palette().color(QPalette.ColorRole.WindowText)
        window = self.palette().color(QPalette.ColorRole.Window)
        painter.setPen(QPen(color, 1))
        painter.drawLine(self.place(0), self.place(len(self._course.marks) - 1))
        for index, mark in enumerate(self._course.marks):
            used = mark.state.step == self._course.step
            painter.setBrush(color if used else window)
            painter.setPen(QPen(color, 2.5 if index == self._pointed else 1.3))
            size = 7.0 if used or index == self._pointed else 5.0
            if mark.state.best:
                painter.drawPolygon(diamond(self.place(index), size + 1))
            else:
                painter.drawEllipse(self.place(index), size, size)


def diamond(at: QPointF, size: float) -> QPolygonF:
    """A square on its corner."""
    return QPolygonF([at + QPointF(x, y) for x, y in ((0, -size), (size, 0), (0, size), (-size, 0))])
