"""What becomes of segmentations: how they were made, and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_unet._napari.axes import layer_axes
from napari_unet._napari.board import Board
from napari_unet._napari.model_in_use import ModelInUse
from napari_unet._napari.prediction_layer import RECIPE
from napari_unet._napari.saving import Saving
from napari_unet._napari.segmenting import Piece, Segmenting
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import PredictConfig
from napari_unet.errors import NapariUnetError
from napari_unet.session.projects import Settings
from napari_unet.session.results import named_planes, recipe


class Results:
    """What the controller holds of it.

    Parameters
    ----------
    link : ViewerLink
    segmenting : Segmenting
    model : ModelInUse
    board : Board
    settings : callable
        Gives what the forms say.
    """

    def __init__(
        self,
        link: ViewerLink,
        segmenting: Segmenting,
        model: ModelInUse,
        board: Board,
        settings: Callable[[], Settings],
    ) -> None:
        self._link, self._model, self._board, self._settings = link, model, board, settings
        self._saving = Saving(link, board)
        segmenting.finished.connect(self._describe)

    def save(self, path: str | Path, *, zero: bool = False, overwrite: bool = False) -> None:
        """Write the result that the settings speak of (classes, objects, ...) to a file; its ending tells the format.

        Parameters
        ----------
        path : path
        zero : bool
            Write background as 0, the classes as 1, 2, ...
        overwrite : bool
            Replace what is there; the user was asked.
        """
        settings = self._settings()
        model = self._model.config or settings.model
        try:
            output = settings.predicting.output
            self._saving.save(output, Path(path), named_planes(model, output), zero=zero, overwrite=overwrite)
        except NapariUnetError as error:
            self._board.complain(str(error))

    def tick(self) -> None:
        """Tell what has been done since."""
        self._saving.tick()

    def close(self) -> None:
        """Begin nothing more."""
        self._saving.close()

    def _describe(self, layer: Any, piece: Piece, config: PredictConfig, step: int) -> None:
        """Write into the metadata of a result layer how it was made."""
        image = piece.image
        settings = self._settings()
        model = self._model.config or settings.model
        layer.metadata[RECIPE] = recipe(
            image.name,
            str(image.source.path or ""),
            layer_axes(image),
            step,
            model,
            config,
            complete=piece.whole,
            part=None if piece.whole else {"leads": piece.leads, "box": piece.box},
            training=settings.training.model_dump(mode="json"),
        )
