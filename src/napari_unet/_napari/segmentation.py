"""What is segmented: what the user asks for, and the whole image when there is nothing else to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args

from napari_unet._napari.axes import channels, is_stack_of_times, label_shape
from napari_unet._napari.in_words import in_words
from napari_unet._napari.model_in_use import check_fit
from napari_unet._napari.parts import Parts
from napari_unet._napari.segmenting import Piece, Progress, Segmenting
from napari_unet._napari.view import slice_point
from napari_unet.config import ModelConfig, PredictConfig
from napari_unet.errors import AnnotationError, ImageError, NapariUnetError
from napari_unet.session.folders import RESULT_ENDINGS, Item, plan_folder

What = Literal["view", "slice", "image", "layers", "folder"]
WHATS: tuple[What, ...] = get_args(What)
#: Images up to this size are segmented as a whole when there is nothing else to do.
QUIET_PIXELS = 2**26


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of images.

    Attributes
    ----------
    path : Path or None
        None until the user chose one.
    out : Path or None
        Folder for the results; None for beside the images.
    ending : str
        What results are written as.
    """

    path: Path | None = None
    out: Path | None = None
    ending: str = RESULT_ENDINGS[0]


class Segmentation:
    """Starts and ends segmentations.

    Parameters
    ----------
    parts : Parts
    run : Segmenting
        The one under way.
    model : callable
        Gives what the next new model is.

    Attributes
    ----------
    what : {"view", "slice", "image", "layers", "folder"}
        What the user wants segmented.
    folder : Folder
        The folder, when it is one.
    """

    def __init__(self, parts: Parts, run: Segmenting, model: Callable[[], ModelConfig]) -> None:
        self._model = model
        self._parts, self._run, self.board = parts, run, parts.board
        self.what: What = "image"
        self.folder = Folder()
        self.file_done = run.file_done
        self._last: list[Piece] = []

    @property
    def progress(self) -> Progress | None:
        """How far it is; None when nothing is under way."""
        return self._run.progress

    @in_words
    def start(self, config: PredictConfig, *, overwrite: bool = False) -> None:
        """Predict what is wanted into the layers of classes or objects, or into files.

        Parameters
        ----------
        config : PredictConfig
        overwrite : bool
            Replace files that are there; the user was asked.
        """
        self._parts.need_session()
        if self.what == "folder":
            self._run.start_files(self.items(config), config, overwrite=overwrite)
            self.board.say()
            return
        self._last = self.pieces()
        self._run.start(self._last, config, self._parts.trained())
        self.board.say()

    def goes_through_time(self) -> bool | None:
        """Whether the image is segmented frame by frame; False for slice by slice, None for neither."""
        image, model = self._parts.link.image, self._parts.model.config or self._model()
        return None if image is None or model.ndim == 3 else is_stack_of_times(image, model.ndim)

    def items(self, config: PredictConfig) -> tuple[Item, ...]:
        """The files of the folder.

        Raises
        ------
        NapariUnetError
            When there is no model yet, or no image in the folder.
        """
        self._parts.trained()
        folder = self.folder
        if folder.path is None:
            raise ImageError("Choose a folder of images first.")
        return plan_folder(folder.path, folder.out, output=config.output, ending=folder.ending)

    def existing(self, config: PredictConfig) -> list[Path]:
        """Results that are there already, where a folder is wanted."""
        if self.what != "folder":
            return []
        try:
            return [item.target for item in self.items(config) if item.target.exists()]
        except NapariUnetError:  # `start` says it
            return []

    def last_pieces(self) -> list[Piece]:
        """What was segmented last, where that is a part of the image in use; else what is wanted now."""
        last = self._last
        partly = bool(last) and not last[0].whole and last[0].image is self._parts.link.image
        return last if partly and self.what in ("view", "slice") else self.pieces()

    def pieces(self) -> list[Piece]:
        """What is wanted, of the layers.

        Raises
        ------
        NapariUnetError
            When there is no image, no model, or they do not fit.
        """
        if self.what != "layers":
            self._parts.need_image()
            self._parts.need_model()
        model = self._parts.trained()
        link, share = self._parts.link, self._parts.strokes.share_image
        match self.what:
            case "layers":
                return [Piece(image, share(image)) for image in self._selected(model)]
            case "view":
                view = link.view(model.ndim)
                if view is None:
                    raise AnnotationError("Turn the image back first: its planes are seen from the side.")
                return [Piece(link.image, share(), (view.lead,), view.box)]
            case "slice":
                lead = slice_point(link.viewer, link.image)[: -model.ndim]
                return [Piece(link.image, share(), (lead,))]
            case _:
                return [Piece(link.image, share())]

    def _selected(self, model: ModelConfig) -> list[Any]:
        """The selected image layers, each one that the model reads."""
        images = self._parts.link.selected_images
        if not images:
            raise AnnotationError("Select image layers in the list first: click one, then others with Ctrl.")
        for image in images:
            try:
                check_fit(model, image)
            except AnnotationError as error:
                raise AnnotationError(f"Leave '{image.name}' out of the selection. {error}") from error
        return images

    # ------------------------------------------------------------------ by itself

    def start_quietly(self) -> None:
        """Predict the whole image although nobody asked."""
        piece = Piece(self._parts.link.image, self._parts.strokes.share_image())
        self._run.start([piece], PredictConfig(), self._parts.trained(), quiet=True)

    def can_start_quietly(self) -> bool:
        """Whether the whole image may be segmented although nobody asked."""
        link, model = self._parts.link, self._parts.model.config
        if self._run.progress is not None or link.image is None or model is None or link.prediction is None:
            return False
        small = prod(label_shape(link.image)) <= QUIET_PIXELS
        return small and model.in_channels == channels(link.image) and self._run.complete != self.board.state.step

    # ------------------------------------------------------------------ end

    def give_way(self) -> None:
        """There is something better to do than what nobody asked for."""
        self._run.give_way()

    def cancel(self) -> None:
        """Give up the segmentation; what is finished stays."""
        files = self.what == "folder"
        self._run.cancel()
        self.board.say(f"Cancelled; the finished {'files' if files else 'tiles'} stay.")
