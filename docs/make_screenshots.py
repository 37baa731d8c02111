"""Drive napari through the first minutes with the dock, and save a picture of each step.

    xvfb-run -a -s "-screen 0 1280x800x24" python docs/make_screenshots.py docs/images

Without arguments beside the folder it takes about a minute; ``--seconds`` sets how long it trains.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from napari.layers import Image
from qtpy.QtWidgets import QApplication

from napari_unet._napari.guidance import Phase
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.data.simulate import paint_strokes
from napari_unet.data.synthetic import touching_cells

SIZE = (1280, 800)


class Film:
    """One napari window and the folder its pictures go to."""

    def __init__(self, folder: Path, theme: str) -> None:
        self.folder, self.theme = folder, theme
        self.viewer = napari.Viewer(show_welcome_screen=False)
        self.viewer.theme = theme
        self.viewer.window.resize(*SIZE)
        self.cells = touching_cells((512, 512), seed=1)
        self.viewer.add_layer(Image(self.cells.image, name="Touching cells"))
        self.dock = UNetWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.dock, name="U-Net segmentation", area="right")
        self.controller = self.dock.controller

    def shoot(self, name: str) -> None:
        """Save a picture of the window."""
        wait(0.5)
        path = self.folder / f"{name}-{self.theme}.png"
        self.viewer.window.screenshot(str(path), canvas_only=False, flash=False)

    def close(self) -> None:
        """End the session and the window."""
        self.dock.close_session()
        self.viewer.close()


def wait(seconds: float, done: Callable[[], Any] = lambda: False) -> None:
    """Let Qt work until `done`, at most for `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        QApplication.processEvents()
        time.sleep(0.01)


def play(film: Film, seconds: float) -> None:
    """Every step a new user takes."""
    controller = film.controller
    film.shoot("1-opened")
    film.dock.annotate.new_strokes.click()
    film.shoot("2-new-strokes")
    strokes = controller.link.strokes
    strokes.data = paint_strokes(film.cells.labels, seed=0)
    film.shoot("3-painted")
    wait(60, lambda: controller.state.phase is Phase.TRAINING)
    wait(seconds)
    film.shoot("4-training")
    film.dock.show_page(film.dock.train)
    film.dock.train.toggle.click()
    wait(20, lambda: controller.state.phase is Phase.IDLE)
    film.dock.show_page(film.dock.segment)
    film.dock.segment.start.click()
    wait(60, lambda: controller.state.progress is None)
    film.shoot("5-segmented")
    film.dock.show_page(film.dock.train)
    film.dock.train.settings.unfold()
    film.shoot("6-settings")
    film.dock.show_page(film.dock.review)
    film.shoot("8-review")
    controller.load("no such file.unet")
    wait(5, lambda: controller.state.failed)
    film.shoot("7-sentence")


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--theme", choices=("dark", "light"), action="append")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for theme in options.theme or ("dark", "light"):
        film = Film(options.folder, theme)
        try:
            play(film, options.seconds)
        finally:
            film.close()


if __name__ == "__main__":
    main()
