"""The page *Train* in a real window, with real clicks, and a session that really learns."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet._napari.guidance import Phase
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.synthetic import touching_cells
from napari_unet.session.inline import InlineSession
from napari_unet.standard import standard_model

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


def is_shown(dock):
    """Whether the view is predicted by the network as it is."""
    live = dock.controller._live
    return dock.controller._client.view is None and not live._learnt and live._moved is None


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
    qtbot.waitUntil(lambda: is_shown(dock), timeout=20_000)
    late = in_view(dock)
    assert not dock.train.timeline.undo.isVisible()
    click(qtbot, marks, marks.place(0).toPoint())
    qtbot.waitUntil(lambda: dock.controller.state.step == 50, timeout=5000)
    qtbot.waitUntil(lambda: (in_view(dock) != late).any(), timeout=20_000)
    assert "step 50" in dock.status.text()
    click(qtbot, dock.train.timeline.undo)
    qtbot.waitUntil(lambda: dock.controller.state.step == now, timeout=5000)
    qtbot.waitUntil(lambda: (in_view(dock) == late).all(), timeout=20_000)


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


# ---------------------------------------------------------------------- what it begins with, and learns from


@pytest.mark.parametrize(("name", "width", "seconds"), [("Quick", 16, 60), ("Best", 32, 3600)])
def test_a_preset_fills_all_forms_and_own_settings_are_no_preset(dock, qtbot, name, width, seconds):
    dock.train.settings.unfold()
    dock.train.network.unfold()
    box = dock.train.preset
    assert box.currentIndex() == -1
    while box.currentText() != name:
        qtbot.keyClick(box, Qt.Key.Key_Down)
    controller = dock.controller
    assert (controller.model.width, controller.training.seconds) == (width, seconds)
    assert dock.train.network.form.value().width == width
    assert dock.train.budget.value() == seconds
    assert dock.train.settings.form.value().augment == controller.training.augment
    controller.set_model(controller.model.replace(width=5))
    assert box.currentIndex() == -1


def test_it_says_what_training_begins_with(trained, qtbot, tmp_path, monkeypatch):
    from napari_unet._napari.widgets import model_file

    page = trained.train
    assert "from the model in use" in page.start.text()
    path = tmp_path / "cells.unet"
    trained.controller.save(path)
    qtbot.waitUntil(path.exists, timeout=5000)
    step = trained.controller.state.step
    click(qtbot, page.again)
    assert "random weights" in page.start.text()
    assert "random weights" in trained.controller.state.message
    trained.controller.set_model(standard_model())
    assert "weights that come with napari-unet" in page.start.text()
    monkeypatch.setattr(model_file.QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    click(qtbot, page.from_file)
    qtbot.waitUntil(lambda: trained.controller.state.step == step, timeout=10_000)
    assert f"{step:,} steps" in page.start.text()
    click(qtbot, page.toggle)
    wait_for_step(qtbot, trained, step + 2)


def learnt_from(dock):
    """Annotated pixels of each image that the trainer has."""
    trainer = dock.controller._client._session._core._trainer
    return sorted(int(example.annotation.counts.sum()) for example in trainer._sampler.examples.values())


def test_strokes_on_every_image_count(painted, cells, qtbot):
    dock, controller = painted, painted.controller
    first = int((controller.link.strokes.data > 0).sum())
    controller.choose_image(dock.viewer.add_image(cells.image[:64, :80].copy(), name="second"))
    controller.new_strokes()
    controller.link.strokes.data[10:12, 10:40] = 2
    controller.link.strokes.refresh()
    click(qtbot, dock.train.toggle)
    wait_for_step(qtbot, dock, 2)
    assert learnt_from(dock) == [60, first]
    assert "cells" in dock.train.sources.text()
    assert "second (60 pixels" in dock.train.sources.text()


def test_another_image_joins_a_training_under_way_with_its_first_stroke(painted, cells, qtbot):
    dock, controller = painted, painted.controller
    controller.set_live(True)
    click(qtbot, dock.train.toggle)
    wait_for_step(qtbot, dock, 2)
    controller.choose_image(dock.viewer.add_image(cells.image[:64, :80].copy(), name="second"))
    controller.new_strokes()
    layer = controller.link.strokes
    layer.brush_size = 4
    layer.paint((20, 20), 2)
    count = int((layer.data > 0).sum())
    qtbot.waitUntil(lambda: count in learnt_from(dock), timeout=5000)
    assert "second" in dock.train.sources.text()
    dock.viewer.layers.remove("second")
    qtbot.waitUntil(lambda: len(learnt_from(dock)) == 1, timeout=5000)


def test_an_image_that_does_not_fit_is_refused_in_a_sentence_and_training_goes_on(painted, qtbot):
    dock, controller = painted, painted.controller
    click(qtbot, dock.train.toggle)
    wait_for_step(qtbot, dock, 2)
    controller.choose_image(dock.viewer.add_image(np.zeros((40, 50, 3), np.uint8), rgb=True, name="colour"))
    controller.new_strokes()
    controller.link.strokes.paint((20, 20), 2)
    qtbot.waitUntil(lambda: "reads 1 channel(s) and this image has 3" in dock.status.text(), timeout=5000)
    step = controller.state.step
    wait_for_step(qtbot, dock, step + 2)


# ---------------------------------------------------------------------- what it is shown


def pictures(dock):
    return [cell.pixmap().toImage() for cell in dock.train.gallery.cells]


def test_six_patches_with_targets_before_any_training(painted, qtbot):
    gallery = painted.train.gallery
    gallery.expand(animate=False)
    qtbot.waitUntil(lambda: not gallery.cells[-1].pixmap().isNull(), timeout=5000)
    first = pictures(painted)
    assert len(first) == 12
    assert not painted.controller.state.step
    assert has_color(first[3], "#56B4E9") or has_color(first[3], "#E69F00")
    assert not has_color(first[0], "#56B4E9")
    click(qtbot, gallery.others)
    qtbot.waitUntil(lambda: pictures(painted)[0] != first[0], timeout=5000)
    assert painted.controller.state.phase is Phase.IDLE


def has_color(picture, name):
    """Whether a hue of a class is in a picture, however dark."""
    from qtpy.QtGui import QColor

    hue = QColor(name).hue()
    pixels = [picture.pixelColor(x, y) for x in range(picture.width()) for y in range(picture.height())]
    return any(pixel.saturation() > 60 and abs(pixel.hue() - hue) < 15 for pixel in pixels)


def test_patches_while_it_learns_do_not_disturb_it(painted, qtbot):
    click(qtbot, painted.train.toggle)
    wait_for_step(qtbot, painted, 2)
    painted.train.gallery.expand(animate=False)
    qtbot.waitUntil(lambda: not painted.train.gallery.cells[-1].pixmap().isNull(), timeout=5000)
    wait_for_step(qtbot, painted, painted.controller.state.step + 3)


def test_without_strokes_it_says_what_to_do(dock, qtbot):
    dock.train.gallery.expand(animate=False)
    assert "press New strokes" in dock.status.text()
