"""The tutorials *A folder* and *Going to a cluster*: what was taught works on many images, and elsewhere."""

import shlex
import shutil
import subprocess
import sys

import numpy as np
import tifffile
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_unet.io.images import read_image

PATIENCE = 180_000


def taught_a(look, folder, truth):
    """The user, in front of a first image that is learnt from and predicted."""
    user = look(folder / "a.tif")
    user.open_dock()
    user.new_strokes()
    user.strokes_on_both(truth["a"])
    user.waits_until_it_shows(truth["a"] > 0)
    return user


def test_two_images_teach_what_a_folder_is_segmented_with(look, files, overlap):
    folder, truth = files
    user = taught_a(look, folder, truth)
    assert user.clicks == 3
    user.viewer.open(str(folder / "b.tif"), plugin="napari")
    user.chooses(user.dock.annotate.image, "b")
    user.new_strokes()
    user.strokes_on_both(truth["b"])
    user.waits_until_it_shows(truth["b"] > 0)
    assert user.clicks == 4
    user.goes_to(user.dock.train)
    user.qtbot.waitUntil(lambda: all(f"{name} (" in user.dock.train.sources.text() for name in "ab"), timeout=PATIENCE)
    user.stops()
    page = user.dock.segment
    user.goes_to(page)
    user.chooses(page.what, "Folder of images")
    user.will_answer(folder)
    user.click(page.folder.choose)
    assert page.folder.choose.text() == "images"
    user.click(page.start)
    user.qtbot.waitUntil(lambda: "3 of 3 images are segmented" in user.dock.status.text(), timeout=PATIENCE)
    for name, labels in truth.items():
        assert overlap(read_image(folder / f"{name}-labels.ome.tif").array > 1, labels > 0) > 0.5


def test_the_copied_command_gives_the_same_pixels_elsewhere(look, files, tmp_path, overlap):
    folder, truth = files
    user = taught_a(look, folder, truth)
    user.corrects(truth["a"] > 0)
    assert user.clicks == 3
    user.stops()
    user.segments()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = shlex.split(_copied(user, elsewhere).replace("\\\n", " "))
    shown = user.controller.link.prediction.data.copy()
    user.leave()
    shutil.rmtree(folder / "a.unet-project")  # the files of the command are all that it needs
    line = [sys.executable, "-c", "import sys, napari_unet.cli as c; sys.exit(c.main())", *words[1:]]
    done = subprocess.run(line, cwd=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (written,) = elsewhere.glob("a-labels*.tif")
    assert np.array_equal(tifffile.imread(written), shown)
    assert overlap(shown > 1, truth["a"] > 0) > 0.5


def _copied(user, folder):
    """*Copy as > Command line* on *Segment*, with a folder for its files."""
    button = user.dock.segment.copy
    entry = button.menu().actions()[0]
    assert entry.text() == "Command line…"

    def take():
        if not button.menu().isVisible():
            QTimer.singleShot(50, take)
            return
        user.will_answer(folder)
        user.click(button.menu(), button.menu().actionGeometry(entry).center())

    QApplication.clipboard().clear()
    QTimer.singleShot(50, take)
    user.click(button)
    user.qtbot.waitUntil(lambda: QApplication.clipboard().text() != "", timeout=PATIENCE)
    user.qtbot.waitUntil(lambda: not user.controller.answers.saving, timeout=PATIENCE)
    assert not user.controller.state.failed, user.dock.status.text()
    return QApplication.clipboard().text()
