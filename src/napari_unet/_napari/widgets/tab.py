"""What a page of the dock is, and the small parts that pages share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractScrollArea,
    QComboBox,
    QFrame,
    QGridLayout,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_unet._napari.board import State
from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Button


class Tab(QWidget):
    """A page of the dock: it makes its widgets, connects them to the controller by itself, and shows states.

    A page knows the controller and nothing of the other pages, so that each can be worked on alone. A subclass sets
    `title`, `purpose` and `help` and overrides `show_state` and, if the guidance can point at one of its buttons,
    `buttons`.

    Parameters
    ----------
    controller : Controller
        Its methods are what buttons do; `Controller.board` has the state.

    Attributes
    ----------
    title, purpose : str
        What stands on the tab, with its shortcut, and what its tooltip says.
    help : str
        The page of the docs about it, with a heading after ``#``.
    """

    title: ClassVar[str]
    purpose: ClassVar[str]
    help: ClassVar[str]

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller

    def show_state(self, state: State) -> None:
        """Show the state of session and viewer; called at every change."""

    def buttons(self) -> Mapping[Button, QPushButton]:
        """The buttons of this page that can be the next step."""
        return {}


def scrolled(page: QWidget) -> QScrollArea:
    """`page` with a vertical scroll bar where the window is too small for it."""
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    scroll.setWidget(page)
    return scroll


def column(widget: QWidget, margin: int = 6) -> QVBoxLayout:
    """A vertical layout for `widget`."""
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(margin, margin, margin, margin)
    layout.setSpacing(6)
    return layout


def labelled(*rows: tuple[str, QWidget]) -> QGridLayout:
    """Inputs below each other, each with a label in front; a letter after & takes the keyboard there."""
    grid = QGridLayout()
    grid.setVerticalSpacing(4)
    grid.setColumnStretch(1, 1)
    for row, (text, widget) in enumerate(rows):
        label = QLabel(text)
        label.setBuddy(widget)
        label.setToolTip(widget.toolTip())
        grid.addWidget(label, row, 0)
        grid.addWidget(widget, row, 1)
    return grid


def button(text: str, tooltip: str) -> QPushButton:
    """A push button that says what it does."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    return made


def narrow(combo: QComboBox) -> QComboBox:
    """A list that may be narrower than its longest entry."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    return combo


def heading(text: str, tooltip: str = "") -> QLabel:
    """A bold line above a group of inputs."""
    label = QLabel(f"<b>{text}</b>")
    label.setToolTip(tooltip)
    return label


def line() -> QFrame:
    """A horizontal rule."""
    rule = QFrame()
    rule.setFrameShape(QFrame.Shape.HLine)
    return rule


def tab_in_order(widget: QWidget) -> None:
    """Let the key Tab go through the inputs of `widget` as they are arranged, and not as they were made."""
    inputs = list(_inputs(widget))
    for before, after in pairwise(inputs):
        QWidget.setTabOrder(before, after)


def _inputs(widget: QWidget) -> Iterator[QWidget]:
    """All that takes the keyboard, in the order of the layouts."""
    layout = widget.layout()
    if isinstance(widget, QAbstractScrollArea) and widget.focusPolicy() == Qt.FocusPolicy.NoFocus:
        inner = widget.widget() if isinstance(widget, QScrollArea) else None
        yield from _inputs(inner) if inner is not None else ()
    elif widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        yield widget
    elif layout is not None:
        yield from _inputs_of(layout)


def _inputs_of(layout: QLayout) -> Iterator[QWidget]:
    for index in range(layout.count()):
        item = layout.itemAt(index)
        if item.widget() is not None:
            yield from _inputs(item.widget())
        elif item.layout() is not None:
            yield from _inputs_of(item.layout())


def call(action: Callable[[], Any], *_: object) -> None:
    """Do it without the arguments that Qt hands to slots."""
    action()
