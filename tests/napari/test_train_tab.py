"""The page *Train* in a real window, with real clicks, and a session that really learns."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet._napari.guidance import Phase
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.synthetic import touching_cells
from napari_unet.session.inline import InlineSession

SMALL = ModelConfig(width=4, depth=2)
QUICK = TrainConfig(patch_size=32, batch_size=1)
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(scope="module")
def cells():
    return touching_cells((96, 112), seed=3)


@pytest.fixture
def dock(make_napari_viewer, cells):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(cells.image, name="cells")
    made = UNetWidget(viewer, InlineSession("cpu"))
    viewer.window.add_dock_widget(made, name="U-Net segmentation")
    made.viewer = viewer
    made.controller.set_model(SMALL)
    made.train.settings.setValue(QUICK)
    made.train._on_settings()
    made.controller.set_live(False)
    made.show_page(made.train)
    yield made
    made.close_session()


@pytest.fixture
def painted(dock, cells):
    dock.controller.new_strokes()
    strokes = dock.controller.link.strokes
    strokes.data[::6] = np.where(cells.labels[::6] > 0, 2, 1)
    strokes.refresh()
    return dock


def click(qtbot, widget, at=None):
    qtbot.mouseClick(widget, LEFT, pos=at) if at is not None else qtbot.mouseClick(widget, LEFT)


def wait_for_step(qtbot, dock, step):
    qtbot.waitUntil(lambda: dock.controller.state.step >= step, timeout=60_000)


def wait_until_idle(qtbot, dock):
    qtbot.waitUntil(lambda: dock.controller.state.phase is Phase.IDLE, timeout=10_000)


@pytest.fixture
def trained(painted, qtbot):
    """Stopped after more than 100 steps, with states to go back to."""
    click(qtbot, painted.train.toggle)
    wait_for_step(qtbot, painted, 110)
    click(qtbot, painted.train.toggle)
    wait_until_idle(qtbot, painted)
    return painted


def steps(dock):
    return [mark.state.step for mark in dock.controller.teaching.course.marks]


def in_view(dock):
    return dock.viewer.layers["Probability"].data.copy()


def test_a_pause_holds_whatever_is_painted_and_go_on_continues_the_budget(painted, qtbot):
    painted.train.budget.setValue(600.0)
    painted.controller.set_live(True)
    click(qtbot, painted.train.toggle)
    wait_for_step(qtbot, painted, 5)
    click(qtbot, painted.train.pause)
    wait_until_idle(qtbot, painted)
    step = painted.controller.state.step
    assert painted.train.pause.text() == "Go on"
    assert "Paused" in painted.status.text()
    painted.controller.link.strokes.paint((40, 50), 2)
    qtbot.wait(300)
    assert painted.controller.state.step == step
    used = painted.controller._client._session._core._trainer._budget.used
    click(qtbot, painted.train.pause)
    wait_for_step(qtbot, painted, step + 3)
    assert painted.controller._client._session._core._trainer._budget.before >= used > 0
    assert painted.train.pause.text() == "Pause"


def test_stop_ends_a_pause(painted, qtbot):
    click(qtbot, painted.train.toggle)
    wait_for_step(qtbot, painted, 2)
    click(qtbot, painted.train.pause)
    wait_until_idle(qtbot, painted)
    click(qtbot, painted.train.toggle)
    assert painted.train.toggle.text() == "Train"
    assert not painted.train.pause.isEnabled()


def test_a_click_on_the_time_line_is_seen_at_once_and_can_be_undone(trained, qtbot):
    dock, marks = trained, trained.train.timeline.marks
    before, now = steps(dock), dock.controller.state.step
    assert before[0] == 50
    assert before[-1] == now
    qtbot.waitUntil(lambda: "Probability" in dock.viewer.layers and in_view(dock).any(), timeout=10_000)
    qtbot.wait(500)
    late = in_view(dock)
    assert not dock.train.timeline.undo.isVisible()
    click(qtbot, marks, marks.place(0).toPoint())
    qtbot.waitUntil(lambda: dock.controller.state.step == 50, timeout=5000)
    qtbot.waitUntil(lambda: (in_view(dock) != late).any(), timeout=5000)
    assert "step 50" in dock.status.text()
    click(qtbot, dock.train.timeline.undo)
    qtbot.waitUntil(lambda: dock.controller.state.step == now, timeout=5000)
    qtbot.waitUntil(lambda: (in_view(dock) == late).all(), timeout=5000)


def test_going_back_while_it_learns_stops_there_and_keeps_what_was_learnt(painted, qtbot):
    dock, marks = painted, painted.train.timeline.marks
    click(qtbot, dock.train.toggle)
    wait_for_step(qtbot, dock, 72)
    click(qtbot, marks, marks.place(0).toPoint())
    wait_until_idle(qtbot, dock)
    assert dock.controller.state.step == 50
    assert steps(dock)[-1] >= 72
    click(qtbot, dock.train.timeline.undo)
    qtbot.waitUntil(lambda: dock.controller.state.step >= 72, timeout=5000)
    click(qtbot, dock.train.toggle)
    wait_for_step(qtbot, dock, 80)


def test_keys_alone_go_back(trained, qtbot):
    marks = trained.train.timeline.marks
    marks.setFocus()
    qtbot.keyClick(marks, Qt.Key.Key_Left)
    assert trained.train.timeline.words.text().startswith(f"Step {steps(trained)[-2]}")
    qtbot.keyClick(marks, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: trained.controller.state.step == steps(trained)[-2], timeout=5000)


def test_a_few_strokes_say_in_words_that_there_is_no_score(trained):
    assert "No score yet" in trained.train.curve.words.text()
    assert "too few strokes" in trained.train.curve.words.text()
    assert "Loss" in trained.train.curve.words.text()
