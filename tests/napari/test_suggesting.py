"""A first suggestion before any stroke, in a window, by a session that really predicts."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

import napari_unet as nu
from napari_unet._napari.guidance import Phase
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.config import TrainConfig
from napari_unet.data.synthetic import touching_cells
from napari_unet.session import commands as do
from napari_unet.session.inline import InlineSession
from napari_unet.standard import standard_model
from napari_unet.training.loop import Trainer

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 900)
    viewer.add_image(touching_cells((96, 112), seed=3).image, name="cells")
    made = UNetWidget(viewer, InlineSession("cpu"))
    viewer.window.add_dock_widget(made, name="U-Net segmentation")
    made.viewer = viewer
    made.controller.training = TrainConfig(patch_size=32, batch_size=1, warmup=1)
    yield made
    made.close_session()


def click(qtbot, button):
    qtbot.mouseClick(button, LEFT)


def suggestion(dock):
    """What the network that comes along makes of the image."""
    model = nu.Model.from_trainer(Trainer(standard_model(), TrainConfig(device="cpu")))
    return model.predict(dock.viewer.layers["cells"].data, axes="YX", device="cpu")


def suggest(dock, qtbot):
    click(qtbot, dock.annotate.suggest)
    layers = dock.viewer.layers
    qtbot.waitUntil(lambda: "Prediction" in layers and layers["Prediction"].data.any(), timeout=30_000)


def test_it_is_shown_with_one_click_and_dismissed_with_another(dock, qtbot):
    suggest(dock, qtbot)
    expected = suggestion(dock)
    found = dock.viewer.layers["Prediction"].data
    assert np.array_equal(found[found > 0], expected[found > 0])
    assert (found > 0).mean() > 0.5
    assert len(np.unique(expected)) == 2
    assert "first suggestion" in dock.controller.state.message
    assert dock.controller.link.strokes is None
    click(qtbot, dock.annotate.suggest)
    assert [layer.name for layer in dock.viewer.layers] == ["cells"]
    assert not dock.segment.start.isEnabled()
    assert "New strokes" in dock.controller.state.message
    suggest(dock, qtbot)


def test_it_is_kept_by_segmenting(dock, qtbot, tmp_path):
    suggest(dock, qtbot)
    dock.show_page(dock.segment)
    click(qtbot, dock.segment.start)
    qtbot.waitUntil(lambda: dock.controller.state.progress is None, timeout=30_000)
    assert np.array_equal(dock.viewer.layers["Prediction"].data, suggestion(dock))
    dock.controller.save(tmp_path / "suggested.unet")
    qtbot.waitUntil((tmp_path / "suggested.unet").exists, timeout=10_000)
    again = nu.Model.load(tmp_path / "suggested.unet").predict(
        dock.viewer.layers["cells"].data, axes="YX", device="cpu"
    )
    assert np.array_equal(again, suggestion(dock))


def test_objects_made_of_it_stay_when_it_is_dismissed(dock, qtbot):
    suggest(dock, qtbot)
    dock.controller.link.display.make_objects()
    click(qtbot, dock.annotate.suggest)
    assert {layer.name for layer in dock.viewer.layers} == {"cells", "Objects"}


def test_its_objects_are_previewed(dock, qtbot):
    suggest(dock, qtbot)
    dock.show_page(dock.segment)
    dock.segment.output.setFocus()
    qtbot.keyClick(dock.segment.output, Qt.Key.Key_Down)
    assert dock.segment.output.currentText() == "Objects"
    layers = dock.viewer.layers
    qtbot.waitUntil(lambda: any(x.name == "Objects (preview)" and x.data.max() > 1 for x in layers), timeout=30_000)


def test_strokes_correct_it(dock, qtbot, hand):
    suggest(dock, qtbot)
    click(qtbot, dock.annotate.new_strokes)
    assert "paint both classes" in dock.controller.state.message
    canvas = hand.canvas(dock.viewer)
    middle = QPoint(canvas.native.width() // 2, canvas.native.height() // 2)
    hand.drag(canvas, middle, middle + QPoint(60, 0))
    hand.press(canvas, Qt.Key.Key_1)
    hand.drag(canvas, middle + QPoint(0, 90), middle + QPoint(60, 90))
    qtbot.waitUntil(lambda: dock.controller.state.step > 0, timeout=60_000)
    assert not dock.controller.state.suggested
    assert not dock.annotate.suggest.isVisible()
    dock.controller.stop()
    qtbot.waitUntil(lambda: dock.controller.state.phase is Phase.IDLE, timeout=30_000)


def test_it_is_copied_into_strokes_to_be_corrected(dock, qtbot):
    suggest(dock, qtbot)
    dock.controller.copy_prediction()
    assert set(np.unique(dock.controller.link.strokes.data)) == {0, 1, 2}


def test_a_network_that_knows_nothing_is_said_so(controller, session):
    controller.set_model(standard_model(width=8))
    controller.suggest()
    assert "knows nothing" in controller.state.message
    assert not session.sent(do.NewModel)


def test_a_model_that_has_learnt_is_not_left(controller, session):
    controller.board.set(step=3)
    controller.suggest()
    assert "learnt from strokes already" in controller.state.message
    assert not session.sent(do.NewModel)
