import math

import pytest

from napari_unet._napari.widgets.loss_curve import MOST_POINTS, LossCurve


@pytest.fixture
def curve(qtbot):
    made = LossCurve()
    qtbot.addWidget(made)
    made.resize(200, 72)
    return made


def test_long_trainings_keep_their_whole_range(curve):
    for step in range(1, 20_001):
        curve.add(step, 1.0)
    assert len(curve.points) <= MOST_POINTS
    assert curve.points[0][0] == 1
    assert curve.points[-1][0] > 19_900


def test_what_is_not_a_number_is_left_out(curve):
    for loss in (1.0, math.nan, math.inf, 0.5):
        curve.add(len(curve.points) + 1, loss)
    assert [math.isfinite(loss) for _, loss in curve.points] == [True, True]


def test_a_new_model_starts_a_new_curve(curve):
    for step in (5, 6, 7, 1, 2):
        curve.add(step, 1.0)
    assert [step for step, _ in curve.points] == [1, 2]


@pytest.mark.parametrize("losses", [[], [1.0], [0.0, 0.0], [2.0, 1.0, 0.5]])
def test_it_can_be_drawn(curve, losses):
    for step, loss in enumerate(losses, start=1):
        curve.add(step, loss)
    assert not curve.grab().isNull()


def test_a_falling_loss_is_a_falling_line(curve):
    from qtpy.QtCore import QRectF

    for step, loss in enumerate((2.0, 1.0, 0.5), start=1):
        curve.add(step, loss)
    points = list(curve._polygon(QRectF(0, 0, 100, 50)))
    assert [point.x() for point in points] == [0, 50, 100]
    assert points[0].y() < points[1].y() < points[2].y() <= 50
