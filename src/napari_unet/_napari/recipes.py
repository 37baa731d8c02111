"""What was clicked, as a command or as Python for the clipboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from psygnal import Signal

from napari_unet._napari.copying import Copying, Kind
from napari_unet._napari.in_words import in_words
from napari_unet._napari.parts import Parts
from napari_unet._napari.segmentation import Segmentation
from napari_unet.config import InstanceConfig, PredictConfig
from napari_unet.session.projects import Settings


class Recipes:
    """What the controller holds of it.

    Parameters
    ----------
    parts : Parts
    segmentation : Segmentation
        Knows what is segmented.
    settings : callable
        Gives what the forms say.
    save : callable
        Writes the model to a file.
    """

    copied = Signal(str)  #: a command or a script for the clipboard

    def __init__(
        self,
        parts: Parts,
        segmentation: Segmentation,
        settings: Callable[[], Settings],
        save: Callable[[Path], None],
    ) -> None:
        self._parts, self._segmentation, self._settings, self._save = parts, segmentation, settings, save
        self.board = parts.board

    @in_words
    def copy(self, what: Literal["training", "prediction"], kind: Kind, folder: str | Path) -> None:
        """Say a training or a prediction as a command or as Python; `copied` tells the text.

        Parameters
        ----------
        what : {"training", "prediction"}
        kind : {"command", "python"}
        folder : path
            For the files it takes: the model, the strokes, the image if it has no file of its own.
        """
        model, settings = self._parts.trained(), self._settings()
        copying = Copying(self._parts.link, Path(folder))
        if what == "prediction":
            text = self._prediction(copying, kind, settings.predicting)
            self._save(copying.model)
        else:
            self._parts.need_image()
            self._parts.strokes.check(settings.model)
            text = copying.training(kind, model, settings.training, self.board.state.step)
        self.copied.emit(text)
        self.board.say(f"Copied, to be pasted {'into a terminal' if kind == 'command' else 'as a script'}.")

    def _prediction(self, copying: Copying, kind: Kind, config: PredictConfig) -> str:
        wanted = self._segmentation
        if config.output != "instances":
            config = config.replace(instances=InstanceConfig())  # nothing is made of them
        if wanted.what == "folder":
            return copying.files(kind, wanted.folder, config)
        return copying.predictions(kind, wanted.last_pieces(), config)
