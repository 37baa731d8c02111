"""Preferences, help, samples with strokes, and the keyboard, in a real window."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel, QWidget

from napari_unet._napari import help as docs
from napari_unet._napari.preferences import Preferences, preferences
from napari_unet._napari.widgets import dock as dock_module
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.io import project_places
from napari_unet.session.commands import UseDevice

ROOT = Path(__file__).parents[2]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def plugin(plugin_settings, npe2pm):
    """napari knows the plugin, and keeps its settings in a folder of the test."""
    for name in ("napari", "napari-unet"):
        npe2pm.register(PluginManifest.from_distribution(name))
    from napari.settings import get_plugin_settings

    yield get_plugin_settings("napari-unet")
    project_places.keep_in(None)


@pytest.fixture
def window(plugin, make_napari_viewer):
    made = make_napari_viewer(show=True)
    made.add_image(np.random.default_rng(0).random((60, 80), dtype=np.float32), name="image")
    return made


@pytest.fixture
def open_dock(window, session):
    docks = []

    def open_():
        made = UNetWidget(window, session)
        window.window.add_dock_widget(made, name="U-Net segmentation")
        made._timer.stop()
        docks.append(made)
        return made

    yield open_
    for made in docks:
        made.close_session()


# ---------------------------------------------------------------------- preferences


def test_a_dock_begins_with_the_preferences(plugin, open_dock, session, tmp_path):
    plugin.start.device, plugin.start.threads = "cpu", 3
    plugin.start.live, plugin.start.preset = False, "quick"
    plugin.start.projects = str(tmp_path / "mine")
    dock = open_dock()
    assert session.sent(UseDevice)[-1] == UseDevice("cpu", 3)
    assert not dock.controller.state.live
    assert not dock.state_bar.live.isChecked()
    assert dock.train.preset.currentText() == "Quick"
    assert dock.train.budget.value() == 60
    assert project_places.parents(tmp_path / "image.tif")[0] == tmp_path / "mine"


def test_changed_preferences_count_at_once_until_the_dock_is_closed(plugin, open_dock):
    dock = open_dock()
    plugin.start.preset = "best"
    plugin.start.live = False
    assert dock.train.preset.currentText() == "Best"
    assert not dock.controller.state.live
    dock.close_session()
    plugin.start.live = True
    assert not dock.controller.state.live


def test_napari_keeps_them(plugin):
    plugin.start.threads = 2
    assert "threads: 2" in plugin.config_path.read_text()
    assert preferences() == Preferences(threads=2)


def test_a_napari_without_them_has_the_defaults(plugin_settings):
    assert preferences() == Preferences()


def test_the_dialog_shows_all_of_them(window):
    from napari._app_model import get_app_model

    get_app_model().commands.execute_command("napari.window.file.show_preferences_dialog")
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog

    dialog = next(iter(window.window._qt_window.findChildren(PreferencesDialog)))
    names = [dialog._list.item(index).text() for index in range(dialog._list.count())]
    dialog._list.setCurrentRow(names.index("U-Net segmentation"))
    labels = {label.text() for label in dialog._stack.currentWidget().findChildren(QLabel)}
    assert {"Compute on", "Processor threads", "Keep projects in", "Learn by itself", "Preset"} <= labels
    dialog.reject()


def test_projects_are_kept_and_found_where_the_user_wants_them(tmp_path):
    wanted, image = tmp_path / "mine", tmp_path / "images" / "a.tif"
    image.parent.mkdir()
    try:
        project_places.keep_in(wanted)
        folder = project_places.new_folder(project_places.parents(image)[0], "a")
        assert folder.parent == wanted
        (folder / project_places.ABOUT).write_text("{}")
        (folder / project_places.JOURNAL).write_bytes(b"")
        assert list(project_places.beside(image)) == [folder]
    finally:
        project_places.keep_in(None)
    assert project_places.parents(image)[0] == image.parent


# ---------------------------------------------------------------------- help


def test_the_docs_are_where_the_project_says():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert urls["Documentation"] == docs.DOCS


def test_the_question_mark_and_f1_open_the_page_about_the_page(open_dock, monkeypatch, qtbot):
    opened = []
    monkeypatch.setattr(dock_module.QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    dock = open_dock()
    for page in dock.pages:
        dock.show_page(page)
        QTest.mouseClick(dock.help, LEFT)
    assert opened == [docs.docs_url(page.help) for page in dock.pages]
    for page in dock.pages:
        file, _, heading = page.help.partition("#")
        text = (ROOT / "docs" / file).read_text(encoding="utf-8")
        assert not heading or heading in [_anchor(line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]


def _anchor(heading):
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# ---------------------------------------------------------------------- samples with strokes


@pytest.mark.parametrize(("key", "thing"), [("painted_cells", "cell"), ("painted_tissue", "gland")])
def test_a_sample_with_strokes_is_ready_to_train(window, qtbot, monkeypatch, session, key, thing):
    monkeypatch.setattr(dock_module, "ProcessSession", lambda: session)
    window.open_sample("napari-unet", key)
    qtbot.waitUntil(lambda: bool(window.window._qt_window.findChildren(UNetWidget)), timeout=20_000)
    dock = window.window._qt_window.findChildren(UNetWidget)[0]
    qtbot.waitUntil(lambda: dock.controller.state.button == "train", timeout=10_000)
    assert dock.controller.model.classes == ("background", thing)
    assert all(dock.controller.state.painted)
    assert dock.tabs.currentIndex() == dock.pages.index(dock.train)
    dock.close_session()


# ---------------------------------------------------------------------- the keyboard


def test_tab_goes_through_all_inputs_of_each_page_in_their_order(window, open_dock, qtbot):
    dock = open_dock()
    window.window._qt_window.activateWindow()
    for page in dock.pages:
        dock.show_page(page)
        qtbot.wait(20)
        dock.tabs.tabBar().setFocus()
        seen = []
        for _ in range(80):
            QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
            if QApplication.focusWidget() in seen or not page.isAncestorOf(QApplication.focusWidget()):
                break
            seen.append(QApplication.focusWidget())
        wanted = [w for w in page.findChildren(QWidget) if w.isVisible() and w.isEnabled() and _takes_tab(w)]
        assert set(seen) == set(wanted)
        tops = [w.mapTo(page, w.rect().center()).y() for w in seen]
        assert all(after > before - 12 for before, after in pairwise(tops))


def _takes_tab(widget):
    return bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus)


def test_no_letter_is_taken_twice(window, open_dock):
    """A letter after & and Alt: of napari's menus, of its actions, of the pages, and of what is on each page."""
    dock = open_dock()
    own = [re.findall("&(.)", dock.tabs.tabText(index)) for index in range(dock.tabs.count())]
    menus = [re.findall("&(.)", action.text()) for action in window.window._qt_window.menuBar().actions()]
    taken = [letter.upper() for letters in own + menus for letter in letters] + ["S", "C"]  # napari's screenshots
    for page in dock.pages:
        words = [label.text() for label in page.findChildren(QLabel) if label.buddy()]
        words += [dock.state_bar.live.text()]
        letters = [letter.upper() for text in words for letter in re.findall("&(.)", text)]
        assert len(set(taken + letters)) == len(taken + letters), (page.title, taken, letters)
