"""``napari-unet demo``: the main job on data that comes with the installation, and a picture of it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.cli.terminal import say
from napari_unet.cli.work import learn, make_folder
from napari_unet.config import TrainConfig

if TYPE_CHECKING:
    from napari_unet.data.scenes import Scene
    from napari_unet.session.model import Model

SCENES = ("tissue", "cells")
COLORS = ("#56B4E9", "#009E73")
PICTURE_SECONDS = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this command."""
    parser.add_argument(
        "--scene",
        choices=(*SCENES, "both"),
        default="both",
        help="Glands in stained tissue (a real image), or synthetic touching cells. [both]",
    )
    parser.add_argument("--seconds", type=float, default=35.0, help="Training time for each scene. [35]")
    parser.add_argument(
        "--output", type=Path, default=Path("napari-unet-demo"), help="Folder for all results. [napari-unet-demo]"
    )
    parser.add_argument("--no-napari", action="store_true", help="Show nothing in napari.")


def run(options: argparse.Namespace) -> int:
    """Learn each scene, score it, save everything, show it."""
    names = SCENES if options.scene == "both" else (options.scene,)
    for name in names:
        _work(name, options.output / name, options.seconds)
    if options.no_napari:
        return 0
    return _show([options.output / name for name in names])


def _work(name: str, folder: Path, seconds: float) -> None:
    """Strokes, training, prediction and scores of one scene."""
    from napari_unet.data import scenes
    from napari_unet.training.metrics import score

    scene = scenes.tissue() if name == "tissue" else scenes.cells()
    say(f"{name}: image {scene.image.shape}, strokes on {np.mean(scene.strokes > 0):.1%} of the pixels")
    model = _learn(scene, seconds)
    image, truth = scene.unseen
    scores = score(model.predict(image, axes=scene.axes) > 1, truth > 0)
    where = "the same image, against an outline drawn by hand" if image is scene.image else "a field never seen before"
    say(f"{name}: {scene.classes[1]} found with IoU {scores['iou']:.3f}, Dice {scores['dice']:.3f} on {where}")
    _save(scene, model, folder)
    say(f"{name}: image, strokes, prediction and model are in {folder}")


def _learn(scene: Scene, seconds: float) -> Model:
    from napari_unet.session.model import default_model

    config = default_model(scene.image, scene.axes, [scene.strokes]).replace(classes=scene.classes, colors=COLORS)
    return learn(scene.image, scene.strokes, model=config, training=TrainConfig(seconds=seconds), axes=scene.axes)


def _save(scene: Scene, model: Model, folder: Path) -> None:
    from napari_unet.io.images import write_labels

    make_folder(folder)
    np.save(folder / "image.npy", scene.image)
    write_labels(folder / "strokes.tif", scene.strokes, "YX", None, overwrite=True)
    write_labels(folder / "prediction.tif", model.predict(scene.image, axes=scene.axes), "YX", None, overwrite=True)
    model.save(folder / "model.unet")


def _show(folders: list[Path]) -> int:
    """Open napari for the user to go on; without a screen, draw it under Xvfb and say where the picture lies."""
    if find_spec("napari") is None:
        say('To see it in napari: pip install "napari-unet[all]"')
        return 0
    if _has_screen():
        say("Opening napari; close its window to end the demo.")
        return subprocess.run(_viewer(folders[0]), check=False).returncode
    return max(_draw(folder) for folder in folders)


def _draw(folder: Path) -> int:
    picture = folder / "napari.png"
    if shutil.which("xvfb-run") is None:
        say("There is no screen for a picture in napari; with Xvfb there would be: apt-get install xvfb")
        return 0
    line = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24", *_viewer(folder, "--picture", str(picture))]
    done = subprocess.run(line, check=False, timeout=PICTURE_SECONDS)
    say(f"Picture of it in napari: {picture.resolve()}" if done.returncode == 0 else "napari could not draw a picture")
    return done.returncode


def _viewer(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "napari_unet._napari.demo", str(folder), *options]


def _has_screen() -> bool:
    """Whether windows can be seen; on Linux that takes a display server."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
