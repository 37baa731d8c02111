"""The images and strokes that a session knows, in arrays that another process may write."""

from __future__ import annotations

from collections.abc import Sequence

from napari_unet.config import ModelConfig
from napari_unet.data.channels import source_for
from napari_unet.data.normalize import Normalizer, fit_normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import SessionError
from napari_unet.session.arrays import close_array, open_array
from napari_unet.session.commands import Box, SetImage, SetStrokes


class KnownImage:
    """An image, with what was computed for it once."""

    def __init__(self, command: SetImage) -> None:
        self.array, self._handle = open_array(command.array)
        self.axes = command.axes
        self._normalizers: dict[str, Normalizer] = {}

    def source(self, model: ModelConfig, channels: Sequence[str] = ()) -> ImageSource:
        """The image as a network sees it."""
        return source_for(model, self.array, self.axes, wanted=channels)

    def normalizer(self, model: ModelConfig, channels: Sequence[str] = ()) -> Normalizer:
        """How its pixels are normalised."""
        key = f"{model.ndim} {model.normalization} {','.join(channels)}"
        if key not in self._normalizers:
            self._normalizers[key] = fit_normalizer(self.source(model, channels), model.normalization)
        return self._normalizers[key]

    def close(self) -> None:
        """Let go of the array."""
        self.array = None
        close_array(self._handle)


class KnownStrokes:
    """The strokes of one image, and where in them anything can be annotated.

    Attributes
    ----------
    complete : tuple of Box
        Regions in which every 0 is background.
    """

    def __init__(self, command: SetStrokes) -> None:
        self.array, self._handle = open_array(command.array)
        self.complete = command.complete
        self._painted: dict[Box, Box] | None = None if command.painted is None else {}
        for box in command.painted or ():
            self.note(box)

    @property
    def places(self) -> list[Box | None]:
        """Boxes outside which nothing is annotated; None is everywhere."""
        return [None] if self._painted is None else [*self._painted.values(), *self.complete]

    def note(self, box: Box) -> None:
        """There may be strokes in `box` now; one box is kept for each plane."""
        if self._painted is not None:
            lead = box[:-2]
            known = self._painted.get(lead, box)
            self._painted[lead] = tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(known, box, strict=True))

    def close(self) -> None:
        """Let go of the array."""
        self.array = None
        close_array(self._handle)


class Known:
    """Everything a session was told of, by key.

    Attributes
    ----------
    strokes : dict
        `KnownStrokes` by the key of their image.
    """

    def __init__(self) -> None:
        self._images: dict[str, KnownImage] = {}
        self.strokes: dict[str, KnownStrokes] = {}

    def set_image(self, command: SetImage) -> None:
        """Take an image, in the place of the one of its key."""
        old = self._images.pop(command.key, None)
        if old is not None:
            old.close()
        self._images[command.key] = KnownImage(command)

    def set_strokes(self, command: SetStrokes) -> list[Box | None]:
        """Take the strokes of a known image, in the place of those before; where there may be others now."""
        self.image(command.key)
        old = self.strokes.pop(command.key, None)
        before = old.places if old is not None else []
        if old is not None:
            old.close()
        strokes = self.strokes[command.key] = KnownStrokes(command)
        return [*before, *strokes.places]

    def image(self, key: str) -> KnownImage:
        """The image of that key.

        Raises
        ------
        SessionError
            When there is none.
        """
        if key not in self._images:
            raise SessionError("choose the image again: it is not known any more")
        return self._images[key]

    def keys(self) -> list[str]:
        """The keys of all that is known."""
        return list(self._images | self.strokes)

    def forget(self, key: str) -> None:
        """Let go of an image and its strokes."""
        for known in (self._images.pop(key, None), self.strokes.pop(key, None)):
            if known is not None:
                known.close()
