"""Strokes that the model does not fit, each gone to with a click."""

from __future__ import annotations

from collections.abc import Sequence

from psygnal import Signal

from napari_unet._napari.jumping import jump
from napari_unet._napari.parts import Parts
from napari_unet.errors import AnnotationError
from napari_unet.events import Finding
from napari_unet.session.commands import CheckStrokes
from napari_unet.session.messages import StrokesChecked

#: A line for the user, and where it leads; None where it leads nowhere.
Line = tuple[str, "tuple[int, ...] | None"]


class Checks:
    """Asks the model about the strokes in use.

    Parameters
    ----------
    parts : Parts
    """

    listed = Signal(list)  #: lines

    def __init__(self, parts: Parts) -> None:
        self._parts, self._link, self._strokes, self._board = parts, parts.link, parts.strokes, parts.board
        self._link.roles_changed.connect(self._on_roles)

    def check(self) -> None:
        """Ask.

        Raises
        ------
        NapariUnetError
            When there is no model or nothing is painted.
        """
        self._parts.need_model()
        if self._link.strokes is None:
            raise AnnotationError("There are no strokes to check: press New strokes, then paint a few.")
        self._strokes.teach()
        self._parts.client.review(CheckStrokes, self._strokes.share_image())
        self._board.say("Checking each stroke.")

    def take(self, answer: StrokesChecked) -> None:
        """The findings have come."""
        model = self._parts.model.config
        if model is None:
            return
        painted = self._strokes.painted(model)
        missing = [name for name, count in zip(model.classes, painted, strict=False) if not count]
        lines: list[Line] = [(f"No {name} is painted: paint a little of it.", None) for name in missing]
        lines += [(words(found, model.classes), found.point) for found in answer.findings]
        self.listed.emit(lines)
        all_of = "all strokes" if answer.complete else "the strokes of a part of the image"
        self._board.say(f"Looked at {all_of}: " + (f"{len(lines)} to look at." if lines else "the model fits them."))

    def go(self, point: tuple[int, ...]) -> None:
        """Bring a stroke into the middle of the view."""
        if self._link.strokes is not None and len(point) == self._link.strokes.ndim:
            jump(self._link.viewer, self._link.strokes, point)

    def _on_roles(self) -> None:
        self.listed.emit([])


def words(found: Finding, classes: Sequence[str]) -> str:
    """What is wrong, and what to do.

    Examples
    --------
    >>> words(Finding("swapped", (3, 3), 1, 2, 0.02, 40), ("background", "cell"))
    'Painted background, surely looks like cell: wrong class?'
    """
    painted, seen = (
        classes[value - 1] if value <= len(classes) else f"object {value}" for value in (found.value, found.seen)
    )
    if found.kind == "shared":
        return f"Value {found.value} is on two objects: give one of them another."
    if found.kind == "swapped":
        return f"Painted {painted}, surely looks like {seen}: wrong class?"
    return f"Painted {painted}, rather looks like {seen}: correct it, or paint more like it."
