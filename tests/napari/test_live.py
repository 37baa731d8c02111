"""Live learning, tools and the ways to show predictions, with a session that plays back."""

import numpy as np
import pytest
from napari.layers import Image
from napari.layers.labels._labels_utils import get_contours

from napari_unet._napari import prediction_layer
from napari_unet._napari.autopilot import IDLE_SECONDS, REST_SECONDS
from napari_unet._napari.guidance import Phase
from napari_unet._napari.outlines import Outlines, outlined
from napari_unet.config import ModelConfig, PredictConfig
from napari_unet.events import Finished, Started, Step
from napari_unet.session import commands as do
from napari_unet.session.messages import Failed, PredictionDone, Ready, Tile
from napari_unet.session.soft import hard_codes, levels


def answer(controller, session, *events):
    session.events += events
    controller.tick()


def step(number):
    return Step(step=number, loss=0.5, learning_rate=1e-3, seconds=1.0)


@pytest.fixture
def learning(controller, session, clock, paint_both):
    """The controller, learning since the second stroke, without a click."""
    controller.new_strokes()
    paint_both(controller.link.strokes)
    controller.tick()
    answer(controller, session, Ready("cpu", "2"), Started("cpu", 1), step(1))
    clock.now += 2
    return controller


def views(session):
    return session.sent(do.PredictView)


# ---------------------------------------------------------------------- learning by itself


def test_the_stroke_that_makes_two_classes_starts_training(controller, session):
    controller.new_strokes()
    controller.link.strokes.paint((5, 5), 2)
    controller.tick()
    assert "starts by itself" in controller.state.message
    assert not session.sent(do.Train)
    controller.link.strokes.paint((20, 20), 1)
    controller.tick()
    assert len(session.sent(do.Train)) == 1


def test_train_pressed_just_when_it_begins_by_itself_does_not_stop_it(controller, session, paint_both):
    controller.new_strokes()
    paint_both(controller.link.strokes)
    controller.tick()
    controller.toggle()
    assert controller.state.phase is Phase.WAITING


def test_after_stop_the_next_stroke_starts_again(learning, session):
    learning.toggle()
    answer(learning, session, Finished("stopped", 1, 1.0))
    learning.tick()
    assert len(session.sent(do.Train)) == 1
    learning.link.strokes.paint((25, 25), 2)
    learning.tick()
    assert len(session.sent(do.Train)) == 2
    assert len(session.sent(do.NewModel)) == 1


def test_what_no_turn_has_seen_before_stop_is_told_and_does_not_start_again(learning, session):
    learning.link.strokes.paint((25, 25), 2)
    learning.toggle()
    assert isinstance(session.commands[-1], do.StopTraining)
    assert isinstance(session.commands[-2], do.StrokesChanged)
    answer(learning, session, Finished("stopped", 1, 1.0))
    learning.tick()
    assert len(session.sent(do.Train)) == 1


def test_a_stroke_while_stopping_starts_again_when_it_has_stopped(learning, session):
    learning.toggle()
    learning.link.strokes.paint((25, 25), 2)
    learning.tick()
    assert len(session.sent(do.Train)) == 1
    answer(learning, session, Finished("stopped", 1, 1.0))
    assert len(session.sent(do.Train)) == 2


def test_what_fails_does_not_begin_again_by_itself(learning, session):
    answer(learning, session, Failed("use smaller patches"))
    for _ in range(5):
        learning.tick()
    assert len(session.sent(do.Train)) == 1
    assert learning.state.failed


def test_switching_live_off_stops_what_began_by_itself_and_on_starts_it(learning, session):
    learning.set_live(False)
    assert learning.state.phase is Phase.STOPPING
    answer(learning, session, Finished("stopped", 1, 1.0))
    learning.link.strokes.paint((25, 25), 2)
    learning.tick()
    assert len(session.sent(do.Train)) == 1
    learning.set_live(True)
    learning.tick()
    assert len(session.sent(do.Train)) == 2


def test_what_was_started_by_hand_goes_on_without_live(learning, session):
    learning.toggle()
    answer(learning, session, Finished("stopped", 1, 1.0))
    learning.toggle()
    learning.set_live(False)
    assert learning.state.phase is Phase.WAITING


def test_learning_rests_and_says_so(learning, session, clock):
    clock.now += REST_SECONDS + 1
    learning.tick()
    assert learning.state.phase is Phase.STOPPING
    assert "rests" in learning.state.message


# ---------------------------------------------------------------------- what is predicted, and when


def test_a_new_stroke_is_seen_first_and_then_the_view(viewer, controller, session, clock, paint_both):
    controller.choose_image(viewer.add_image(np.zeros((900, 900), np.float32)))
    controller.new_strokes()
    paint_both(controller.link.strokes)
    controller.tick()
    answer(controller, session, Ready("cpu", "2"), Started("cpu", 1), step(1))
    answer(controller, session, PredictionDone(views(session)[-1].request, False, 1))
    answer(controller, session, PredictionDone(views(session)[-1].request, False, 1))
    session.commands.clear()
    controller.link.strokes.paint((500, 400), 2)
    controller.tick()
    (near,) = views(session)
    assert near.after == 1
    kinds = [type(command).__name__ for command in session.commands]
    assert kinds.index("StrokesChanged") < kinds.index("PredictView")
    answer(controller, session, step(2))
    assert views(session) == [near]
    (y0, y1), (x0, x1) = near.box
    assert y0 < 500 < y1
    assert x0 < 400 < x1
    assert (y1 - y0) * (x1 - x0) < 300**2
    answer(controller, session, PredictionDone(near.request, False, 3))
    assert views(session)[-1].box == ((0, 900), (0, 900))


def test_the_rest_of_the_image_is_segmented_when_idle_and_gives_way_to_a_stroke(learning, session, clock):
    learning.toggle()
    answer(learning, session, Finished("stopped", 1, 1.0))
    clock.now += IDLE_SECONDS + 1
    learning.tick()
    (asked,) = session.sent(do.PredictImage)
    learning.link.strokes.paint((25, 25), 2)
    learning.tick()
    assert session.sent(do.Cancel)[0].request == asked.request
    assert learning.state.progress is None


def test_what_the_user_asked_for_does_not_give_way(learning, session):
    learning.toggle()
    answer(learning, session, Finished("stopped", 1, 1.0))
    learning.segmentation.start(learning.predicting)
    learning.link.strokes.paint((25, 25), 2)
    learning.tick()
    assert learning.state.progress is not None
    assert not session.sent(do.Cancel)


# ---------------------------------------------------------------------- how it is shown


def show(learning, session, labels, codes):
    index = (slice(0, labels.shape[0]), slice(0, labels.shape[1]))
    answer(learning, session, Tile(views(session)[-1].request, index, labels, 1, 1, 1, codes))
    return index


def test_probabilities_are_a_layer_of_their_own(learning, session):
    assert views(session)[-1].soft
    labels, codes = np.full((4, 4), 2, np.uint8), np.full((4, 4), 40, np.uint8)
    index = show(learning, session, labels, codes)
    link = learning.link
    assert (link.prediction.data[index] == 2).all()
    assert (link.soft.data[index] == 40).all()
    assert link.soft.visible
    assert not link.prediction.visible
    alpha = link.soft.colormap.map(np.array([1, 20, levels(2)], np.uint8))[:, 3]
    assert alpha[0] == 0
    assert alpha[0] < alpha[1] < alpha[2] == 1


def test_classes_filled_and_outlined(learning, session):
    learning.show_as("outline")
    prediction = learning.link.prediction
    assert prediction.contour > 0
    assert prediction.opacity == 1
    assert prediction.visible
    assert not learning.link.soft.visible
    learning.show_as("fill")
    assert prediction.contour == 0
    assert prediction.opacity < 0.5
    learning.link.view_changed.emit()


def test_outlines_are_as_wide_on_the_screen_when_the_view_is_further(learning, session, clock):
    learning.show_as("outline")
    camera = learning.link.viewer.scene.camera
    for zoom, thick in ((10, 1), (1, 2), (0.5, 5), (0.01, 6)):
        camera.zoom = zoom
        learning.tick()
        before = learning.link.prediction.contour
        clock.now += 0.2
        learning.tick()
        assert learning.link.prediction.contour == before  # it may still be moving
        clock.now += 0.2
        learning.tick()
        assert learning.link.prediction.contour == thick


def test_large_images_get_no_outlines_that_take_seconds(controller):
    layer = prediction_layer.make_prediction(Image(np.broadcast_to(np.uint8(0), (8192, 8192))), ("red", "blue"))
    controller.link.viewer.layers.append(layer)
    controller.link.viewer.scene.camera.zoom = 0.1
    assert Outlines(controller.link.viewer).thickness(layer) == 1


@pytest.mark.parametrize("thick", [1, 2, 5])
def test_a_part_is_outlined_as_napari_outlines_the_whole(thick):
    plane = (np.random.default_rng(thick).random((10, 12)) * 4).astype(np.uint8).repeat(5, 0).repeat(5, 1)
    whole = get_contours(plane, thick, 0)
    for rows, columns in ((slice(0, 20), slice(0, 30)), (slice(13, 41), slice(22, 60))):
        assert np.array_equal(outlined(plane, rows, columns, thick), whole[rows, columns])


def test_only_classes_are_asked_for_when_no_probabilities_are_shown(learning, session, clock):
    learning.show_as("fill")
    clock.now += 1
    learning.tick()
    assert not views(session)[-1].soft


def test_a_segmented_tile_is_shown_as_certain(learning):
    learning.link.display.write((slice(0, 2), slice(0, 2)), np.array([[1, 2], [2, 1]], np.uint8))
    assert learning.link.soft.data[:2, :2].tolist() == hard_codes(2)[[[1, 2], [2, 1]]].tolist()


def test_blinking_hides_and_shows(learning):
    learning.link.display.blink()
    assert not learning.link.soft.visible
    learning.link.display.blink()
    assert learning.link.soft.visible
    assert not learning.link.prediction.visible


def test_without_the_probability_layer_classes_are_shown(learning, viewer, session, clock):
    viewer.layers.remove("Probability")
    assert learning.link.prediction.visible
    clock.now += 1
    learning.tick()
    assert not views(session)[-1].soft


def test_many_classes_have_colours_and_certainties_of_their_own(controller, viewer, session, paint_both):
    controller.set_model(ModelConfig(classes=("background", "a", "b", "c")))
    controller.new_strokes()
    paint_both(controller.link.strokes)
    controller.tick()
    table = controller.link.soft.colormap.color_dict
    rgb = {tuple(np.round(color[:3], 3)) for value, color in table.items() if value and color[3] > 0.5}
    assert len(rgb) == 3


# ---------------------------------------------------------------------- tools and keys


def press(owner, key):
    """As napari does: the key map of the layer, then of the viewer."""
    from napari.utils.key_bindings import KeymapHandler

    handler = KeymapHandler()
    handler.keymap_providers = [owner]
    return handler.press_key(key)


def test_each_tool_and_class_is_one_key_away(controller, viewer):
    controller.new_strokes()
    strokes = controller.link.strokes
    taken = []
    controller.tools.changed.connect(taken.append)
    for key, tool in (("E", "erase"), ("F", "fill"), ("G", "polygon"), ("P", "paint")):
        press(strokes, key)
        assert strokes.mode == tool
        assert taken[-1] == tool
    strokes.mode = "erase"
    press(strokes, "1")
    assert (strokes.selected_label, strokes.mode) == (1, "paint")
    press(strokes, "R")
    assert viewer.layers.selection.active is controller.link.regions
    assert controller.link.regions.mode == "add_rectangle"


def test_keys_are_given_back(controller, viewer):
    controller.new_strokes()
    strokes = controller.link.strokes
    controller.close()
    assert not strokes.keymap
    assert not viewer.keymap


def test_b_blinks_whatever_layer_is_in_use(learning, viewer):
    for layer in (viewer, learning.link.strokes, learning.link.prediction, learning.link.soft):
        before = learning.link.display.blinked
        press(layer, "B")
        assert learning.link.display.blinked is not before


def test_undo_survives_another_slice_and_goes_back_to_it(viewer, controller, session):
    controller.choose_image(viewer.add_image(np.zeros((5, 40, 60), np.float32), scale=(3, 1, 1)))
    controller.new_strokes()
    strokes = controller.link.strokes
    viewer.dims.set_point(0, 3)
    strokes.paint((1, 20, 20), 2)
    controller.tick()
    assert controller.state.painted[1] > 0
    viewer.dims.set_point(0, 12)
    press(strokes, "Control-Z")
    controller.tick()
    assert not strokes.data.any()
    assert controller.state.painted[1] == 0
    assert viewer.dims.point[0] == 3
    viewer.dims.set_point(0, 12)
    press(strokes, "Control-Shift-Z")
    controller.tick()
    assert strokes.data[1].any()
    assert controller.state.painted[1] > 0
    assert viewer.dims.point[0] == 3


# ---------------------------------------------------------------------- objects in view


def test_a_preview_that_comes_after_segmenting_began_is_not_shown(learning, session, viewer, clock):
    learning.predicting = PredictConfig(output="instances")
    learning.preview_objects.changed(clock.now)
    clock.now += 5
    learning.tick()
    (asked,) = session.sent(do.PreviewObjects)
    learning.preview_objects.end()
    whole = tuple(slice(0, n) for n in viewer.layers["image"].data.shape)
    found = Tile(asked.request, whole, np.ones((40, 60), np.uint8), 1, 1, 1)
    answer(learning, session, found)
    assert "Objects (preview)" not in viewer.layers
    learning.preview_objects.changed(clock.now)
    clock.now += 5
    learning.tick()
    again = session.sent(do.PreviewObjects)[-1]
    answer(learning, session, Tile(again.request, whole, np.ones((40, 60), np.uint8), 1, 1, 1))
    assert "Objects (preview)" in viewer.layers
