"""``python -m napari_unet._napari.demo FOLDER``: the results of ``napari-unet demo`` in napari, with the dock."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import napari
import numpy as np
import tifffile
from qtpy.QtCore import QTimer

from napari_unet._napari.guidance import Phase
from napari_unet._napari.widgets.dock import UNetWidget

POLL_MILLISECONDS = 200
PATIENCE_SECONDS = 90
WINDOW = (1440, 900)


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the window; with ``--picture``, write a picture of it and close it again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args(arguments)
    viewer = napari.Viewer(title=f"napari-unet demo: {options.folder.name}")
    dock = open_result(viewer, options.folder)
    watch = _Watch(viewer, dock, options.picture)
    napari.run()
    return 0 if watch.succeeded or options.picture is None else 1


def open_result(viewer: Any, folder: Path) -> UNetWidget:
    """Show image and strokes of `folder`, open the dock, and let it segment the image with the model there."""
    image = np.load(folder / "image.npy")
    layer = viewer.add_image(image, name=folder.name, rgb=image.ndim == 3)
    dock = UNetWidget(viewer)
    viewer.window.add_dock_widget(dock, name="U-Net segmentation", area="right")
    controller = dock.controller
    controller.choose_image(layer)
    controller.link.new_strokes(controller.model, tifffile.imread(folder / "strokes.tif"))
    controller.load(folder / "model.unet")
    return dock


class _Watch:
    """Segments as soon as the model is there, and takes the picture when that is done."""

    def __init__(self, viewer: Any, dock: UNetWidget, picture: Path | None) -> None:
        self.succeeded = False
        self._viewer, self._dock, self._picture = viewer, dock, picture
        self._asked = False
        self._left = PATIENCE_SECONDS * 1000 // POLL_MILLISECONDS
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(POLL_MILLISECONDS)
        if picture is not None:
            viewer.window.resize(*WINDOW)

    def _look(self) -> None:
        controller = self._dock.controller
        self._left -= 1
        if not self._asked and controller.state.step and controller.state.phase is Phase.IDLE:
            self._viewer.reset_view()
            controller.segmentation.start(controller.predicting)
            self._asked = True
        elif self._asked and controller.state.progress is None:
            self._end(succeeded=True)
        elif self._left <= 0:
            self._end(succeeded=False)

    def _end(self, *, succeeded: bool) -> None:
        self.succeeded = succeeded
        self._timer.stop()
        if self._picture is None:
            return
        if succeeded:
            self._viewer.window.screenshot(str(self._picture), canvas_only=False, flash=False)
        self._viewer.close()


if __name__ == "__main__":
    raise SystemExit(main())
