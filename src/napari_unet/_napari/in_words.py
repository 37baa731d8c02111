"""What cannot be done is said in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from napari_unet._napari.board import Board
from napari_unet.errors import NapariUnetError

P = ParamSpec("P")


class _HasBoard(Protocol):
    """Who can say something."""

    board: Board


S = TypeVar("S", bound=_HasBoard)


def in_words(action: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
    """Make `action` say in one sentence why it cannot be done, instead of raising."""

    @wraps(action)
    def told(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            action(self, *args, **kwargs)
        except NapariUnetError as error:
            self.board.complain(str(error))

    return told
