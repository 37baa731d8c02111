"""A hand that paints on a napari canvas with real mouse events, and a heartbeat that finds where the GUI stalls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import QElapsedTimer, QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

BEAT_MS = 5
MOVE_MS = 16  # a mouse that reports 60 times a second
STROKE_MOVES, PAUSE_MOVES = 45, 15


class Heartbeat:
    """Records the time between beats of a 5 ms timer; a gap is what a user feels as a stall."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._clock = QElapsedTimer()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)

    def start(self) -> None:
        """Forget what was and beat."""
        self.gaps = []
        self._clock.start()
        self._timer.start(BEAT_MS)

    def stop(self) -> dict[str, float]:
        """Stop, and tell longest gap, 99th percentile and median in milliseconds."""
        self._timer.stop()
        gaps = np.array(self.gaps)
        return {
            "longest": float(gaps.max()),
            "p99": float(np.percentile(gaps, 99)),
            "median": float(np.median(gaps)),
            "beats": float(gaps.size),
        }

    def _beat(self) -> None:
        self.gaps.append(self._clock.nsecsElapsed() / 1e6)
        self._clock.restart()


class Hand:
    """Paints curved strokes on a canvas, 60 moves a second, with pauses between them.

    Parameters
    ----------
    canvas : QWidget
        The native widget of the viewer's canvas.
    seed : int
        Seed of the strokes.

    Attributes
    ----------
    moves : int
        Events of the mouse so far.
    latencies : list of float
        Milliseconds from each event of the mouse to the end of the next drawing.
    """

    def __init__(self, canvas: QWidget, seed: int = 0) -> None:
        self._canvas = canvas
        self._sent: float | None = None
        self.latencies: list[float] = []
        canvas._vispy_canvas.events.draw.connect(self._on_draw, position="last")
        self._rng = np.random.default_rng(seed)
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._move)
        self._place, self._heading, self._count = np.zeros(2), 0.0, 0
        self.moves = 0

    def start(self) -> None:
        """Begin to paint."""
        self._count = 0
        self._timer.start(MOVE_MS)

    def stop(self) -> None:
        """Lift the brush."""
        self._timer.stop()
        if 0 < self._count <= STROKE_MOVES:
            self._send(QEvent.Type.MouseButtonRelease)

    def _move(self) -> None:
        if self._count == 0:
            self._place = self._rng.uniform(0.3, 0.7, 2) * self._size()
            self._heading = self._rng.uniform(0, 2 * np.pi)
            self._send(QEvent.Type.MouseButtonPress)
        elif self._count < STROKE_MOVES:
            self._heading += self._rng.normal(0, 0.15)
            step = 3 * np.array([np.cos(self._heading), np.sin(self._heading)])
            self._place = np.clip(self._place + step, 0.05 * self._size(), 0.95 * self._size())
            self._send(QEvent.Type.MouseMove)
        elif self._count == STROKE_MOVES:
            self._send(QEvent.Type.MouseButtonRelease)
        self._count = (self._count + 1) % (STROKE_MOVES + PAUSE_MOVES)
        self.moves += 1

    def _on_draw(self, _: object) -> None:
        """What the mouse did last is on the screen."""
        if self._sent is not None:
            self.latencies.append(1000 * (time.perf_counter() - self._sent))
            self._sent = None

    def _size(self) -> Any:
        return np.array([self._canvas.width(), self._canvas.height()])

    def _send(self, kind: QEvent.Type) -> None:
        """Give the canvas an event as the window system would."""
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        local = QPointF(*map(float, self._place))
        on_screen = QPointF(self._canvas.mapToGlobal(QPoint(int(local.x()), int(local.y()))))
        button = none if kind == QEvent.Type.MouseMove else left
        held = none if kind == QEvent.Type.MouseButtonRelease else left
        event = QMouseEvent(kind, local, on_screen, button, held, Qt.KeyboardModifier.NoModifier)
        self._sent = time.perf_counter() if self._sent is None else self._sent
        QApplication.sendEvent(self._canvas, event)


def spin(seconds: float) -> None:
    """Let the event loop run, as it does for a user."""
    loop = QEventLoop()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Let the event loop run until the condition holds; the program ends when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds:g} s in vain: {what}")
        spin(0.02)
