"""The controller with a viewer without a window and a session that plays back."""

import numpy as np
import pytest

from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Phase
from napari_unet.config import ModelConfig
from napari_unet.events import Finished, Saved, Started, Step
from napari_unet.networks.geometry import geometry
from napari_unet.session import commands as do
from napari_unet.session.arrays import close_array, open_array
from napari_unet.session.messages import Failed, ModelChanged, PredictionDone, Ready, Tile, WorkerDied


def step(number=1):
    return Step(step=number, loss=0.5, learning_rate=1e-3, seconds=1.0)


def answer(controller, session, *events):
    session.events += events
    controller.tick()


@pytest.fixture
def trained(painted, session):
    """The controller with a model that has learnt something."""
    painted.train()
    answer(painted, session, Ready("cpu", "2"), Started("cpu", 1), step(), Finished("stopped", 1, 1.0))
    answer(painted, session, *(PredictionDone(a.request, False, 1) for a in session.sent(do.PredictView)))
    session.commands.clear()
    return painted


# ---------------------------------------------------------------------- strokes


def test_the_first_image_is_taken_and_the_first_sentence_leads_on(controller, viewer):
    assert controller.link.image is viewer.layers["image"]
    assert "New strokes" in controller.state.message


def test_new_strokes_are_ready_to_paint_a_cell(controller, viewer):
    controller.new_strokes()
    layer = viewer.layers.selection.active
    assert layer.name == "Strokes"
    assert layer.data.shape == (40, 60)
    assert layer.data.dtype == np.uint8
    assert layer.mode == "paint"
    assert layer.selected_label == 2
    assert list(layer.features["class"]) == ["not painted", "background", "cell"]


def test_strokes_lie_on_the_image(viewer, controller):
    image = viewer.add_image(np.zeros((4, 30, 20)), scale=(3, 0.5, 0.5), translate=(1, 2, 3), name="stack")
    controller.choose_image(image)
    controller.new_strokes()
    assert np.allclose(controller.link.strokes.scale, image.scale)
    assert np.allclose(controller.link.strokes.translate, image.translate)
    assert controller.link.strokes.units == image.units


def test_an_rgb_image_is_painted_without_its_colour_axis(viewer, controller, session, paint_both):
    controller.choose_image(viewer.add_image(np.zeros((20, 30, 3), np.uint8), rgb=True))
    controller.new_strokes()
    paint_both(controller.link.strokes)
    controller.train()
    assert controller.link.strokes.data.shape == (20, 30)
    assert session.sent(do.SetImage)[0].axes == "YXC"
    assert session.sent(do.NewModel)[0].config.in_channels == 3


def test_painting_is_counted(painted):
    assert painted.state.painted == (9, 9)
    assert painted.state.message == "Press Train."


def test_large_strokes_of_another_tool_are_counted_once_they_were_read(controller, viewer, session, monkeypatch):
    monkeypatch.setattr("napari_unet._napari.mirror.SMALL_PIXELS", 0)
    data = np.zeros((40, 60), np.uint8)
    data[3, 4:9], data[30, 2:4] = 1, 2
    controller.choose_strokes(viewer.add_labels(data))
    assert controller.state.painted == (0, 0)
    controller.tick()
    assert controller.state.painted == (5, 2)
    assert not session.sent(do.Train)


def test_only_the_changed_box_is_told_while_training(painted, session):
    painted.train()
    session.commands.clear()
    painted.link.strokes.paint((30, 40), 2)
    painted.tick()
    (told,) = session.sent(do.StrokesChanged)
    (y0, y1), (x0, x1) = told.box
    assert y0 <= 29
    assert y1 >= 32
    assert (y1 - y0) * (x1 - x0) < 100
    painted.tick()
    assert len(session.sent(do.StrokesChanged)) == 1


def test_undo_is_told_too(painted, session):
    painted.train()
    painted.link.strokes.paint((30, 40), 2)
    painted.tick()
    session.commands.clear()
    painted.link.strokes.undo()
    painted.tick()
    assert session.sent(do.StrokesChanged)
    assert painted.state.painted == (9, 9)


def test_training_learns_what_no_event_told(painted, session):
    painted.link.strokes.data[20:25, 20:25] = 2
    painted.train()
    array, handle = open_array(session.sent(do.SetStrokes)[0].array)
    assert np.array_equal(array, painted.link.strokes.data)
    del array
    close_array(handle)


def test_replaced_strokes_of_another_shape_are_refused_with_a_sentence(painted, session):
    painted.link.strokes.data = np.zeros((10, 10), np.uint8)
    painted.train()
    assert painted.state.failed
    assert "shape (10, 10)" in painted.state.message
    assert not session.sent(do.Train)


def test_a_mask_is_imported_as_objects_or_as_classes(viewer, controller):
    mask = np.zeros((40, 60), int)
    mask[5:10, 5:10] = 7
    layer = viewer.add_labels(mask.copy())
    controller.import_mask(layer, objects=True)
    assert set(np.unique(controller.link.strokes.data)) == {1, 2}
    assert controller.state.painted == (mask.size - 25, 25)
    controller.import_mask(layer, objects=False)
    assert controller.state.failed
    assert "8 classes" in controller.state.message
    assert np.array_equal(layer.data, mask)


def test_complete_regions_turn_into_boxes(painted, session):
    painted.new_regions()
    painted.link.regions.add_rectangles(np.array([[4.6, 4.6], [4.6, 20.4], [9.4, 20.4], [9.4, 4.6]]))
    painted.train()
    assert session.sent(do.SetStrokes)[0].complete == (((5, 10), (5, 21)),)


def test_a_region_drawn_while_training_is_told(painted, session):
    painted.train()
    painted.new_regions()
    painted.link.regions.add_rectangles(np.array([[4.6, 4.6], [4.6, 20.4], [9.4, 20.4], [9.4, 4.6]]))
    painted.tick()
    assert session.sent(do.StrokesChanged)[-1].complete == (((5, 10), (5, 21)),)


# ---------------------------------------------------------------------- training


def test_train_tells_everything_in_order(painted, session):
    painted.train()
    kinds = [type(command).__name__ for command in session.commands]
    assert kinds == ["NewModel", "SetImage", "SetStrokes", "Train"]
    assert painted.state.phase is Phase.WAITING
    assert "Starting the engine" in painted.state.message


def test_stop_and_train_go_on_with_the_same_model(painted, session):
    painted.toggle()
    answer(painted, session, Started("cpu", 1), step(1))
    assert painted.state.phase is Phase.TRAINING
    painted.toggle()
    assert painted.state.phase is Phase.STOPPING
    answer(painted, session, Finished("stopped", 1, 1.0))
    assert painted.state.phase is Phase.IDLE
    painted.toggle()
    assert len(session.sent(do.NewModel)) == 1
    assert len(session.sent(do.Train)) == 2


def test_start_again_makes_a_new_model(trained, session):
    trained.start_again()
    trained.train()
    assert len(session.sent(do.NewModel)) == 1


def test_a_renamed_class_keeps_the_model_and_training_goes_on(trained, session):
    trained.train()
    answer(trained, session, Started("cpu", 1), step(2))
    session.commands.clear()
    trained.set_model(ModelConfig(classes=("background", "nucleus")))
    assert [type(command).__name__ for command in session.commands] == ["NameClasses"]
    assert trained.state.phase is Phase.TRAINING
    assert list(trained.link.strokes.features["class"])[2] == "nucleus"


def test_an_added_class_keeps_what_the_model_knows_and_training_goes_on(trained, session):
    trained.train()
    answer(trained, session, Started("cpu", 1), step(2))
    session.commands.clear()
    trained.set_model(ModelConfig(classes=("background", "cell", "nucleus")))
    kinds = [type(command).__name__ for command in session.commands]
    assert kinds[0] == "AdaptModel"
    assert kinds[-1] == "Train"
    assert "NewModel" not in kinds
    assert trained.state.phase is Phase.WAITING


def test_a_class_is_hidden_and_shown(trained):
    trained.link.hide_classes(frozenset({2}), trained.model.class_colors)
    assert trained.link.strokes.colormap.map(2)[3] == 0
    assert trained.link.strokes.colormap.map(1)[3] == 1
    trained.link.hide_classes(frozenset(), trained.model.class_colors)
    assert trained.link.strokes.colormap.map(2)[3] == 1


def test_the_prediction_in_view_becomes_strokes_and_one_undo_takes_them_back(trained):
    before = trained.link.strokes.data.copy()
    trained.link.display.write((slice(0, 40), slice(0, 60)), np.full((40, 60), 2, np.uint8))
    trained.copy_prediction()
    trained.tick()
    strokes = trained.link.strokes.data
    assert (strokes[before > 0] == before[before > 0]).all()
    assert (strokes[before == 0] == 2).all()
    assert trained.state.painted[1] == 40 * 60 - 9
    trained.tools.undo()
    assert np.array_equal(trained.link.strokes.data, before)


def test_strokes_are_counted_and_undo_counts_back(painted):
    assert painted.state.made == (1, 1)
    painted.link.strokes.paint((30, 40), 2)
    painted.tick()
    assert painted.state.made == (1, 2)
    painted.tools.undo()
    painted.tick()
    assert painted.state.made == (1, 1)
    painted.tools.redo()
    painted.tick()
    painted.link.strokes.paint((30, 40), 0)
    painted.tick()
    assert painted.state.made == (1, 2)


@pytest.mark.parametrize("value", [0, 1, 2])
def test_without_two_classes_a_sentence(controller, session, value):
    controller.new_strokes()
    controller.link.strokes.paint((5, 5), value)
    controller.train()
    assert controller.state.failed
    assert "paint a" in controller.state.message
    assert not session.sent(do.Train)


def test_without_strokes_or_image_a_sentence(viewer, controller):
    controller.train()
    assert "no strokes yet" in controller.state.message
    viewer.layers.clear()
    controller.train()
    assert "image first" in controller.state.message


def test_a_complaint_goes_when_the_user_paints(controller):
    controller.new_strokes()
    controller.train()
    assert controller.state.failed
    controller.link.strokes.paint((5, 5), 2)
    controller.tick()
    assert not controller.state.failed


def test_what_the_session_refuses_is_said_and_training_is_off(painted, session):
    painted.train()
    said = []
    painted.board.complained.connect(said.append)
    answer(painted, session, Failed("use smaller patches"))
    assert said == ["Use smaller patches."]
    assert painted.state.phase is Phase.IDLE


def test_a_failed_save_does_not_end_training(painted, session):
    painted.train()
    answer(painted, session, Started("cpu", 1), step(1))
    painted.save("/nowhere/model.unet")
    answer(painted, session, Failed("there is no room left on the disk."))
    assert painted.state.phase is Phase.TRAINING
    assert painted.state.failed


def test_a_lost_process_keeps_strokes_and_model(trained, session):
    trained.train()
    answer(trained, session, Started("cpu", 1), step(2))
    before = trained.link.strokes.data.copy()
    answer(trained, session, WorkerDied("It was started again."), ModelChanged(ModelConfig(), 2, "/tmp/snapshot.unet"))
    assert trained.state.phase is Phase.IDLE
    assert trained.state.message == "It was started again."
    assert trained.state.step == 2
    assert np.array_equal(trained.link.strokes.data, before)
    trained.train()
    assert not session.sent(do.NewModel)


def test_a_session_that_cannot_run_says_so_each_time(painted, session):
    answer(painted, session, WorkerDied("Run the doctor.", restarted=False))
    painted.train()
    assert painted.state.message == "Run the doctor."
    assert not session.sent(do.Train)


# ---------------------------------------------------------------------- prediction


def test_the_view_is_asked_for_while_learning(trained, session, clock):
    trained.train()
    clock.now += 10
    answer(trained, session, Started("cpu", 1), step(2))
    (asked,) = session.sent(do.PredictView)
    assert asked.lead == ()
    assert asked.box == ((0, 40), (0, 60))


def test_a_stale_view_is_dropped(trained, session, clock):
    trained.link.view_changed.emit()
    clock.now += 10
    trained.tick()
    old = session.sent(do.PredictView)[-1].request
    trained.link.view_changed.emit()
    clock.now += 1
    trained.tick()
    new = session.sent(do.PredictView)[-1].request
    index = (slice(0, 2), slice(0, 2))
    answer(trained, session, Tile(old, index, np.full((2, 2), 2, np.uint8), 1, 1, 1))
    assert not trained.link.prediction.data.any()
    answer(trained, session, Tile(new, index, np.full((2, 2), 2, np.uint8), 1, 1, 1))
    assert trained.link.prediction.data[index].all()


def test_the_prediction_lies_under_the_strokes_and_shows_no_background(trained, viewer):
    names = [layer.name for layer in viewer.layers]
    assert names == ["image", "Probability", "Prediction", "Strokes"]
    colors = viewer.layers["Prediction"].colormap.color_dict
    assert colors[1][3] == 0
    assert colors[2][3] == 1
    assert viewer.layers.selection.active.name == "Strokes"
    assert viewer.layers["Strokes"].mode == "paint"


def test_segment_fills_the_layer_tile_by_tile(trained, session, clock):
    trained.segmentation.start(trained.predicting)
    (asked,) = session.sent(do.PredictImage)
    target, handle = open_array(asked.target)
    target[:20] = 2
    clock.now += 3
    answer(trained, session, Tile(asked.request, (slice(0, 20), slice(0, 60)), None, 1, 2, 1))
    assert trained.state.progress.seconds == pytest.approx(3)
    assert (trained.link.prediction.data[:20] == 2).all()
    assert not trained.link.prediction.data[20:].any()
    answer(trained, session, PredictionDone(asked.request, cancelled=False, step=1))
    assert trained.state.progress is None
    assert trained.state.button == "save"
    del target
    close_array(handle)


def test_cancel_keeps_finished_tiles_and_hears_no_more(trained, session):
    trained.segmentation.start(trained.predicting)
    asked = session.sent(do.PredictImage)[0].request
    trained.segmentation.cancel()
    assert session.sent(do.Cancel)[0].request == asked
    answer(trained, session, Tile(asked, (slice(0, 2), slice(0, 2)), None, 1, 2, 1))
    answer(trained, session, Failed("too late", asked))
    assert trained.state.progress is None
    assert not trained.state.failed


def test_segment_without_a_model_is_a_sentence(controller, session):
    controller.segmentation.start(controller.predicting)
    assert "no trained model" in controller.state.message
    assert not session.sent(do.PredictImage)


def test_a_deleted_prediction_comes_back_with_the_next_wish(trained, session, viewer, clock):
    viewer.layers.remove("Prediction")
    clock.now += 10
    trained.tick()
    for asked in session.sent(do.PredictView):
        answer(trained, session, Tile(asked.request, (slice(0, 2), slice(0, 2)), np.ones((2, 2), np.uint8), 1, 1, 1))
    assert "Prediction" not in viewer.layers
    trained.segmentation.start(trained.predicting)
    assert "Prediction" in viewer.layers


# ---------------------------------------------------------------------- layers come and go


def test_strokes_deleted_while_training(painted, session, viewer):
    painted.train()
    viewer.layers.remove("Strokes")
    painted.tick()
    assert session.sent(do.StopTraining)
    assert session.sent(do.Forget)
    assert "strokes layer was removed" in painted.state.message


def test_image_deleted_while_segmenting(trained, session, viewer):
    trained.segmentation.start(trained.predicting)
    viewer.layers.remove("image")
    trained.tick()
    assert session.sent(do.Cancel)
    assert session.sent(do.Forget)
    assert trained.state.progress is None
    assert "Strokes" in viewer.layers


def test_each_image_keeps_its_strokes(painted, viewer):
    first, strokes = painted.link.image, painted.link.strokes
    painted.choose_image(viewer.add_image(np.zeros((8, 9)), name="second"))
    assert painted.link.strokes is None
    painted.choose_image(first)
    assert painted.link.strokes is strokes
    assert painted.state.painted == (9, 9)


def test_other_pixels_are_shared_anew(trained, session):
    trained.link.image.data = np.zeros((40, 60), np.float32)
    trained.train()
    assert [type(command).__name__ for command in session.commands] == ["Forget", "SetImage", "SetStrokes", "Train"]


def test_an_image_for_another_model_is_refused(trained, viewer, session):
    trained.choose_image(viewer.add_image(np.zeros((20, 30, 3), np.uint8), rgb=True))
    trained.segmentation.start(trained.predicting)
    assert "reads 1 channel(s) and this image has 3" in trained.state.message
    assert not session.sent(do.PredictImage)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 2, 2, 5, 5)])
def test_small_and_many_axes_are_fine(viewer, controller, session, shape):
    controller.choose_image(viewer.add_image(np.zeros(shape, np.uint16)))
    controller.new_strokes()
    controller.link.strokes.data[..., :1] = 1
    controller.link.strokes.data[-1:] = 2
    controller.train()
    assert not controller.state.failed or "One class" in controller.state.message


def test_too_many_axes_is_a_sentence(viewer, controller):
    controller.choose_image(viewer.add_image(np.zeros((1, 1, 1, 1, 4, 4))))
    controller.new_strokes()
    controller.train()
    assert "2 to 5 axes" in controller.state.message


# ---------------------------------------------------------------------- files


def test_save_and_load(trained, session):
    trained.save("a.unet")
    answer(trained, session, Saved("a.unet"))
    assert trained.state.message.startswith("Saved to a.unet")
    config = ModelConfig(classes=("background", "nucleus"), width=8)
    trained.load("b.unet")
    answer(trained, session, ModelChanged(config, 7, "b.unet"))
    assert trained.model == config
    assert trained.state.step == 7
    assert list(trained.link.strokes.features["class"]) == ["not painted", "background", "nucleus"]


def test_a_loaded_model_shows_what_it_sees_in_the_next_image(trained, session, viewer, clock):
    trained.load("b.unet")
    answer(trained, session, ModelChanged(ModelConfig(), 7, "b.unet"))
    trained.choose_image(viewer.add_image(np.zeros((8, 9)), name="second"))
    clock.now += 10
    trained.tick()
    assert session.sent(do.PredictView)[-1].box == ((0, 8), (0, 9))
    assert trained.link.prediction.data.shape == (8, 9)


def test_settings_of_a_trained_network_wait_and_say_so(trained, session):
    trained.set_model(ModelConfig(width=4))
    assert "next Start again" in trained.state.message
    trained.train()
    assert not session.sent(do.NewModel)


def test_a_bad_file_changes_nothing(trained, session):
    trained.load("bad.unet")
    answer(trained, session, Failed("This is not a model of napari-unet."))
    assert trained.state.message == "This is not a model of napari-unet."
    assert trained.state.step == 1


def test_nothing_to_save_is_a_sentence(controller, session):
    controller.save("a.unet")
    assert "nothing to save" in controller.state.message
    assert not session.sent(do.SaveModel)


# ---------------------------------------------------------------------- the end


def test_close_undoes_everything(trained, session, viewer):
    trained.segmentation.start(trained.predicting)
    trained.close()
    assert session.closed == 1
    assert [layer.name for layer in viewer.layers] == ["image", "Probability", "Prediction", "Strokes"]
    viewer.layers["Strokes"].paint((20, 20), 2)
    viewer.layers.remove("image")
    assert trained.link.image is None


@pytest.mark.parametrize("scale", [(2.0, 0.5, 0.5), (1, 1, 1)])
def test_a_3d_network_knows_the_size_of_the_voxels(viewer, session, clock, paint_both, scale):
    viewer.layers.clear()
    viewer.add_image(np.zeros((17, 30, 30), np.float32), scale=scale)
    controller = Controller(viewer, session, clock)
    controller.set_live(False)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    controller.tick()
    controller.set_model(controller.model.replace(ndim=3, depth=2, stem="none", weights="random"))
    controller.train()
    made = session.sent(do.NewModel)[-1].config
    assert made.spacing == (scale if scale[0] != 1 else None)
    stride = geometry(made).stride
    assert (stride[0] < stride[1]) is (scale[0] != 1)
    session.events.append(Step(step=3, loss=0.5, learning_rate=1e-3, seconds=1.0))
    controller.tick()
    controller.set_model(controller.model)
    assert "Start again" not in controller.state.message  # nothing was changed
    controller.set_model(controller.model.replace(ndim=2))  # and back to slices
    controller.close()
