"""Rude users in a real window, with mouse and keys: a sentence, never a traceback, never a lost stroke.

pytest-qt fails a test in which a slot or an event handler raises; napari's own error pop-ups are looked at here.
"""

import numpy as np
import pytest
from napari.utils.notifications import ErrorNotification, notification_manager
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_unet._napari.guidance import Phase
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.session.inline import InlineSession
from napari_unet.session.projects import read_project

PATIENCE = 120_000


@pytest.fixture(autouse=True)
def no_traceback():
    """napari shows what nobody caught as an error notification with a traceback."""
    before = len(notification_manager.records)
    yield
    caught = [one for one in list(notification_manager.records)[before:] if isinstance(one, ErrorNotification)]
    assert not caught, [one.message for one in caught]


def open_dock(viewer):
    made = UNetWidget(viewer, InlineSession("cpu"))
    viewer.window.add_dock_widget(made, name="U-Net segmentation")
    made.controller.set_model(ModelConfig(width=2, depth=1))
    made.controller.training = TrainConfig(patch_size=16, batch_size=1)
    return made


@pytest.fixture
def window(make_napari_viewer):
    """A window with an image and the dock; strokes on both classes were drawn with the mouse."""
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.random.default_rng(0).random((48, 64), dtype=np.float32), name="image")
    return viewer


@pytest.fixture
def dock(window):
    made = open_dock(window)
    yield made
    made.close_session()


@pytest.fixture
def learning(window, dock, hand, qtbot):
    """Learning from two strokes by itself."""
    dock.annotate.new_strokes.click()
    draw_both(window, hand)
    qtbot.waitUntil(lambda: dock.controller.state.step > 1, timeout=PATIENCE)
    return dock


def middle(viewer):
    native = viewer.window._qt_viewer.canvas.native
    return QPoint(native.width() // 2, native.height() // 2)


def draw_both(viewer, hand):
    canvas = hand.canvas(viewer)
    hand.drag(canvas, middle(viewer), middle(viewer) + QPoint(40, 0))
    hand.press(canvas, Qt.Key.Key_1)
    hand.drag(canvas, middle(viewer) + QPoint(0, 60), middle(viewer) + QPoint(40, 60))
    hand.press(canvas, Qt.Key.Key_2)


def choose(combo, name):
    """Take an entry as a user does."""
    combo.setCurrentText(name)
    combo.activated.emit(combo.currentIndex())


def kept_strokes(dock, qtbot):
    """What the project holds of the strokes, once everything is on the disk."""
    project = dock.controller.safe.project
    qtbot.waitUntil(lambda: project.keeping.folder is not None, timeout=PATIENCE)
    dock.close_session()
    layers = read_project(project.keeping.folder).state.layers
    return {layer.name: layer.array() for layer in layers.values()}


@pytest.mark.parametrize("rude", ["deleted", "renamed", "replaced"])
def test_the_image_is_deleted_renamed_or_replaced_while_it_learns(window, learning, hand, qtbot, rude):
    image, strokes = window.layers["image"], window.layers["Strokes"]
    hand.drag(hand.canvas(window), middle(window) + QPoint(-60, -40), middle(window) + QPoint(-20, -40))
    painted = strokes.data.copy()
    if rude == "deleted":
        window.layers.remove(image)
    elif rude == "renamed":
        image.name = "another name"
    else:
        image.data = np.zeros((20, 30), np.float32)
    if rude == "renamed":
        step = learning.controller.state.step
        qtbot.waitUntil(lambda: learning.controller.state.step > step, timeout=PATIENCE)
    else:
        qtbot.waitUntil(lambda: learning.controller.state.phase is Phase.IDLE, timeout=PATIENCE)
        learning.train.toggle.click()
        qtbot.wait(200)
        assert learning.controller.state.phase is Phase.IDLE
        assert learning.status.text()
    assert np.array_equal(strokes.data, painted)
    assert np.array_equal(kept_strokes(learning, qtbot)["Strokes"], painted)


def test_strokes_of_another_shape(window, dock, hand, qtbot):
    other = window.add_labels(np.zeros((30, 30), np.uint8), name="small")
    dock.controller.choose_strokes(other)
    other.mode, other.selected_label = "paint", 2
    hand.drag(hand.canvas(window), middle(window), middle(window) + QPoint(30, 0))
    dock.train.toggle.click()
    assert "have the shape (30, 30)" in dock.status.text()
    qtbot.wait(200)
    assert dock.controller.state.phase is Phase.IDLE


def test_three_hundred_classes(window, dock, hand, qtbot):
    dock.annotate.new_strokes.click()
    classes = dock.annotate.classes
    classes._offer([f"class {number}" for number in range(250)], ())
    for _ in range(10):
        classes._add.click()
    assert len(dock.controller.model.classes) < 256
    assert dock.controller.state.failed
    assert "classes" in dock.status.text()
    classes._offer([f"class {number}" for number in range(300)], ())
    assert len(dock.controller.model.classes) < 256
    draw_both(window, hand)
    painted = window.layers["Strokes"].data.copy()
    assert painted.any()
    qtbot.waitUntil(lambda: dock.controller.state.step > 0, timeout=PATIENCE)
    assert np.array_equal(kept_strokes(dock, qtbot)["Strokes"], painted)


def test_another_image_in_the_middle_of_a_stroke(window, learning, hand, qtbot):
    first, strokes = window.layers["image"], window.layers["Strokes"]
    second = window.add_image(np.zeros((48, 64), np.float32), name="second")
    window.layers.selection.active = strokes
    native = hand.canvas(window).native
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton

    def mouse(kind, place, button, held):
        where = QPointF(native.mapToGlobal(place))
        QApplication.sendEvent(
            native, QMouseEvent(kind, QPointF(place), where, button, held, Qt.KeyboardModifier.NoModifier)
        )
        QApplication.processEvents()

    start = middle(window) + QPoint(-60, -60)
    before = strokes.data.copy()
    mouse(QEvent.Type.MouseButtonPress, start, left, left)
    mouse(QEvent.Type.MouseMove, start + QPoint(20, 0), none, left)
    choose(learning.annotate.image, "second")
    assert learning.controller.link.image is second
    mouse(QEvent.Type.MouseMove, start + QPoint(40, 0), none, left)
    mouse(QEvent.Type.MouseButtonRelease, start + QPoint(40, 0), left, none)
    assert (strokes.data != before).any()
    qtbot.wait(300)
    choose(learning.annotate.image, "image")
    assert learning.controller.link.image is first
    qtbot.waitUntil(lambda: sum(learning.controller.state.painted) == np.count_nonzero(strokes.data), timeout=PATIENCE)
    assert np.array_equal(kept_strokes(learning, qtbot)["Strokes"], strokes.data)


def test_two_viewers_learn_and_one_is_closed(make_napari_viewer, window, learning, qtbot):
    other = make_napari_viewer()  # two canvases that draw at once end in an error of OpenGL under Xvfb
    other.add_image(np.random.default_rng(1).random((48, 64), dtype=np.float32), name="other")
    second = open_dock(other)
    second.annotate.new_strokes.click()
    for value in (1, 2):
        other.layers["Strokes"].paint((12 * value, 20), value)
    qtbot.waitUntil(lambda: second.controller.state.step > 1, timeout=PATIENCE)
    assert other.layers["Strokes"] is not window.layers["Strokes"]
    second.close_session()
    other.close()
    step = learning.controller.state.step
    qtbot.waitUntil(lambda: learning.controller.state.step > step, timeout=PATIENCE)
    assert not learning.controller.state.failed


@pytest.mark.parametrize("why", ["no permission", "no space"])
def test_a_project_that_cannot_be_written(window, dock, hand, qtbot, monkeypatch, why):
    from napari_unet.io import journal

    real, code = journal.os.fsync, {"no permission": 13, "no space": 28}[why]

    def refuse(_):
        raise OSError(code, why)

    monkeypatch.setattr(journal.os, "fsync", refuse)
    monkeypatch.setattr("napari_unet.session.keeper.RETRY_SECONDS", 0.2)
    dock.annotate.new_strokes.click()
    draw_both(window, hand)
    qtbot.waitUntil(lambda: why in dock.controller.safe.project.keeping.trouble, timeout=PATIENCE)
    qtbot.waitUntil(lambda: dock.controller.state.step > 1, timeout=PATIENCE)
    monkeypatch.setattr(journal.os, "fsync", real)
    hand.drag(hand.canvas(window), middle(window) + QPoint(-60, -40), middle(window) + QPoint(-20, -40))
    painted = window.layers["Strokes"].data.copy()
    qtbot.waitUntil(lambda: not dock.controller.safe.project.keeping.trouble, timeout=PATIENCE)
    assert np.array_equal(kept_strokes(dock, qtbot)["Strokes"], painted)


def test_train_pressed_fifty_times_with_the_mouse(window, learning, qtbot):
    painted = window.layers["Strokes"].data.copy()
    learning.show_page(learning.train)
    for _ in range(50):
        qtbot.mouseClick(learning.train.toggle, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: learning.controller.state.phase in (Phase.IDLE, Phase.TRAINING), timeout=PATIENCE)
    if learning.controller.state.phase is Phase.IDLE:
        qtbot.waitUntil(learning.train.toggle.isEnabled, timeout=PATIENCE)
        qtbot.mouseClick(learning.train.toggle, Qt.MouseButton.LeftButton)
    step = learning.controller.state.step
    qtbot.waitUntil(lambda: learning.controller.state.step > step, timeout=PATIENCE)
    assert not learning.controller.state.failed
    assert np.array_equal(kept_strokes(learning, qtbot)["Strokes"], painted)
