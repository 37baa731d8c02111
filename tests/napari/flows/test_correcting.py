"""The tutorial *Correcting*: where a stroke helps most, object by object, and strokes that do not fit."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

PATIENCE = 180_000


@pytest.fixture
def user(look, spots):
    """Three clicks and a few strokes later: the cells of the first plane of `labels` are shown."""
    image, labels = spots((96, 112))
    made = look(image, name="cells")
    made.open_dock()
    made.new_strokes()
    made.strokes_on_both(labels)
    made.waits_until_it_shows(labels > 0)
    made.labels = labels
    return made


def test_the_key_n_leads_to_where_a_stroke_helps(user):
    before, zoom = np.array(user.viewer.scene.camera.center[-2:]), user.viewer.scene.camera.zoom
    user.press(Qt.Key.Key_N)
    user.qtbot.waitUntil(lambda: "In the middle of the view" in user.dock.status.text(), timeout=PATIENCE)
    camera = user.viewer.scene.camera
    place = np.array(camera.center[-2:])
    assert camera.zoom != zoom or not np.allclose(place, before)
    assert user.strokes.mode == "paint"
    assert user.strokes.selected_label in (1, 2)
    assert not user.strokes.data[tuple(place.astype(int))]
    step, middle = user.controller.state.step, user.canvas.native.rect().center()
    user.hand.drag(user.canvas, middle, middle + QPoint(10, 0))
    assert user.strokes.data[tuple(place.astype(int))] == user.strokes.selected_label
    user.qtbot.waitUntil(lambda: user.controller.state.step > step, timeout=PATIENCE)
    assert user.clicks == 3


def test_objects_are_accepted_and_deleted_with_keys_and_taken_back(user):
    user.stops()
    user.controller.set_live(False)
    user.segments()
    table = user.dock.review.objects
    user.goes_to(user.dock.review)
    user.click(table.list)
    user.qtbot.waitUntil(lambda: table.model.rowCount() > 3, timeout=PATIENCE)
    rows, before = user.controller.reviewing.objects.rows, user.strokes.data.copy()
    user.click(table.view.viewport(), table.view.visualRect(table.model.index(0, 0)).center())
    first, second = table.model.object_at(0), table.model.object_at(1)
    user.qtbot.keyClick(table.view, Qt.Key.Key_A)
    accepted = (user.strokes.data != before) & (user.strokes.data == 2)
    assert abs(int(accepted.sum()) - int(rows.sizes[first])) <= rows.sizes[first]
    assert accepted.any()
    painted = user.strokes.data.copy()
    user.qtbot.keyClick(table.view, Qt.Key.Key_Delete)
    deleted = user.strokes.data != painted
    assert 0 < deleted.sum() <= rows.sizes[second]
    assert (user.strokes.data[deleted] == 1).all()
    user.qtbot.keyClick(user.canvas.native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(user.strokes.data, painted)


def test_a_wrong_stroke_is_found_gone_to_and_painted_over(user):
    user.qtbot.waitUntil(lambda: user.controller.state.step >= 60, timeout=PATIENCE)  # it knows cells by then
    user.stops()
    user.controller.set_live(False)
    cell = user.labels == np.unique(user.labels[user.labels > 0])[12]
    assert not user.strokes.data[cell].any()
    user.stroke(cell)  # still background in the hand
    place = np.argwhere(cell & (user.strokes.data == 1))
    assert len(place)
    checks = user.dock.review.checks
    user.goes_to(user.dock.review)
    user.click(checks.check)
    user.qtbot.waitUntil(lambda: checks.list.count() > 0, timeout=PATIENCE)
    assert "cell" in checks.list.item(0).text()
    user.click(checks.list.viewport(), checks.list.visualItemRect(checks.list.item(0)).center())
    centre = np.array(user.viewer.scene.camera.center[-2:])
    assert np.linalg.norm(place - centre, axis=1).min() < 8
    user.press(Qt.Key.Key_2)
    user.stroke(cell)
    assert (user.strokes.data[tuple(place.T)] == 2).all()
