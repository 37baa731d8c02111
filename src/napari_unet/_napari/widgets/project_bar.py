"""The lines about the project: an offer to go on with earlier work, and where the work of today is kept."""

from __future__ import annotations

import os
import time
from functools import partial

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QLabel, QMenu, QVBoxLayout, QWidget

from napari_unet._napari.project import Keeping
from napari_unet._napari.safekeeping import Safekeeping
from napari_unet._napari.widgets.tab import button, call
from napari_unet.session.projects import ENDING, Offer

_OFFER = "QFrame#offer { border-left: 4px solid #E69F00; }"
_FIRST = "QPushButton { background-color: #0072B2; color: white; font-weight: bold; }"
_ALARM = "QLabel { color: #D55E00; font-weight: bold; }"


def in_words(offer: Offer, now: float | None = None) -> str:
    """An offer as a sentence, for example ``"Go on with 'cells' of 14:05: 37 strokes, model of 812 steps?"``."""
    holds = [f"{offer.strokes} stroke{'s' * (offer.strokes != 1)}"]
    holds += [f"model of {offer.step:,} step{'s' * (offer.step != 1)}"] if offer.step else []
    holds += [f"{offer.images} images"] if offer.images > 1 else []
    why = "napari ended unexpectedly. " if offer.killed else ""
    return f"{why}Go on with '{offer.image}' of {_when(offer.time, now)}: {', '.join(holds)}?"


class OfferBar(QFrame):
    """Asks whether to go on with earlier work; waits for no answer, and disappears with one."""

    def __init__(self, safe: Safekeeping, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("offer")
        self.setStyleSheet(_OFFER)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.go_on = button("Go on", "Bring back strokes, model and settings.")
        self.go_on.setStyleSheet(_FIRST)
        self.discard = button("Discard", "Never ask again. It can be reopened from Project until tomorrow.")
        self.later = button("Later", "Leave it as it is, and ask again next time.")
        self._arrange()
        self.go_on.clicked.connect(partial(call, safe.go_on))
        self.discard.clicked.connect(partial(call, safe.offers.discard))
        self.later.clicked.connect(partial(call, safe.offers.later))
        safe.offers.offered.connect(self.show_offer)
        self.show_offer(safe.offers.offer)

    def show_offer(self, offer: Offer | None) -> None:
        """Show an offer, or nothing."""
        self.setVisible(offer is not None)
        if offer is not None:
            self.words.setText(in_words(offer))
            self.words.setToolTip(str(offer.folder))

    def _arrange(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 6, 4)
        layout.addWidget(self.words)
        row = QHBoxLayout()
        for widget, stretch in ((self.go_on, 2), (self.later, 1), (self.discard, 1)):
            row.addWidget(widget, stretch)
        layout.addLayout(row)


class ProjectBar(QWidget):
    """Where the work is kept, and a menu to open and save projects."""

    def __init__(self, safe: Safekeeping, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._safe = safe
        self.words = QLabel()
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.menu = QMenu(self)
        self.recent = self.menu.addMenu("Open recent")
        self._fill_menu()
        self.open_menu = button("Project", "Open a project with its strokes and model, or save this one elsewhere.")
        self.open_menu.setMenu(self.menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 0, 6, 0)
        row.addWidget(self.words, 1)
        row.addWidget(self.open_menu)
        safe.project.changed.connect(self.show_keeping)
        self.show_keeping(safe.project.keeping)

    def show_keeping(self, keeping: Keeping) -> None:
        """Say how safe the work is."""
        self.words.setText(_short(keeping))
        self.words.setToolTip("\n".join(filter(None, (keeping.trouble, keeping.note, str(keeping.folder or "")))))
        self.words.setStyleSheet(_ALARM if keeping.trouble else "")
        self._save.setEnabled(keeping.folder is not None)
        self._show.setEnabled(keeping.folder is not None)

    def ask_for_project(self) -> None:
        """Let the user choose a project to open."""
        folder = QFileDialog.getExistingDirectory(self, f"Open a project (a folder that ends with {ENDING})")
        if folder:
            self._safe.open(folder)

    def ask_for_place(self) -> None:
        """Let the user choose where the project is to be."""
        now = self._safe.project.keeping.folder
        path, _ = QFileDialog.getSaveFileName(self, "Save the project as", str(now) if now else "", f"*{ENDING}")
        if path:
            self._safe.save_as(path)

    def _fill_menu(self) -> None:
        open_ = self.menu.addAction("Open project…", partial(call, self.ask_for_project))
        self.menu.insertAction(self.recent.menuAction(), open_)
        self._save = self.menu.addAction("Save project as…", partial(call, self.ask_for_place))
        self._show = self.menu.addAction("Show its folder", partial(call, self._show_folder))
        self.recent.aboutToShow.connect(self._fill_recent)

    def _fill_recent(self) -> None:
        self.recent.clear()
        for offer in self._safe.recent():
            text = f"{offer.image}, {_when(offer.time)}: {offer.strokes} strokes"
            action = self.recent.addAction(text, partial(call, partial(self._safe.open, offer.folder)))
            action.setToolTip(str(offer.folder))
        if self.recent.isEmpty():
            self.recent.addAction("none yet").setEnabled(False)

    def _show_folder(self) -> None:
        folder = self._safe.project.keeping.folder
        if folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(os.fspath(folder)))


def _short(keeping: Keeping) -> str:
    if keeping.trouble:
        return "Your strokes are NOT kept"
    if keeping.folder is None:
        return "Every stroke is kept by itself"
    return f"{'Strokes kept' if keeping.note else 'Kept'} in {keeping.folder.name}"


def _when(then: float, now: float | None = None) -> str:
    """The time of day, and the day if it was not today."""
    day, today = time.localtime(then), time.localtime(now)
    clock = time.strftime("%H:%M", day)
    return clock if day[:3] == today[:3] else f"{day.tm_mday} {time.strftime('%B', day)}, {clock}"
