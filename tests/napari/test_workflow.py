"""The whole way in a real viewer, with mouse and buttons, and a session that really learns."""

import os
import signal
import subprocess
import sys
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

import napari_unet as nu
from napari_unet._napari.guidance import Phase
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.synthetic import touching_cells
from napari_unet.session.inline import InlineSession
from napari_unet.session.process import ProcessSession

SMALL = ModelConfig(width=4, depth=2)
QUICK = TrainConfig(patch_size=48, batch_size=2)
SHM = Path("/dev/shm")


@pytest.fixture(scope="module")
def cells():
    return touching_cells((96, 112), seed=3)


def open_dock(viewer, session):
    made = UNetWidget(viewer, session)
    viewer.window.add_dock_widget(made, name="U-Net segmentation")
    made.controller.set_model(SMALL)
    made.controller.training = QUICK
    return made


@pytest.fixture
def dock(make_napari_viewer, cells):
    """A dock with a session in this process, small enough to learn within a second or two."""
    viewer = make_napari_viewer()
    viewer.add_image(cells.image, name="cells")
    made = open_dock(viewer, InlineSession("cpu"))
    made.viewer = viewer
    yield made
    made.close_session()


def paint_truth(layer, labels, every=3):
    """Strokes along every third row, as exact as a patient user's."""
    rows = slice(None, None, every)
    layer.data[rows] = np.where(labels[rows] > 0, 2, 1)
    layer.refresh()


def train_some(dock, cells, qtbot, steps=5):
    dock.annotate.new_strokes.click()
    paint_truth(dock.controller.link.strokes, cells.labels)
    dock.train.toggle.click()
    qtbot.waitUntil(lambda: dock.controller.state.step >= steps, timeout=60_000)


def idle(dock):
    return dock.controller.state.phase is Phase.IDLE


def test_one_click_and_two_strokes_to_a_prediction_and_none_to_a_corrected_one(make_napari_viewer, cells, qtbot, hand):
    """With the two clicks that open the dock from the menu these are three; strokes and keys are no clicks."""
    viewer = make_napari_viewer(show=True)
    viewer.add_image(cells.image)
    dock = open_dock(viewer, InlineSession("cpu"))
    qtbot.mouseClick(dock.annotate.new_strokes, Qt.MouseButton.LeftButton)
    canvas = hand.canvas(viewer)
    middle = QPoint(canvas.native.width() // 2, canvas.native.height() // 2)
    hand.drag(canvas, middle, middle + QPoint(30, 0))
    strokes = dock.controller.link.strokes
    assert (strokes.data == 2).sum() > 12
    hand.press(canvas, Qt.Key.Key_1)
    assert strokes.selected_label == 1
    hand.drag(canvas, middle + QPoint(0, 60), middle + QPoint(40, 60))
    qtbot.waitUntil(lambda: "Prediction" in viewer.layers and viewer.layers["Prediction"].data.any(), timeout=60_000)
    assert viewer.layers.selection.active is strokes
    assert strokes.mode == "paint"
    assert viewer.layers["Probability"].data.any()
    before, step = viewer.layers["Probability"].data.copy(), dock.controller.state.step
    hand.press(canvas, Qt.Key.Key_2)
    hand.drag(canvas, middle + QPoint(-60, -60), middle + QPoint(-20, -60))
    qtbot.waitUntil(lambda: (viewer.layers["Probability"].data != before).any(), timeout=60_000)
    assert dock.controller.state.step > step
    dock.close_session()


def test_the_layer_holds_the_pixels_that_the_saved_model_predicts(dock, cells, qtbot, tmp_path):
    train_some(dock, cells, qtbot, steps=40)
    dock.train.toggle.click()
    qtbot.waitUntil(lambda: idle(dock), timeout=10_000)
    dock.segment.start.click()
    qtbot.waitUntil(lambda: dock.controller.state.progress is None, timeout=60_000)
    layer = dock.controller.link.prediction
    prediction = layer.data.copy()
    assert set(np.unique(prediction)) <= {1, 2}
    path = tmp_path / "model.unet"
    dock.controller.save(path)
    qtbot.waitUntil(path.exists, timeout=5000)
    assert np.array_equal(nu.Model.load(path).predict(cells.image), prediction)
    dock.controller.start_again()
    dock.controller.load(path)
    qtbot.waitUntil(lambda: dock.controller.state.step >= 40, timeout=10_000)
    layer.data[:] = 0
    dock.segment.start.click()
    qtbot.waitUntil(lambda: dock.controller.state.progress is None, timeout=60_000)
    assert np.array_equal(layer.data, prediction)


def test_corrections_enter_a_running_training(dock, cells, qtbot):
    train_some(dock, cells, qtbot)
    dock.controller.link.strokes.paint((50, 50), 1)
    step = dock.controller.state.step
    qtbot.waitUntil(lambda: dock.controller.state.step > step + 2, timeout=30_000)
    assert not dock.controller.state.failed


# ---------------------------------------------------------------------- a process of its own


def shared_names():
    return {path.name for path in SHM.glob(f"nu{os.getpid()}-*")} if SHM.is_dir() else set()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def process_dock(make_napari_viewer, cells):
    viewer = make_napari_viewer()
    viewer.add_image(cells.image, name="cells")
    session = ProcessSession("cpu", threads=1)
    made = open_dock(viewer, session)
    made.viewer, made.session = viewer, session
    yield made
    made.close_session()


def test_the_dock_does_not_need_torch():
    line = "import sys, napari_unet._napari.widgets.dock; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", line], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_the_dock_opens_before_the_session_is_ready(make_napari_viewer):
    viewer = make_napari_viewer()
    widget = UNetWidget(viewer)
    viewer.window.add_dock_widget(widget)
    assert not widget.controller.state.ready
    widget.close_session()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_process_takes_nothing_along(process_dock, cells, qtbot):
    dock = process_dock
    train_some(dock, cells, qtbot)
    before = dock.controller.link.strokes.data.copy()
    os.kill(dock.session.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: dock.controller.state.failed, timeout=10_000)
    assert "press Train" in dock.status.text()
    assert np.array_equal(dock.controller.link.strokes.data, before)
    dock.train.toggle.click()
    qtbot.waitUntil(lambda: dock.controller.state.phase is Phase.TRAINING, timeout=60_000)
    step = dock.controller.state.step
    qtbot.waitUntil(lambda: dock.controller.state.step > step + 2, timeout=60_000)


def test_closing_ends_process_and_shared_memory_while_training(process_dock, cells, qtbot):
    dock = process_dock
    train_some(dock, cells, qtbot)
    dock.segment.start.click()
    pid = dock.session.pid
    assert shared_names() or not SHM.is_dir()
    dock.viewer.window.remove_dock_widget(dock)
    assert not alive(pid)
    assert not shared_names()
    assert set(dock.viewer.layers) >= {dock.viewer.layers["Strokes"], dock.viewer.layers["Prediction"]}
    dock.deleteLater()


def test_no_memory_left_is_a_sentence(process_dock, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared_memory, "SharedMemory", refuse)
    process_dock.annotate.new_strokes.click()
    process_dock.train.toggle.click()
    assert process_dock.controller.state.failed
    assert "Strokes" in process_dock.viewer.layers


def test_scores_against_a_truth_layer(dock, cells, qtbot):
    train_some(dock, cells, qtbot, steps=20)
    dock.train.toggle.click()
    qtbot.waitUntil(lambda: idle(dock), timeout=10_000)
    dock.segment.start.click()
    qtbot.waitUntil(lambda: dock.controller.state.progress is None, timeout=60_000)
    truth = dock.viewer.add_labels(cells.labels, name="truth")
    review = dock.review
    review.truth.setCurrentIndex(review.truth.findText("truth"))
    review.compare.click()
    qtbot.waitUntil(lambda: review.table.rowCount() > 0, timeout=30_000)
    shown = {
        review.table.item(row, 0).text(): review.table.item(row, 1).text() for row in range(review.table.rowCount())
    }
    prediction = dock.controller.link.prediction.data
    expected = nu.score((prediction > 1).astype(int), (truth.data > 0).astype(int))["iou"]
    assert shown["Overlap (IoU)"] == f"{expected:.3f}"
    assert shown["Objects in the truth"] == str(len(np.unique(cells.labels)) - 1)
    assert shown["Part compared"] == "1.000"
