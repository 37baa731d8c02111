from napari_unet._napari.live_view import PAUSE, REST, LiveView


def test_a_move_is_answered_when_the_view_rests():
    live = LiveView()
    live.moved(10.0)
    live.moved(10.1)
    assert not live.due(10.1 + REST / 2)
    assert live.due(10.11 + REST)


def test_a_move_does_not_wait_for_an_older_answer():
    live = LiveView()
    live.asked(10.0)
    live.moved(10.1)
    assert live.due(10.11 + REST)


def test_learning_waits_for_the_answer_and_a_pause():
    live = LiveView()
    live.asked(10.0)
    live.learnt()
    assert not live.due(10.1)
    live.answered(10.1)
    assert not live.due(10.1 + PAUSE / 2)
    assert live.due(10.11 + PAUSE)


def test_a_slow_answer_leaves_most_of_the_time_to_learning():
    live = LiveView()
    live.asked(10.0)
    live.learnt()
    live.answered(15.0)
    assert not live.due(24.9)
    assert live.due(25.1)


def test_a_prediction_without_news_lengthens_the_pause_and_a_stroke_ends_it():
    live = LiveView()
    live.asked(10.0)
    live.showed(0, 1000)
    live.answered(10.0)
    live.learnt(1)
    assert not live.due(10.1 + PAUSE)
    assert live.due(10.1 + 2 * PAUSE)
    live.painted(2, learning=False)
    assert not live.due(10.1)
    live.learnt(2)
    assert live.due(10.1)
    assert live.steps_to_wait == 0


def test_the_surroundings_of_a_stroke_come_before_the_view():
    live = LiveView()
    live.learnt(1)
    live.painted(2, learning=True)
    assert live.hurried
    assert live.steps_to_wait == 1
    live.asked(10.0, part=True)
    assert not live.due(10.1)
    live.answered(10.1)
    assert live.due(10.1)
    live.asked(10.1)
    live.answered(10.2)
    assert not live.due(10.3)
    assert live.steps_to_wait == 0


def test_what_waits_for_a_step_does_not_lengthen_the_pause():
    live = LiveView()
    live.learnt(1)
    live.painted(2, learning=True)
    live.asked(10.0)
    live.showed(9, 9)
    live.learnt(2)
    live.answered(15.0)
    assert live.due(15.01 + PAUSE)


def test_nothing_changed_nothing_asked():
    assert not LiveView().due(1e9)
