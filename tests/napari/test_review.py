"""*Review* with a viewer: jumping to where strokes teach most, correcting objects, checking strokes."""

import time
from multiprocessing import shared_memory

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_unet._napari.objects import crumbs
from napari_unet._napari.widgets.check_list import CheckList
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet._napari.widgets.object_table import ObjectTable
from napari_unet.config import InstanceConfig, ModelConfig, PredictConfig, TrainConfig
from napari_unet.data.synthetic import touching_cells
from napari_unet.events import Finding, Finished, ObjectRows, Place, Started, Step
from napari_unet.session import commands as do
from napari_unet.session.arrays import close_array, open_array
from napari_unet.session.inline import InlineSession
from napari_unet.session.messages import Advised, Failed, ObjectsMeasured, Ready, StrokesChecked

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
    controller.reviewing.attempt(controller.reviewing.advice.next)
    (asked,) = session.sent(do.Advise)
    session.commands.clear()
    session.events.append(Advised(asked.request, places))
    controller.tick()
    return asked


# ---------------------------------------------------------------------- where to paint next


def test_without_a_model_the_key_says_what_to_do_first(controller, session):
    controller.reviewing.attempt(controller.reviewing.advice.next)
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
    trained.reviewing.attempt(trained.reviewing.advice.next)
    assert not session.sent(do.Advise)
    assert centre_of(viewer) == (8, 40)
    assert trained.link.strokes.selected_label == 1
    trained.reviewing.attempt(trained.reviewing.advice.next)
    (again,) = session.sent(do.Advise)
    assert again.seen == ((30, 50), (8, 40))


def test_places_that_were_painted_meanwhile_are_left_out(trained, session, viewer):
    ask(trained, session, Place((30, 50), 2, 1, 0.9, "unsure"), Place((8, 40), 2, 1, 0.5, "unsure"))
    trained.link.strokes.paint((8, 40), 2)
    trained.reviewing.attempt(trained.reviewing.advice.next)
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
    trained.reviewing.attempt(trained.reviewing.advice.next)
    (asked,) = session.sent(do.Advise)
    session.events.append(Failed("choose the image again", asked.request))
    trained.tick()
    assert trained.state.failed
    trained.reviewing.attempt(trained.reviewing.advice.next)
    assert len(session.sent(do.Advise)) == 2


def test_asking_twice_at_once_asks_once(trained, session):
    trained.reviewing.attempt(trained.reviewing.advice.next)
    trained.reviewing.attempt(trained.reviewing.advice.next)
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


# ---------------------------------------------------------------------- objects


FOUND = {1: (slice(2, 10), slice(2, 10)), 2: (slice(2, 10), slice(14, 22)), 3: (slice(20, 36), slice(30, 50))}


@pytest.fixture
def listed(trained, session):
    """Three objects, the second one doubted most, the third one of two that touch."""
    prediction = np.ones((40, 60), np.uint8)
    numbers = np.zeros((40, 60), np.uint32)
    for number, box in FOUND.items():
        prediction[box], numbers[box] = 2, number
    trained.link.display.write((slice(0, 40), slice(0, 60)), prediction)
    trained.reviewing.attempt(trained.reviewing.objects.find)
    (asked,) = session.sent(do.MeasureObjects)
    array, handle = open_array(asked.found)
    assert np.array_equal(array, prediction)
    target, other = open_array(asked.target)
    target[...] = numbers
    del array, target
    close_array(handle)
    close_array(other)
    boxes = np.array([[(side.start, side.stop) for side in box] for box in FOUND.values()])
    sizes = np.prod(boxes[..., 1] - boxes[..., 0], axis=1)
    rows = ObjectRows(np.array([2, 2, 2]), sizes, np.array([9.0, 8, 7]), np.array([0.9, 0.5, 0.8]), boxes)
    session.events.append(ObjectsMeasured(asked.request, rows))
    trained.tick()
    return trained


def test_what_is_accepted_is_painted_with_a_rim_and_told_to_the_session(listed, session):
    before = listed.link.strokes.data.copy()
    session.commands.clear()
    listed.reviewing.attempt(lambda: listed.reviewing.objects.accept([1]))
    strokes = listed.link.strokes.data
    assert (strokes[FOUND[2]] == 2).all()
    assert (strokes[1, 14:22] == 1).all()
    assert strokes[1, 13] == 0
    listed.tick()
    assert session.sent(do.StrokesChanged)
    listed.tools.undo()
    assert np.array_equal(strokes, before)


def test_accepting_leaves_strokes_as_they_are_and_deleting_does_not(listed):
    strokes = listed.link.strokes
    strokes.data[5, 16] = 1
    listed.reviewing.objects.accept([1])
    assert strokes.data[5, 16] == 1
    listed.reviewing.objects.delete([1])
    assert (strokes.data[FOUND[2]] == 1).all()


def test_merged_objects_are_one_piece(listed):
    from scipy.ndimage import label

    listed.reviewing.objects.merge([0, 1])
    pieces, _ = label(listed.link.strokes.data == 2)
    assert pieces[9, 3] == pieces[9, 20] > 0


def test_a_split_object_has_a_cut_of_background(listed):
    from scipy.ndimage import label

    listed.reviewing.objects.split([2])
    part = listed.link.strokes.data[FOUND[3]]
    assert label(part == 2)[1] == 2
    assert set(np.unique(part)) == {1, 2}


def test_objects_of_their_own_get_values_of_their_own(listed):
    listed._used.config = listed._used.config.replace(task="instances")
    listed.reviewing.objects.accept([0, 1])
    one, other = (listed.link.strokes.data[FOUND[number]].max() for number in (1, 2))
    assert len({1, 2, int(one), int(other)}) == 4
    listed.tick()
    listed.reviewing.objects.split([2])
    values = set(np.unique(listed.link.strokes.data[FOUND[3]]))
    assert 1 in values
    assert len(values) == 3
    assert not values & {2, int(one), int(other)}


@pytest.mark.parametrize("wish", ["accept", "delete", "merge", "split"])
def test_nothing_chosen_is_a_sentence(listed, wish):
    listed.reviewing.attempt(lambda: getattr(listed.reviewing.objects, wish)([]))
    assert listed.state.failed
    assert "Choose" in listed.state.message


def test_another_image_ends_the_list_and_gives_its_memory_back(listed, viewer):
    gone = []
    listed.reviewing.objects.listed.connect(gone.append)
    name = listed.reviewing.objects._numbers.ref.name
    listed.choose_image(viewer.add_image(np.zeros((10, 10))))
    assert gone == [None]
    with pytest.raises(FileNotFoundError):
        shared_memory.SharedMemory(name=name)


def test_twenty_thousand_objects_are_sorted_and_shown_at_once(qtbot, controller):
    count = 20_000
    rng = np.random.default_rng(0)
    boxes = np.zeros((count, 2, 2), int)
    rows = ObjectRows(np.full(count, 2), rng.integers(1, 999, count), rng.random(count), rng.random(count), boxes)
    table = ObjectTable(controller)
    qtbot.addWidget(table)
    start = time.process_time()
    table.model.show_rows(rows, ("background", "cell"))
    table.show()
    table.view.grab()
    table.view.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    table.model.mark([3], "accepted")
    table.view.scrollToBottom()
    table.view.grab()
    assert time.process_time() - start < 1
    assert table.model.rowCount() == count
    assert table.model.index(0, 1).data() == f"{rows.sizes.max():,}"


def test_the_table_with_mouse_and_keys(dock, cells, qtbot):
    dock.controller.segmentation.start(dock.controller.predicting)
    qtbot.waitUntil(lambda: dock.controller.state.progress is None, timeout=60_000)
    dock.controller.link.prediction.data[...] = np.where(cells.labels > 0, 2, 1)
    dock.show_page(dock.review)
    table, strokes = dock.review.objects, dock.controller.link.strokes
    qtbot.mouseClick(table.list, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: table.model.rowCount() > 0, timeout=60_000)
    rows = dock.controller.reviewing.objects.rows
    assert np.all(np.diff(rows.confidences[table.model._order]) >= 0)
    line = int(np.flatnonzero(table.model._order == rows.sizes.argmax())[0])
    table.view.scrollTo(table.model.index(line, 1))
    place = table.view.visualRect(table.model.index(line, 1))
    qtbot.mouseClick(table.view.viewport(), Qt.MouseButton.LeftButton, pos=place.center())
    box = rows.boxes[rows.sizes.argmax()]
    centre = centre_of(dock.viewer)
    assert all(start <= at < stop for at, (start, stop) in zip(centre, box, strict=True))
    before = strokes.data.copy()
    qtbot.keyClick(table.view, Qt.Key.Key_Delete)
    changed = strokes.data != before
    assert changed.any()
    assert (strokes.data[changed] == 1).all()
    assert table.model.index(line, 4).data() == "deleted"
    painted = strokes.data.copy()
    if table.view.selectionModel().selectedRows()[0].row() != line:
        qtbot.keyClick(table.view, Qt.Key.Key_A)
        assert (strokes.data != painted).any() or "accepted" in dock.status.text()


# ---------------------------------------------------------------------- strokes that do not fit


def test_findings_are_listed_and_a_click_goes_there(trained, session, viewer, qtbot):
    panel = CheckList(trained)
    qtbot.addWidget(panel)
    panel.show()
    qtbot.mouseClick(panel.check, Qt.MouseButton.LeftButton)
    (asked,) = session.sent(do.CheckStrokes)
    found = (Finding("swapped", (5, 50), 1, 2, 0.02, 30), Finding("misfit", (30, 8), 2, 1, 0.4, 30))
    session.events.append(StrokesChecked(asked.request, found, True))
    trained.tick()
    assert panel.list.count() == 2
    assert "wrong class" in panel.list.item(0).text()
    place = panel.list.visualItemRect(panel.list.item(1))
    qtbot.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place.center())
    assert centre_of(viewer) == (30, 8)


def test_a_class_without_strokes_is_listed(trained, session):
    lines = []
    trained.reviewing.checks.listed.connect(lines.append)
    strokes = trained.link.strokes
    strokes.data_setitem(np.nonzero(strokes.data == 1), 0)
    trained.tick()
    trained.reviewing.attempt(trained.reviewing.checks.check)
    (asked,) = session.sent(do.CheckStrokes)
    session.events.append(StrokesChecked(asked.request, (), True))
    trained.tick()
    assert lines[-1] == [("No background is painted: paint a little of it.", None)]


def test_a_stroke_that_no_turn_has_seen_is_checked_and_then_starts_training(trained, session):
    trained.set_live(True)
    trained.stop()
    session.events.append(Finished("stopped", 1, 1.0))
    trained.tick()
    session.commands.clear()
    trained.link.strokes.paint((8, 40), 2)
    trained.reviewing.attempt(trained.reviewing.checks.check)
    assert session.sent(do.CheckStrokes)
    array, handle = open_array(session.sent(do.SetStrokes)[-1].array)
    seen = int(array[8, 40])
    close_array(handle)
    assert seen == 2
    assert not session.sent(do.Train)
    trained.tick()
    assert session.sent(do.Train)


def test_crumbs_are_left_out_of_the_table_until_they_are_wanted(qtbot, controller):
    sizes = np.array([1, 400, 2, 390, 1, 410, 30])
    rows = ObjectRows(np.full(7, 2), sizes, np.zeros(7), np.linspace(0.1, 0.9, 7), np.zeros((7, 2, 2), int))
    table = ObjectTable(controller)
    qtbot.addWidget(table)
    objects = controller.reviewing.objects
    objects.rows, objects.smallest = rows, crumbs(sizes)
    objects.listed.emit(rows)
    shown = [table.model.object_at(line) for line in range(table.model.rowCount())]
    assert shown == [1, 3, 5, 6]  # the doubtful ones first
    assert table.smallest.value() == 20
    assert table.hidden.text() == "3 smaller left out"
    table.model.mark([3], "accepted")
    table.view.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    assert table.model.object_at(0) == 3
    table.smallest.setValue(1)
    assert table.model.rowCount() == 7
    assert table.hidden.text() == ""
    assert table.model.index(3, 4).data() == "accepted"


def test_the_smallest_size_of_the_settings_counts_in_the_table(listed):
    objects = listed.reviewing.objects
    assert objects.smallest < FOUND[1][0].stop ** 2
    listed.predicting = PredictConfig(instances=InstanceConfig(min_size=65))
    objects.take(ObjectsMeasured(1, objects.rows))
    assert objects.smallest == 65
    assert "1 object (2 of less than 65 pixels are left out)" in listed.state.message
