"""The dock widget: four pages, and what is the same on all of them."""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import finalize

from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, Qt, QTimer, QUrl
from qtpy.QtGui import QColor, QDesktopServices, QIcon, QKeySequence, QPainter, QPixmap
from qtpy.QtWidgets import QShortcut, QTabWidget, QToolButton, QVBoxLayout, QWidget

from napari_unet._napari.beginning import Beginning
from napari_unet._napari.board import State
from napari_unet._napari.client import Session
from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Button
from napari_unet._napari.help import docs_url
from napari_unet._napari.widgets.annotate_tab import AnnotateTab
from napari_unet._napari.widgets.project_bar import OfferBar, ProjectBar
from napari_unet._napari.widgets.review_tab import ReviewTab
from napari_unet._napari.widgets.segment_tab import SegmentTab
from napari_unet._napari.widgets.state_bar import StateBar
from napari_unet._napari.widgets.status_line import StatusLine
from napari_unet._napari.widgets.tab import Tab, call, scrolled, tab_in_order
from napari_unet._napari.widgets.train_tab import TrainTab
from napari_unet.session.process import ProcessSession

TICK_MILLISECONDS = 50
_BLUE = "#0072B2"
_NEXT = f"QPushButton {{ background-color: {_BLUE}; color: white; font-weight: bold; }}"


class UNetWidget(QWidget):
    """Paint strokes, watch a U-Net learn from them, segment the image.

    The session ends when the dock is closed; hiding it leaves everything going on.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    session : Session, optional
        What trains and predicts; by default a process of its own, started now.

    Attributes
    ----------
    controller : Controller
        Does what the buttons say; every button has a method there.
    status : StatusLine
        The sentence above the pages.
    bars : QVBoxLayout
        Room for lines between the sentence and the pages, for example an offer to go on with earlier work.
    annotate, train, segment, review : Tab
        The pages.
    """

    def __init__(self, napari_viewer: Any, session: Session | None = None) -> None:
        super().__init__()
        self.controller = Controller(napari_viewer, session or ProcessSession())
        self.status = StatusLine()
        self.bars = QVBoxLayout()
        self.offer_bar = OfferBar(self.controller.safe)
        self.project_bar = ProjectBar(self.controller.safe)
        self.annotate = AnnotateTab(self.controller)
        self.train = TrainTab(self.controller)
        self.segment = SegmentTab(self.controller)
        self.review = ReviewTab(self.controller)
        self.tabs = QTabWidget()
        self.help = QToolButton()
        self.state_bar = StateBar(self.controller)
        self._arrange()
        self.controller.board.changed.connect(self._on_state)
        self.controller.board.complained.connect(show_error)
        self._on_state(self.controller.state)
        self._beginning = Beginning(self.controller)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.controller.tick)
        self._timer.start(TICK_MILLISECONDS)
        # whichever comes first: the dock is closed, Qt deletes the widget, Python does, or Python ends
        self._end = finalize(self, _close, self._beginning, self.controller)
        self.destroyed.connect(partial(call, self._end))

    @property
    def pages(self) -> tuple[Tab, ...]:
        """The pages, in order."""
        return self.annotate, self.train, self.segment, self.review

    def show_page(self, page: Tab) -> None:
        """Bring a page to the front."""
        self.tabs.setCurrentIndex(self.pages.index(page))

    def show_help(self) -> None:
        """Open the page of the docs about the page in front."""
        QDesktopServices.openUrl(QUrl(docs_url(self.pages[self.tabs.currentIndex()].help)))

    def close_session(self) -> None:
        """End the session and let go of the viewer; layers stay."""
        self._timer.stop()
        self._end()

    def event(self, event: QEvent) -> bool:
        """End the session when napari takes the widget out of its dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.close_session()
        return bool(super().event(event))

    # ------------------------------------------------------------------ building

    def _arrange(self) -> None:
        for index, page in enumerate(self.pages):
            self.tabs.addTab(scrolled(page), page.title)
            self.tabs.setTabToolTip(index, page.purpose)
            tab_in_order(page)
        self.tabs.tabBar().setExpanding(True)
        self._arrange_help()
        self.bars.setContentsMargins(0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.status)
        self.bars.addWidget(self.offer_bar)
        layout.addLayout(self.bars)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.project_bar)
        layout.addWidget(self.state_bar)
        self.setMinimumWidth(304)  # the widest page and a scroll bar

    def _arrange_help(self) -> None:
        self.help.setText("?")
        self.help.setToolTip("Open the docs about this page (F1).")
        self.help.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.help.clicked.connect(partial(call, self.show_help))
        self.tabs.setCornerWidget(self.help)
        key = QShortcut(QKeySequence(Qt.Key.Key_F1), self)
        key.setContext(Qt.ShortcutContext.WindowShortcut)  # also while painting on the canvas
        key.activated.connect(self.show_help)

    # ------------------------------------------------------------------ showing

    def _on_state(self, state: State) -> None:
        self.status.show_message(state.message, failed=state.failed)
        self.state_bar.show_state(state)
        for page in self.pages:
            page.show_state(state)
        self._point_at(state.button)

    def _point_at(self, next_button: Button) -> None:
        """Colour the button that comes next, and mark its page."""
        for index, page in enumerate(self.pages):
            buttons = page.buttons()
            for name, widget in buttons.items():
                style = _NEXT if name == next_button else ""
                if widget.styleSheet() != style:
                    widget.setStyleSheet(style)
            self._mark(index, next_button in buttons)

    def _mark(self, index: int, marked: bool) -> None:
        if marked == self.tabs.tabIcon(index).isNull():
            self.tabs.setTabIcon(index, _dot() if marked else QIcon())


def _close(beginning: Beginning, controller: Controller) -> None:
    """End the session, and let go of napari."""
    beginning.close()
    controller.close()


def _dot() -> QIcon:
    """A blue dot: the next step is on this page."""
    pixmap = QPixmap(24, 24)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(_BLUE))
    painter.setPen(QColor(_BLUE))
    painter.drawEllipse(6, 6, 12, 12)
    painter.end()
    return QIcon(pixmap)
