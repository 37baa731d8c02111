"""What most of the dock's helpers work with."""

from __future__ import annotations

from dataclasses import dataclass

from napari_unet._napari.board import Board
from napari_unet._napari.client import SessionClient
from napari_unet._napari.model_in_use import ModelInUse, check_fit
from napari_unet._napari.strokes import Strokes
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import ModelConfig
from napari_unet.errors import AnnotationError, SessionError


@dataclass(frozen=True, slots=True)
class Parts:
    """One of each.

    Attributes
    ----------
    link : ViewerLink
        The layers in use.
    client : SessionClient
    strokes : Strokes
        Those in use, as the session knows them.
    model : ModelInUse
    board : Board
        What the dock shows.
    """

    link: ViewerLink
    client: SessionClient
    strokes: Strokes
    model: ModelInUse
    board: Board

    def need_image(self) -> None:
        """Raise a sentence unless there is an image in use."""
        if self.link.image is None:
            raise AnnotationError("Open an image first, or choose one at the top.")

    def need_session(self) -> None:
        """Raise a sentence when the session cannot run any more."""
        if self.client.dead:
            raise SessionError(self.client.dead)

    def trained(self) -> ModelConfig:
        """The model in use, which has learnt something, or suggests something.

        Raises
        ------
        AnnotationError
            When there is none.
        """
        if self.model.config is None or not self.board.state.predicts:
            raise AnnotationError("There is no trained model yet: paint a few strokes on each class and let it learn.")
        return self.model.config

    def need_model(self) -> ModelConfig:
        """The model in use, which has learnt something and reads the image in use.

        Raises
        ------
        NapariUnetError
            When there is none, or it does not fit the image.
        """
        model = self.trained()
        check_fit(model, self.link.image)
        return model
