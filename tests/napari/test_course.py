"""How training goes, drawn and in words."""

import math

import pytest
from qtpy.QtCore import QRectF
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QApplication

from napari_unet._napari.course import MOST_POINTS, Course, in_words
from napari_unet._napari.widgets.learning_curve import LearningCurve
from napari_unet.config import ModelConfig
from napari_unet.events import Corrected, KeptState, Score, StatesChanged, Step, Validated, WentBack
from napari_unet.session.messages import ModelChanged

SCORE = Score(0.8, 0.7, 0.9, 100)


def step(number, loss=1.0):
    return Step(step=number, loss=loss, learning_rate=1e-3, seconds=1.0)


def course_of(*events, clock=lambda: 0.0):
    course = Course(clock)
    for event in events:
        course.take(event)
    return course


def states(*steps):
    return StatesChanged(tuple(KeptState(n, 0.5) for n in steps))


# ---------------------------------------------------------------------- what is known


def test_long_trainings_keep_their_whole_range():
    course = course_of(*map(step, range(1, 20_001)))
    assert len(course.losses) <= MOST_POINTS
    assert course.losses[0][0] == 1
    assert course.losses[-1][0] > 19_900


def test_what_is_not_a_number_is_left_out():
    course = course_of(*(step(n, loss) for n, loss in enumerate((1.0, math.nan, math.inf, 0.5), start=1)))
    assert [math.isfinite(loss) for _, loss in course.losses] == [True, True]


@pytest.mark.parametrize(("path", "age"), [(None, 0), ("cells.unet", 500)])
def test_another_model_starts_a_new_course(path, age):
    course = course_of(step(1), Validated(1, SCORE), states(1), ModelChanged(ModelConfig(), age, path))
    assert (course.losses, course.scores, course.marks, course.step) == ([], [], (), age)


def test_other_class_names_keep_the_course():
    assert course_of(step(1), ModelChanged(ModelConfig(), 1)).losses


def test_after_going_back_the_curve_goes_on_from_there():
    course = course_of(*map(step, range(1, 8)), Validated(6, SCORE), states(3, 7), WentBack(3, 7), step(4))
    assert [n for n, _ in course.losses] == [1, 2, 3, 4]
    assert not course.scores


def test_going_back_can_be_undone_until_training_goes_on():
    course = course_of(step(7), states(3, 7), WentBack(3, 7))
    assert (course.step, course.undo) == (3, 7)
    course.take(step(4))
    assert course.undo is None


def test_a_state_that_is_forgotten_cannot_be_had_again():
    assert course_of(WentBack(3, 7), states(3)).undo is None


def test_marks_keep_the_time_they_came(monkeypatch):
    hours = iter((60.0, 120.0))
    course = course_of(states(3), states(3, 7), clock=lambda: next(hours))
    assert [mark.time for mark in course.marks] == [60, 120]
    assert course.marks[0].in_words().startswith("step 3 · ")


# ---------------------------------------------------------------------- in words


def test_a_score_is_said_with_its_interval():
    assert "0.80" in in_words(course_of(Validated(1, SCORE)))[1]
    assert "0.70 to 0.90" in in_words(course_of(Validated(1, SCORE)))[1]


def test_without_a_score_it_says_why():
    words = in_words(course_of(Validated(1, SCORE), Validated(2, None, reason="too few strokes to hold any out")))[1]
    assert words == "No score yet: too few strokes to hold any out."


def test_corrections_are_said():
    words = in_words(course_of(Corrected(1, 5, "a", 100, 0.25), Corrected(2, 6, "a", 100, 0.5, recent=SCORE)))[2]
    assert "50%" in words
    assert "80% (70% to 90%)" in words


# ---------------------------------------------------------------------- drawn


@pytest.fixture
def curve(qtbot):
    def make(*events):
        made = LearningCurve(course_of(*events))
        qtbot.addWidget(made)
        made.resize(300, 140)
        made.show()
        return made

    return make


@pytest.mark.parametrize("losses", [[], [1.0], [0.0, 0.0], [2.0, 1.0, 0.5]])
def test_it_can_be_drawn(curve, losses):
    assert not curve(*(step(n, loss) for n, loss in enumerate(losses, start=1))).grab().isNull()


def test_a_falling_loss_is_a_falling_line(curve):
    drawn = curve(*(step(n, loss) for n, loss in enumerate((2.0, 1.0, 0.5), start=1)))
    points = drawn.plot.loss_points(QRectF(0, 0, 100, 50))
    assert [point.x() for point in points] == [0, 50, 100]
    assert points[0].y() < points[1].y() < points[2].y() <= 50


def test_a_score_lies_between_bottom_and_top_with_its_interval(curve):
    drawn = curve(step(1), step(11), Validated(11, SCORE))
    ((low, value, high),) = drawn.plot.score_points(QRectF(0, 0, 100, 50))
    assert [round(point.y()) for point in (low, value, high)] == [15, 10, 5]
    assert value.x() == 100


@pytest.mark.parametrize(("window", "text"), [("#262930", "#f0f1f2"), ("#f8f8f8", "#222222")])
def test_score_and_corrections_stand_out_in_dark_and_light(curve, window, text):
    drawn = curve(step(1), step(11), Validated(2, SCORE), Validated(11, SCORE), Corrected(1, 5, "a", 9, 0.3))
    palette = QPalette(QApplication.palette())
    palette.setColor(QPalette.ColorRole.Window, QColor(window))
    palette.setColor(QPalette.ColorRole.WindowText, QColor(text))
    drawn.plot.setPalette(palette)
    picture = drawn.plot.grab().toImage()
    background = picture.pixelColor(3, 3)
    for place in (drawn.plot._at(11, 0.8, QRectF(6, 6, 286, 82)), drawn.plot._at(5, 0.3, QRectF(6, 6, 286, 82))):
        color = picture.pixelColor(place.toPoint())
        assert contrast(color, background) > 3, (color.name(), background.name())


def contrast(one, other):
    """WCAG 2.1, success criterion 1.4.11 asks for 3 in graphics."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color):
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
