"""A session that plays back, layers to work on, and a dock; everything here needs napari and Qt."""

import importlib.util

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("napari", "pytestqt")):
    collect_ignore_glob = ["test_*.py", "flows"]


class FakeSession:
    """Remembers commands, and answers what the test tells it to."""

    def __init__(self):
        self.commands = []
        self.events = []
        self.closed = 0

    def send(self, command):
        self.commands.append(command)

    def poll(self):
        events, self.events = self.events, []
        return events

    def close(self):
        self.closed += 1

    def sent(self, kind):
        """Commands of one kind, in order."""
        return [command for command in self.commands if isinstance(command, kind)]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def projects(tmp_path, monkeypatch):
    """The folder of projects without an image file, away from the user's own."""
    folder = tmp_path / "projects"
    monkeypatch.setenv("NAPARI_UNET_PROJECTS", str(folder))
    return folder


class Hand:
    """Mouse and keys, as the window system tells of them."""

    @staticmethod
    def canvas(viewer):
        """The canvas of a window."""
        return viewer.window._qt_viewer.canvas

    @staticmethod
    def press(canvas, key):
        """A key on the canvas."""
        from qtpy.QtTest import QTest

        QTest.keyClick(canvas.native, key)

    @staticmethod
    def drag(canvas, start, stop):
        """Draw a line with the left mouse button held down."""
        from qtpy.QtCore import QEvent, QPointF, Qt
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtWidgets import QApplication

        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton

        def send(kind, place, button, held):
            where = QPointF(canvas.native.mapToGlobal(place))
            event = QMouseEvent(kind, QPointF(place), where, button, held, Qt.KeyboardModifier.NoModifier)
            QApplication.sendEvent(canvas.native, event)
            QApplication.processEvents()

        send(QEvent.Type.MouseMove, start, none, none)
        send(QEvent.Type.MouseButtonPress, start, left, left)
        for part in np.linspace(0, 1, 9)[1:]:
            send(QEvent.Type.MouseMove, start + (stop - start) * float(part), none, left)
        send(QEvent.Type.MouseButtonRelease, stop, left, none)


@pytest.fixture
def hand():
    return Hand()


@pytest.fixture
def session():
    return FakeSession()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def viewer():
    """A viewer without a window, with one image."""
    from napari.components import ViewerModel

    model = ViewerModel()
    model.add_image(np.random.default_rng(0).random((40, 60), dtype=np.float32), name="image")
    return model


@pytest.fixture
def controller(viewer, session, clock):
    from napari_unet._napari.controller import Controller

    made = Controller(viewer, session, clock)
    yield made
    made.close()


@pytest.fixture
def paint_both():
    """Paints strokes of both classes, as the brush makes them."""

    def paint(layer):
        layer.brush_size = 3
        layer.paint((5,) * layer.ndim, 1)
        layer.paint((15,) * layer.ndim, 2)

    return paint


@pytest.fixture
def painted(controller, paint_both):
    """The controller with strokes of both classes, and nothing that starts by itself."""
    controller.set_live(False)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    controller.tick()
    return controller
