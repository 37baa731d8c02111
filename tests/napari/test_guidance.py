import pytest

from napari_unet._napari.guidance import Phase, Situation, next_step

READY = {"image": True, "strokes": True, "ready": True}


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({}, "Open an image"),
        ({"image": True}, "New strokes"),
        (READY, "Paint a few strokes on cell (2) and on background (1); learning then starts by itself"),
        ({**READY, "live": False}, "Paint a few strokes on cell (2) and on background (1), then press Train"),
        ({**READY, "painted": (0, 9)}, "background (1)"),
        ({**READY, "painted": (9, 0)}, "cell (2)"),
        ({**READY, "painted": (9, 9)}, "Press Train"),
        ({**READY, "painted": (9, 9), "phase": Phase.WAITING, "ready": False}, "Starting the engine"),
        ({**READY, "painted": (9, 9), "phase": Phase.TRAINING}, "press Stop"),
        ({**READY, "painted": (9, 9), "phase": Phase.STOPPING}, "model is kept"),
        ({**READY, "painted": (9, 9), "step": 5}, "Segment image"),
        ({"image": True, "step": 5}, "Segment image"),
        ({**READY, "painted": (9, 9), "step": 5, "segmenting": True}, "Cancel"),
        ({**READY, "painted": (9, 9), "step": 5, "segmented": True}, "Press Save model"),
        ({**READY, "painted": (9, 9), "step": 5, "segmented": True, "saved": True}, "model is saved"),
    ],
)
def test_says_the_next_step(now, words):
    assert words in next_step(Situation(**now)).words


def test_names_every_class_that_is_missing():
    words = next_step(Situation(**READY, classes=("background", "nucleus", "gland"), painted=(3, 0, 0))).words
    assert "nucleus (2)" in words
    assert "gland (3)" in words
    assert "background" not in words


@pytest.mark.parametrize(
    ("now", "button"),
    [
        ({"image": True}, "new_strokes"),
        ({**READY, "painted": (9, 9)}, "train"),
        ({"image": True, "step": 3}, "segment"),
        ({**READY, "painted": (9, 9), "step": 3, "segmented": True}, "save"),
        ({**READY, "painted": (9, 9), "step": 3, "segmented": True, "saved": True}, "none"),
    ],
)
def test_points_at_the_button(now, button):
    assert next_step(Situation(**now)).button == button
