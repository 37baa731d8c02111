"""*Review* with a viewer: jumping to where strokes teach most, correcting objects, checking strokes."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.synthetic import touching_cells
from napari_unet.events import Place, Started, Step
from napari_unet.session import commands as do
from napari_unet.session.inline import InlineSession
from napari_unet.session.messages import Advised, Failed, Ready

SMALL = ModelConfig(width=4, depth=2)
QUICK = TrainConfig(patch_size=48, batch_size=2, steps=40)


@pytest.fixture
def trained(painted, session):
    """The controller with a model that learns."""
    painted.train()
    session.events += [Ready("cpu", "2"), Started("cpu", 1), Step(step=1, loss=0.5, learning_rate=1e-3, seconds=1.0)]
    painted.tick()
    session.commands.clear()
    return painted


def centre_of(viewer):
    """Where the camera looks, rows and columns."""
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    return camera.center[-2:]


def ask(controller, session, *places):
    controller.attempt(controller.reviewing.advice.next)
    (asked,) = session.sent(do.Advise)
    session.commands.clear()
    session.events.append(Advised(asked.request, places))
    controller.tick()
    return asked


# ---------------------------------------------------------------------- where to paint next


def test_without_a_model_the_key_says_what_to_do_first(controller, session):
    controller.attempt(controller.reviewing.advice.next)
    assert controller.state.failed
    assert not session.sent(do.Advise)


def test_the_key_leads_to_one_place_after_the_other_with_the_right_brush(trained, session, viewer):
    first, second = Place((30, 50), 2, 1, 0.9, "unsure"), Place((8, 40), 1, 2, 0.5, "far")
    asked = ask(trained, session, first, second)
    assert asked.painted == trained.state.painted
    assert centre_of(viewer) == (30, 50)
    assert trained.link.strokes.selected_label == 2
    assert trained.link.strokes.mode == "paint"
    assert viewer.layers.selection.active is trained.link.strokes
    assert "unsure: cell or background" in trained.state.message
    trained.attempt(trained.reviewing.advice.next)
    assert not session.sent(do.Advise)
    assert centre_of(viewer) == (8, 40)
    assert trained.link.strokes.selected_label == 1
    trained.attempt(trained.reviewing.advice.next)
    (again,) = session.sent(do.Advise)
    assert again.seen == ((30, 50), (8, 40))


def test_places_that_were_painted_meanwhile_are_left_out(trained, session, viewer):
    ask(trained, session, Place((30, 50), 2, 1, 0.9, "unsure"), Place((8, 40), 2, 1, 0.5, "unsure"))
    trained.link.strokes.paint((8, 40), 2)
    trained.attempt(trained.reviewing.advice.next)
    assert session.sent(do.Advise)


def test_a_place_on_another_slice_moves_the_slider(viewer, controller, session, paint_both):
    stack = viewer.add_image(np.zeros((20, 40, 60)), scale=(3, 0.5, 0.5), translate=(1, 2, 3))
    controller.set_live(False)
    controller.choose_image(stack)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    controller.train()
    session.events += [Ready("cpu", "2"), Started("cpu", 1), Step(step=1, loss=0.5, learning_rate=1e-3, seconds=1.0)]
    controller.tick()
    ask(controller, session, Place((7, 10, 20), 2, 1, 0.9, "rare"))
    assert viewer.dims.point[-3] == pytest.approx(1 + 3 * 7)
    assert centre_of(viewer) == pytest.approx((2 + 5, 3 + 10))


def test_no_place_and_no_answer_are_sentences(trained, session):
    ask(trained, session)
    assert "sure wherever it looked" in trained.state.message
    trained.attempt(trained.reviewing.advice.next)
    (asked,) = session.sent(do.Advise)
    session.events.append(Failed("choose the image again", asked.request))
    trained.tick()
    assert trained.state.failed
    trained.attempt(trained.reviewing.advice.next)
    assert len(session.sent(do.Advise)) == 2


def test_asking_twice_at_once_asks_once(trained, session):
    trained.attempt(trained.reviewing.advice.next)
    trained.attempt(trained.reviewing.advice.next)
    assert len(session.sent(do.Advise)) == 1


# ---------------------------------------------------------------------- in a window, with a session that learns


@pytest.fixture(scope="module")
def cells():
    return touching_cells((192, 224), seed=3)


@pytest.fixture
def dock(make_napari_viewer, cells, qtbot):
    """A dock in a window, with a model that has learnt some cells of the upper quarter."""
    viewer = make_napari_viewer(show=True)
    viewer.add_image(cells.image, name="cells")
    made = UNetWidget(viewer, InlineSession("cpu"))
    viewer.window.add_dock_widget(made, name="U-Net segmentation")
    made.viewer = viewer
    made.controller.set_live(False)
    made.controller.set_model(SMALL)
    made.controller.training = QUICK
    made.controller.new_strokes()
    strokes = made.controller.link.strokes
    strokes.data[:48:3] = np.where(cells.labels[:48:3] > 0, 2, 1)
    strokes.refresh()
    made.controller.train()
    qtbot.waitUntil(lambda: made.controller.state.step >= QUICK.steps, timeout=60_000)
    yield made
    made.close_session()


def test_key_n_on_the_canvas_jumps_and_the_next_stroke_is_painted_there(dock, qtbot, hand):
    viewer, strokes = dock.viewer, dock.controller.link.strokes
    canvas = hand.canvas(viewer)
    hand.press(canvas, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: "In the middle of the view" in dock.status.text(), timeout=30_000)
    centre = np.array(centre_of(viewer))
    assert not strokes.data[tuple(np.round(centre).astype(int))]
    middle = QPoint(canvas.native.width() // 2, canvas.native.height() // 2)
    hand.drag(canvas, middle, middle + QPoint(6, 0))
    assert strokes.data[tuple(np.round(centre).astype(int))] == strokes.selected_label
    hand.press(canvas, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: np.linalg.norm(np.array(centre_of(viewer)) - centre) > 10, timeout=30_000)
