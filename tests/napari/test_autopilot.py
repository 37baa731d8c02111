"""When training starts, rests, and leaves time for the rest of the image."""

from napari_unet._napari.autopilot import IDLE_SECONDS, REST_SECONDS, Autopilot

BOTH = (9, 9)


def test_a_stroke_starts_once_when_two_classes_are_painted():
    pilot = Autopilot()
    assert not pilot.takes_off(1.0, BOTH)
    pilot.stroke(1.0, learning=False)
    assert not pilot.takes_off(1.0, (9, 0))
    assert not pilot.takes_off(1.0, (0, 9, 9))
    assert pilot.takes_off(1.0, (9, 0, 9))
    assert not pilot.takes_off(1.0, BOTH)


def test_switched_off_nothing_starts():
    pilot = Autopilot(on=False)
    pilot.stroke(1.0, learning=False)
    assert not pilot.takes_off(1.0, BOTH)
    assert not pilot.segments(99.0, "image", 5)


def test_after_stop_only_the_next_stroke_starts():
    pilot = Autopilot()
    pilot.stroke(1.0, learning=True)
    assert not pilot.takes_off(1.0, BOTH)
    pilot.stroke(2.0, learning=False)
    pilot.stopped()
    assert not pilot.takes_off(1.0, BOTH)
    pilot.stroke(3.0, learning=False)
    assert pilot.takes_off(1.0, BOTH)


def test_what_began_by_itself_rests_when_nobody_paints():
    pilot = Autopilot()
    pilot.stroke(0.0, learning=False)
    pilot.takes_off(1.0, BOTH)
    assert not pilot.is_tired(REST_SECONDS - 1)
    pilot.stroke(100.0, learning=True)
    assert not pilot.is_tired(REST_SECONDS + 1)
    assert pilot.is_tired(REST_SECONDS + 100)
    pilot.ended()
    assert not pilot.is_tired(REST_SECONDS + 100)


def test_the_rest_of_an_image_is_segmented_once_per_model():
    pilot = Autopilot()
    pilot.stroke(0.0, learning=True)
    assert not pilot.segments(IDLE_SECONDS / 2, "image", 5)
    assert not pilot.segments(99.0, "image", 0)
    assert pilot.segments(99.0, "image", 5)
    assert not pilot.segments(99.0, "image", 5)
    assert pilot.segments(99.0, "image", 6)
    pilot.touched(100.0)
    assert not pilot.segments(101.0, "other", 6)


def test_a_click_just_after_the_take_off_is_known():
    pilot = Autopilot()
    pilot.stroke(0.0, learning=False)
    pilot.takes_off(10.0, BOTH)
    assert pilot.has_just_started(10.5)
    assert not pilot.has_just_started(12.0)
