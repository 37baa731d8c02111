"""Keys on the canvas, and their end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Keys:
    """Binds keys to viewers and layers, over napari's own, and lets go of all of them.

    napari's own digits choose the tools of a labels layer; on strokes they choose classes, whose values they are.
    """

    def __init__(self) -> None:
        self._bound: list[tuple[Any, str]] = []

    def bind(self, owner: Any, actions: Mapping[str, Callable[[], object]]) -> None:
        """Let keys do something while `owner`, a layer or the viewer, is in use.

        Parameters
        ----------
        owner : Layer or ViewerModel
        actions : mapping of str to callable
            Keys in napari's words, as ``"B"`` or ``"Control-Z"``.
        """
        for key, action in actions.items():
            owner.bind_key(key, _ignoring(action), overwrite=True)
            self._bound.append((owner, key))

    def release(self, owner: Any = None) -> None:
        """Give the keys of `owner` back to napari; of all when it is not given."""
        kept = []
        for bound, key in self._bound:
            if owner is None or bound is owner:
                bound.bind_key(key, None)
            else:
                kept.append((bound, key))
        self._bound = kept


def _ignoring(action: Callable[[], object]) -> Callable[[Any], None]:
    """`action` without what napari hands over, and without its result, which napari would call."""

    def act(_: Any) -> None:
        action()

    return act
