"""Real files of many dialects: what napari shows is annotated, learnt from and segmented through the dock's controller.

One file of each kind; all of them with NAPARI_UNET_ALL_FORMATS=1.
"""

import os
from contextlib import suppress
from math import prod
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from napari_builtins.io import napari_get_reader

from napari_unet._napari.axes import label_shape
from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Phase
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.session.inline import InlineSession

SAMPLES = Path(os.environ.get("NAPARI_UNET_DATA", "/nowhere")) / "format_samples"
FILES = sorted(
    path for path in SAMPLES.rglob("*") if path.is_file() and path.suffix in (".tif", ".tiff", ".jpg", ".png")
)
EVERYTHING = bool(os.environ.get("NAPARI_UNET_ALL_FORMATS"))
#: Larger images are looked at in view only, pixels.
SEGMENTED = 2**20

pytestmark = pytest.mark.skipif(not FILES, reason="set NAPARI_UNET_DATA to the folder of test images")


def shown(path):
    """The image layers that napari makes of a file; none where it cannot open it."""
    viewer = ViewerModel()
    with suppress(Exception):  # napari says why, and there is nothing for us to do
        for pixels, *rest in napari_get_reader(str(path))(str(path)):
            viewer.add_image(pixels, **(rest[0] if rest else {}))
    return viewer, [layer for layer in viewer.layers if isinstance(layer, Image)]


def kind(layer):
    """What makes a dialect: axes, type, colour, pyramid."""
    return layer.ndim, str(layer.dtype), layer.rgb, layer.multiscale, min(label_shape(layer)[-2:]) < 16


def until(controller, done, ticks=400):
    for _ in range(ticks):
        controller.tick()
        if done() or controller.state.failed:
            return


def work(viewer, layer):
    """Annotate, train, segment; the sentence that says why not, or ""."""
    controller = Controller(viewer, InlineSession("cpu"))
    try:
        controller.set_live(False)
        controller.set_model(ModelConfig(width=2, depth=1))
        controller.training = TrainConfig(patch_size=16, batch_size=1, steps=2)
        controller.choose_image(layer)
        controller.new_strokes()
        strokes = controller.link.strokes
        corner = (0,) * (strokes.ndim - 1)
        strokes.brush_size = 1
        strokes.paint((*corner, 0), 1)
        strokes.paint((*corner, strokes.data.shape[-1] - 1), 2)
        controller.tick()
        controller.train()
        until(controller, lambda: controller.state.step >= 2 and controller.state.phase is Phase.IDLE)
        if controller.state.failed:
            return controller.state.message
        assert controller.state.step >= 2
        if prod(label_shape(layer)) > SEGMENTED:
            until(controller, lambda: controller.link.prediction.data[corner].any())
            assert controller.link.prediction.data.any()
            return ""
        controller.segmentation.start(controller.predicting)
        until(controller, lambda: controller.state.progress is None)
        assert set(np.unique(controller.link.prediction.data)) <= {1, 2}
        return controller.state.message if controller.state.failed else ""
    finally:
        controller.close()


def test_what_napari_shows_can_be_worked_on_or_says_why_not():
    seen, refused, worked = set(), {}, 0
    for path in FILES:
        viewer, layers = shown(path)
        for layer in layers:
            if not EVERYTHING and kind(layer) in seen:
                continue
            seen.add(kind(layer))
            sentence = work(viewer, layer)
            if sentence:
                refused[f"{path.name}: {layer.name}"] = sentence
            worked += not sentence
    assert worked > 5
    assert not [words for words in refused.values() if "defect" in words or "Traceback" in words]
    assert all(words.endswith(".") and "\n" not in words for words in refused.values())
