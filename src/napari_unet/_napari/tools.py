"""The tools of annotation, each one key away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from psygnal import Signal

from napari_unet._napari.boxes import painted_box, stroke_value
from napari_unet._napari.keys import Keys
from napari_unet._napari.viewer_link import ViewerLink

#: Tool, as napari calls the mode of a labels layer, and its key.
TOOLS = {"paint": "P", "erase": "E", "fill": "F", "polygon": "G", "pan_zoom": "Z"}
REGION_KEY, BLINK_KEY = "R", "B"
UNDO_KEY, REDO_KEY = "Control-Z", "Control-Shift-Z"
MOST_CLASS_KEYS = 9


class Tools:
    """Puts tools into the user's hand, by keys on the canvas and by the buttons of the dock.

    Parameters
    ----------
    link : ViewerLink
    draw_region : callable
        Starts a complete region.
    """

    changed = Signal(str)  #: the tool in the user's hand: a key of `TOOLS`, or another mode of napari

    def __init__(self, link: ViewerLink, draw_region: Callable[[], object]) -> None:
        self._link, self._draw_region = link, draw_region
        self._keys = Keys()
        self._keys.bind(link.viewer, {BLINK_KEY: link.display.blink})
        self._strokes: Any = None
        link.roles_changed.connect(self._on_roles)
        link.removed.connect(self._on_removed)
        link.display.made.connect(self._on_made)

    def take(self, tool: str) -> None:
        """Take a tool, or the hand that moves the image."""
        if self._link.strokes is not None:
            self._link.take_tool(tool)

    def pick_class(self, value: int) -> None:
        """Take the brush of a class."""
        if self._link.strokes is not None:
            self._link.take_brush(value)

    def undo(self) -> None:
        """Take the last change of the strokes back, on whatever slice it was, and go there."""
        self._replay("_undo_history", "undo")

    def redo(self) -> None:
        """Bring back what was taken back."""
        self._replay("_redo_history", "redo")

    def close(self) -> None:
        """Give all keys back."""
        self._keys.release()

    def _replay(self, history: str, action: str) -> None:
        """Undo says nothing of where it was; the history does, where this napari has one of that name."""
        layer = self._link.strokes
        if layer is None:
            return
        items = getattr(layer, history, None)
        box = painted_box(items[-1], layer.data.shape) if items else None
        value = stroke_value(items[-1]) if items else 0
        getattr(layer, action)()
        if box is not None:
            self._link.stroked.emit(value, -1 if action == "undo" else 1)
            self._link.painted.emit(box)
            self._link.go_to(box)

    # ------------------------------------------------------------------ keys

    def _on_roles(self) -> None:
        """Bind the keys of the strokes in use."""
        strokes = self._link.strokes
        if strokes is self._strokes:
            return
        if self._strokes is not None:
            self._strokes.events.mode.disconnect(self._on_mode)
            self._keys.release(self._strokes)
        self._strokes = strokes
        if strokes is None:
            return
        strokes.events.mode.connect(self._on_mode)
        tools = {key: partial(self.take, tool) for tool, key in TOOLS.items()}
        classes = {str(value): partial(self.pick_class, value) for value in range(1, MOST_CLASS_KEYS + 1)}
        others = {REGION_KEY: self._draw_region, UNDO_KEY: self.undo, REDO_KEY: self.redo}
        self._keys.bind(strokes, {**tools, **classes, **others, BLINK_KEY: self._link.display.blink})
        self._on_mode()

    def _on_removed(self, role: str, layer: Any) -> None:
        self._keys.release(layer)
        if layer is self._strokes:
            layer.events.mode.disconnect(self._on_mode)
            self._strokes = None

    def _on_made(self, layer: Any) -> None:
        self._keys.bind(layer, {BLINK_KEY: self._link.display.blink})

    def _on_mode(self) -> None:
        self.changed.emit(str(self._strokes.mode))
