"""Result layers to files, in a thread of their own: the window never waits for a disk."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet._napari.axes import layer_axes, spacing
from napari_unet._napari.board import Board
from napari_unet._napari.prediction_layer import RECIPE
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import Output
from napari_unet.errors import AnnotationError, ImageError, NapariUnetError
from napari_unet.session.results import Result, check_name, save_result

_WHAT = {"labels": "classes", "instances": "objects", "probabilities": "probabilities", "uncertainty": "uncertainty"}


class Saving:
    """At most one file at a time; what is being written when napari closes is written to its end.

    Parameters
    ----------
    link : ViewerLink
    board : Board
        Is told how it went.
    """

    def __init__(self, link: ViewerLink, board: Board) -> None:
        self._link, self._board = link, board
        self._thread: ThreadPoolExecutor | None = None
        self._written: Future[None] | None = None
        self._path = Path()

    def save(
        self, output: Output, path: Path, classes: tuple[tuple[str, str], ...], *, zero: bool, overwrite: bool
    ) -> None:
        """Write the layers that show `output`, as they are now.

        Parameters
        ----------
        output : str
        path : Path
            Its ending tells the format.
        classes : tuple of (str, str)
            Names and colours of what is in it, see `named_planes`.
        zero : bool
            Write background as 0, the classes as 1, 2, ...
        overwrite : bool
            Replace what is there; the user was asked.

        Raises
        ------
        NapariUnetError
            When there is nothing to save, or a file is being written already.
        """
        layer, data, named = self._found(output, classes)
        if layer is None or not data.any():
            raise AnnotationError(
                f"There is nothing to save yet: make the {_WHAT[output]} first, with the button above."
            )
        if self._written is not None:
            raise ImageError(f"Wait a moment: {self._path.name} is still being written.")
        check_name(path)
        axes = layer_axes(self._link.image).removesuffix("C")
        recipe = layer.metadata.get(RECIPE, {})
        planes = "C" * (data.ndim > len(axes))
        result = Result(np.array(data), planes + axes, spacing(layer, axes), named, recipe)
        self._thread = self._thread or ThreadPoolExecutor(1, "napari-unet-saving")
        self._path = path
        self._written = self._thread.submit(save_result, path, result, zero=zero, overwrite=overwrite)
        self._board.say(f"Saving {path.name}.")

    def _found(self, output: Output, classes: tuple[tuple[str, str], ...]) -> tuple[Any, Any, Any]:
        """A layer that shows the result, or None; its data; and what is in it."""
        if output in ("labels", "instances"):
            layer = self._link.objects if output == "instances" else self._link.prediction
            return layer, getattr(layer, "data", None), classes
        maps = self._link.display.maps_of(self._link.image, output) if self._link.image is not None else None
        return (None, None, ()) if maps is None else (maps.layers[0], maps.array, maps.classes)

    def tick(self) -> None:
        """Tell when a file is written, or why it is not."""
        if self._written is None or not self._written.done():
            return
        written, self._written = self._written, None
        try:
            written.result()
        except NapariUnetError as error:
            self._board.complain(str(error))
        else:
            self._board.say(f"Saved the result to {self._path}.")

    def close(self) -> None:
        """Take no more."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
