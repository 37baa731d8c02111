"""What the network that comes along takes for cells, before anything is painted."""

from __future__ import annotations

from napari_unet._napari.looking import Looking
from napari_unet._napari.model_in_use import for_image
from napari_unet._napari.parts import Parts
from napari_unet.config import ModelConfig
from napari_unet.errors import ModelFileError
from napari_unet.session.commands import NewModel
from napari_unet.standard import begins_from_base


class Suggesting:
    """Shows a first suggestion, and takes it away.

    Parameters
    ----------
    parts : Parts
    looking : Looking
    """

    def __init__(self, parts: Parts, looking: Looking) -> None:
        self._parts, self._looking = parts, looking

    def start(self, model: ModelConfig, seed: int) -> None:
        """Let the field of view be predicted by the network that a training of `model` would begin with.

        Raises
        ------
        NapariUnetError
            When there is no image, when that network knows nothing yet, or the one in use has learnt already.
        """
        parts = self._parts
        parts.need_image()
        parts.need_session()
        if parts.board.state.step:
            raise ModelFileError("The model in use has learnt from strokes already: what it predicts is better.")
        wanted = for_image(model, parts.link.image)
        if not begins_from_base(wanted):
            raise ModelFileError("Paint a few strokes: a network with these settings knows nothing before that.")
        if parts.model.take(wanted, 0, parts.link.image):
            parts.strokes.forget_others()
            parts.client.send(NewModel(wanted, seed))
        self._looking.wanted = True
        parts.board.set(suggested=True)
        parts.board.say()

    def dismiss(self) -> None:
        """Take it away; objects that were made of it are the user's, and stay."""
        self._parts.board.set(suggested=False)
        self._parts.link.remove_prediction()
        self._looking.wanted = True
        self._parts.board.say()
