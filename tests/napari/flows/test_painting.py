"""From an opened image to a corrected prediction, one test for each kind of image that a tutorial is about.

Three clicks to the first prediction (the menu, its entry, *New strokes*), none from there to a corrected one.
"""

import numpy as np
from qtpy.QtCore import Qt
from scipy import ndimage

from napari_unet.data import scenes

PATIENCE = 180_000


def test_one_image(look, spots):
    image, labels = spots((96, 112))
    user = look(image, name="cells")
    assert user.clicks == 0
    user.open_dock()
    user.new_strokes()
    user.strokes_on_both(labels)
    user.waits_until_it_shows(labels > 0)
    assert user.clicks == 3
    user.corrects(labels > 0)
    assert user.clicks == 3


def test_a_stack_is_predicted_on_planes_without_strokes_and_as_a_whole(look, spots, overlap):
    image, labels = spots((9, 80, 96))
    user = look(image, name="stack", scale=(2, 1, 1))
    user.open_dock()
    user.new_strokes()
    user.slides_to(4)
    user.strokes_on_both(labels[4])
    user.waits_until_it_shows(labels[4] > 0)
    assert np.unique(np.nonzero(user.strokes.data)[0]).tolist() == [4]
    user.slides_to(5)
    user.waits_until_it_shows(labels[5] > 0)
    user.corrects(labels[5] > 0)
    assert np.unique(np.nonzero(user.strokes.data)[0]).tolist() == [4, 5]
    assert user.clicks == 3
    user.stops()
    user.goes_to(user.dock.segment)
    user.chooses(user.dock.segment.output, "Objects")
    assert user.dock.segment.objects.stack.currentText() == "one object through the slices"
    user.segments("Objects")
    found = user.controller.link.objects.data
    assert overlap(found > 0, labels > 0) > 0.5
    middle = tuple(int(at) for at in ndimage.center_of_mass(labels[0] == 5))
    assert found[0][middle] > 0
    assert len(np.unique(found[(slice(None), *middle)])) == 1


def test_a_movie_keeps_the_number_of_a_cell_from_frame_to_frame(look, spots):
    image, labels = spots((4, 80, 112), drift=3)
    user = look(image, name="movie", axis_labels=("t", "y", "x"))
    user.open_dock()
    user.new_strokes()
    user.slides_to(0)
    user.strokes_on_both(labels[0])
    user.waits_until_it_shows(labels[0] > 0)
    user.slides_to(3)
    user.waits_until_it_shows(labels[3] > 0)
    user.corrects(labels[3] > 0)
    assert user.clicks == 3
    user.stops()
    page = user.dock.segment
    user.goes_to(page)
    user.chooses(page.output, "Objects")
    user.chooses(page.objects.stack, "keep numbers over time")
    user.types(page.objects.form._fields["min_size"].native, "20")
    user.segments("Objects")
    objects = user.controller.link.objects.data
    middles = [tuple(int(at) for at in ndimage.center_of_mass(labels[0] == number)) for number in range(1, 4)]
    numbers = [objects[0][middle] for middle in middles]
    assert all(numbers)
    assert numbers == [objects[3][row, column + 9] for row, column in middles]


def test_cells_that_touch_are_painted_one_by_one_and_found_apart(look):
    labels = _pairs()
    rng = np.random.default_rng(0)
    image = np.where(labels > 0, 200, 20) - 120 * _border(labels) + rng.normal(0, 6, labels.shape)
    user = look(image.astype(np.float32), name="pairs")
    user.open_dock()
    _let_each_cell_be_an_object(user)
    user.new_strokes()
    for number in (1, 2, 3, 4):
        if number > 1:
            user.press(Qt.Key.Key_M)
        assert user.strokes.selected_label == number + 1
        user.stroke(labels == number)
    assert len(np.unique(user.strokes.colormap.map(np.arange(2, 6)), axis=0)) == 4
    user.press(Qt.Key.Key_1)
    user.stroke(labels == 0)
    user.stroke(_border(labels)[:30], reach=5, down=True)
    user.waits_until_it_shows(labels > 0)
    user.qtbot.waitUntil(lambda: user.plane()[_border(labels)].mean() < 0.2, timeout=PATIENCE)
    user.corrects(labels > 0)
    assert user.clicks == 3
    user.stops()
    user.segments("Objects")
    objects = user.controller.link.objects.data
    values = [np.bincount(objects[labels == number]).argmax() for number in range(1, labels.max() + 1)]
    assert all(values)
    assert len(set(values)) == len(values)


def _let_each_cell_be_an_object(user):
    """*Strokes are* in *Network settings* on *Train*, without the mouse."""
    page = user.dock.train
    user.goes_to(page, keys=True)
    user.qtbot.keyClick(page.network.toggleButton(), Qt.Key.Key_Space)
    user.chooses(page.network.form._fields["task"].native, "single objects")
    assert user.controller.model.task == "instances"
    user.goes_to(user.dock.annotate, keys=True)


def test_coloured_tissue_is_learnt_in_colour_and_shown_as_outlines(look):
    scene = scenes.tissue()
    part = (slice(150, 310), slice(60, 260))
    gland = scene.unseen[1][part] > 0
    user = look(scene.image[part], name="tissue", rgb=True)
    user.open_dock()
    user.new_strokes(brush=7)
    user.stroke(gland, reach=20)
    user.press(Qt.Key.Key_1)
    user.stroke(~gland, reach=20)
    user.waits_until_it_shows(gland)
    user.corrects(gland, reach=6)
    assert user.clicks == 3
    assert user.controller._used.config.in_channels == 3
    user.chooses(user.dock.state_bar.mode, "Classes, outlined")
    assert user.controller.link.prediction.visible
    assert user.controller.link.prediction.contour > 0
    assert not user.controller.link.soft.visible


def _pairs():
    """Three pairs of squares that share a side; two pairs are painted."""
    labels = np.zeros((80, 112), np.uint16)
    for number, row in enumerate((6, 30, 54)):
        for side in (0, 1):
            labels[row : row + 18, 30 + 20 * side : 50 + 20 * side] = 2 * number + side + 1
    return labels


def _border(labels):
    """True along the side that two share, three pixels wide."""
    border = np.zeros(labels.shape, bool)
    border[:, 48:52] = labels[:, 48:52] > 0
    return border
