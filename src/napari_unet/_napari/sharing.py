"""Images and strokes that the session reads: shared once, then kept up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from napari_unet._napari.axes import layer_axes, pixels
from napari_unet._napari.mirror import StrokesMirror
from napari_unet.session.arrays import FileArray, SharedArray, share
from napari_unet.session.commands import Box, Command, Forget, SetImage, SetStrokes, StrokesChanged

_keys = count(1)


@dataclass(slots=True)
class _Shared:
    """An image the session knows, and the strokes it was given for it."""

    key: str
    axes: str
    array: SharedArray | FileArray
    strokes: str = ""


class Sharing:
    """Tells the session about layers, each of them once.

    Parameters
    ----------
    send : callable
        Takes commands to the session.
    """

    def __init__(self, send: Callable[[Command], None]) -> None:
        self._send = send
        self._images: dict[Any, _Shared] = {}

    def key(self, image: Any) -> str | None:
        """The name the session knows `image` by."""
        shared = self._images.get(image)
        return shared.key if shared else None

    def taught(self) -> dict[str, str]:
        """Images that the session learns from: the name of their shared strokes, and their own."""
        return {shared.strokes: image.name for image, shared in self._images.items() if shared.strokes}

    def image(self, image: Any) -> str:
        """Make the session know the image layer; the key it gets.

        Raises
        ------
        NapariUnetError
            When it cannot be segmented, or there is no memory left to share it.
        """
        if image not in self._images:
            shared = _Shared(f"image-{next(_keys)}", layer_axes(image), share(pixels(image)))
            self._images[image] = shared
            self._send(SetImage(shared.key, shared.array.ref, shared.axes))
        return self._images[image].key

    def strokes(self, image: Any, mirror: StrokesMirror, complete: tuple[Box, ...]) -> None:
        """Let the session learn from strokes on `image`, which it knows, as they are now."""
        shared = self._images[image]
        shared.strokes = mirror.ref.name
        self._send(SetStrokes(shared.key, mirror.ref, complete, mirror.painted))

    def painted(self, image: Any, mirror: StrokesMirror, box: Box | None, complete: tuple[Box, ...]) -> None:
        """Tell what was painted, if the session learns from these strokes."""
        shared = self._images.get(image)
        if shared is not None and shared.strokes == mirror.ref.name:
            self._send(StrokesChanged(shared.key, box, complete))

    def forget(self, image: Any) -> None:
        """Take an image and its strokes away from the session."""
        shared = self._images.pop(image, None)
        if shared is not None:
            self._send(Forget(shared.key))
            shared.array.close()

    def forget_strokes(self, name: str) -> None:
        """Take away the image that is learnt from the shared strokes `name`."""
        for image in [layer for layer, shared in self._images.items() if shared.strokes == name]:
            self.forget(image)

    def forget_others(self, image: Any) -> None:
        """Keep only `image`: other images may not fit another model."""
        for other in [layer for layer in self._images if layer is not image]:
            self.forget(other)

    def close(self) -> None:
        """Give all shared memory back; the session has ended."""
        for shared in self._images.values():
            shared.array.close()
        self._images.clear()
