"""The objects that were found: gone to, accepted, deleted, merged, split; what is corrected is painted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_unet._napari.axes import label_shape
from napari_unet._napari.boxes import inside, slices
from napari_unet._napari.jumping import SHOWN, jump
from napari_unet._napari.parts import Parts
from napari_unet.config import ModelConfig
from napari_unet.errors import AnnotationError
from napari_unet.events import ObjectRows
from napari_unet.session.arrays import SharedArray
from napari_unet.session.commands import Box, MeasureObjects
from napari_unet.session.correcting import bridge, rim, split
from napari_unet.session.messages import Looking, ObjectsMeasured
from napari_unet.session.projects import Settings

#: Numbers take four bytes a pixel.
MOST_PIXELS = 2**27
#: Most objects that are painted at once.
MOST_ROWS = 500
#: Pixels of context that an object is shown with, in its own sizes.
CONTEXT = 4.0
#: Part of the usual size below which an object is a crumb.
CRUMB = 0.05

Mask = npt.NDArray[np.bool_]


class Objects:
    """At most one list of objects, of the image in use.

    Parameters
    ----------
    parts : Parts
    settings : callable
        Gives what the forms say.

    Attributes
    ----------
    rows : ObjectRows or None
        The list.
    smallest : int
        Pixels from which on objects are shown at first: smaller ones are crumbs.
    """

    listed = Signal(object)  #: another list, or None
    marked = Signal(object, str)  #: rows, and what was done to them

    def __init__(self, parts: Parts, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self.smallest = 1
        self._parts, self._link, self._strokes, self._board = parts, parts.link, parts.strokes, parts.board
        self.rows: ObjectRows | None = None
        self._numbers: SharedArray | None = None
        self._found: SharedArray | None = None
        self._image: Any = None
        self._link.roles_changed.connect(self._on_roles)

    # ------------------------------------------------------------------ the list

    def find(self) -> None:
        """Ask for the objects of the prediction.

        Raises
        ------
        NapariUnetError
            When there is no model, no prediction, or no memory for their numbers.
        """
        self._parts.need_model()
        layer, numbered = self._source()
        shape = label_shape(self._link.image)
        if prod(shape) > MOST_PIXELS:
            raise AnnotationError(
                f"Choose a smaller image or a part of it: objects can be corrected in up to {MOST_PIXELS:,} pixels."
            )
        self.close()
        self._image = self._link.image
        self._found = SharedArray(shape, layer.data.dtype)
        self._found.array[...] = layer.data
        self._numbers = SharedArray(shape, np.uint32)
        key = self._strokes.share_image()
        self._parts.client.review(MeasureObjects, key, self._found.ref, self._numbers.ref, numbered)
        self._board.say("Looking at each object.")

    def note(self, progress: Looking) -> None:
        """Say how far it is."""
        if progress.request == self._parts.client.reviews.get(MeasureObjects):
            self._board.say(f"Looking at each object: {progress.done} of {progress.total} parts of the image are done.")

    def take(self, answer: ObjectsMeasured) -> None:
        """The list has come."""
        if self._numbers is None:
            return
        self._give_back_found()
        self.rows = answer.rows
        self.smallest = max(self._settings().predicting.instances.min_size, crumbs(self.rows.sizes))
        self.listed.emit(self.rows)
        self._board.say(_told(self.rows.sizes, self.smallest))

    def failed(self) -> None:
        """No list comes, if one was asked for."""
        if self.rows is None and MeasureObjects not in self._parts.client.reviews:
            self.close()

    def close(self) -> None:
        """Forget the list, and give its memory back."""
        self._give_back_found()
        if self._numbers is not None:
            self._numbers.close()
            self._numbers = None
        if self.rows is not None:
            self.rows = None
            self.listed.emit(None)

    # ------------------------------------------------------------------ what can be done

    def go(self, row: int) -> None:
        """Bring an object into the middle of the view."""
        if self.rows is None:
            return
        box = self.rows.boxes[row]
        longest = float((box[:, 1] - box[:, 0]).max())
        jump(self._link.viewer, self._link.image, ((box.sum(1) - 1) // 2).tolist(), max(SHOWN / 2, CONTEXT * longest))

    def accept(self, rows: Sequence[int]) -> None:
        """Paint objects as they are, and one pixel of background around them."""
        model, painting = self._begin(rows)
        for row in rows:
            box, mask, others = self._cut([row])
            painting.add(box, mask, self._value(model, row, painting), keep=True)
            painting.add(box, rim(mask) & ~others, 1, keep=True)
        self._end(rows, "accepted", painting)

    def delete(self, rows: Sequence[int]) -> None:
        """Paint objects as background."""
        _, painting = self._begin(rows)
        for row in rows:
            box, mask, _ = self._cut([row])
            painting.add(box, mask, 1)
        self._end(rows, "deleted", painting)

    def merge(self, rows: Sequence[int]) -> None:
        """Paint objects, and the way from each to the next, as one.

        Raises
        ------
        AnnotationError
            When they are fewer than two, or of several classes.
        """
        model, painting = self._begin(rows)
        if len(rows) < 2 or self.rows is None:
            raise AnnotationError("Choose two objects or more to merge: hold Ctrl and click.")
        if len({int(self.rows.values[row]) for row in rows}) > 1:
            raise AnnotationError("Choose objects of one class to merge.")
        value = self._value(model, rows[0], painting)
        for one, other in pairwise(rows):
            box, _, _ = self._cut([one, other])
            numbers = self._part(box)
            first, second = numbers == one + 1, numbers == other + 1
            painting.add(box, first | second, value, keep=model.task != "instances")
            painting.add(box, bridge(first, second), value)
        self._end(rows, "merged", painting)

    def split(self, rows: Sequence[int]) -> None:
        """Cut each object at its narrowest place."""
        model, painting = self._begin(rows)
        for row in rows:
            box, mask, _ = self._cut([row])
            parts = split(mask)
            painting.add(box, parts == 3, 1)
            for part in (1, 2):
                keep = model.task != "instances"
                painting.add(box, parts == part, self._value(model, row, painting), keep=keep)
        self._end(rows, "split", painting)

    # ------------------------------------------------------------------ parts

    def _source(self) -> tuple[Any, bool]:
        """The layer that objects are taken from, and whether it numbers them already."""
        objects, prediction = self._link.objects, self._link.prediction
        if objects is not None and objects.data.max(initial=0) > 0:
            return objects, True
        if prediction is None or prediction.data.max(initial=0) < 2:
            raise AnnotationError("There are no objects yet: segment the image first, on the page Segment.")
        return prediction, False

    def _begin(self, rows: Sequence[int]) -> tuple[ModelConfig, _Painting]:
        """Check that objects can be painted."""
        if self.rows is None or self._parts.model.config is None or not rows:
            raise AnnotationError("Choose an object in the table first.")
        if len(rows) > MOST_ROWS:
            raise AnnotationError(f"Choose {MOST_ROWS} objects at most at a time.")
        if self._link.strokes is None:
            self._link.new_strokes(self._parts.model.config)
        if tuple(self._link.strokes.data.shape) != label_shape(self._link.image):
            raise AnnotationError("Choose strokes of the image's shape, or press New strokes.")
        return self._parts.model.config, _Painting(self._link.strokes.data)

    def _end(self, rows: Sequence[int], done: str, painting: _Painting) -> None:
        """Paint, as one step of undo."""
        painting.paint(self._link.strokes)
        self.marked.emit(list(rows), done)
        what = "1 object" if len(rows) == 1 else f"{len(rows)} objects"
        self._board.say(f"{what[0].upper()}{what[1:]} {done} in your strokes; Ctrl+Z takes it back.")

    def _value(self, model: ModelConfig, row: int, painting: _Painting) -> int:
        """What an object is painted as: its class, or a number of its own."""
        if self.rows is None or model.task != "instances":
            return 2 if self.rows is None else int(self.rows.values[row])
        free = self._strokes.free_values()
        taken = painting.values
        value = next((value for value in free if value not in taken), None)
        if value is None:
            raise AnnotationError("Press New strokes: this layer holds no further object.")
        return value

    def _cut(self, rows: Sequence[int]) -> tuple[Box, Mask, Mask]:
        """Box around objects and one pixel more, their pixels in it, and those of all others."""
        if self.rows is None:
            raise AnnotationError("Press List objects again: the image has changed.")
        boxes = self.rows.boxes[list(rows)]
        wide = [(int(boxes[:, axis, 0].min()), int(boxes[:, axis, 1].max())) for axis in range(boxes.shape[1])]
        spatial = boxes.shape[1] - (self._parts.model.config.ndim if self._parts.model.config else 2)
        if any(stop - start > 1 for start, stop in wide[:spatial]) and len(rows) > 1:
            raise AnnotationError("Choose objects of one slice to merge.")
        grown = [side if axis < spatial else (side[0] - 1, side[1] + 1) for axis, side in enumerate(wide)]
        box = inside(grown, label_shape(self._link.image)) or ()
        numbers = self._part(box)
        mask = np.isin(numbers, [row + 1 for row in rows])
        return box, mask, (numbers > 0) & ~mask

    def _part(self, box: Box) -> npt.NDArray[Any]:
        if self._numbers is None:
            raise AnnotationError("Press List objects again: the image has changed.")
        return np.array(self._numbers.array[slices(box)])

    def _give_back_found(self) -> None:
        if self._found is not None:
            self._found.close()
            self._found = None

    def _on_roles(self) -> None:
        if self._image is not self._link.image:
            self._image = None
            self.close()


class _Painting:
    """Pixels to paint, collected so that undo takes them back at once."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._places: list[tuple[npt.NDArray[np.intp], ...]] = []
        self._painted: list[npt.NDArray[Any]] = []
        self.values: set[int] = set()

    def add(self, box: Box, mask: Mask, value: int, *, keep: bool = False) -> None:
        """Paint the pixels of `mask` in `box`; with `keep` only those where nothing is painted yet."""
        wanted = mask & (np.asarray(self._data[slices(box)]) == 0) if keep else mask
        places = np.nonzero(wanted)
        self._places.append(tuple(at + start for at, (start, _) in zip(places, box, strict=True)))
        self._painted.append(np.full(len(places[0]), value, self._data.dtype))
        self.values.add(value)

    def paint(self, layer: Any) -> None:
        """Do it, as one change of the layer."""
        places = tuple(np.concatenate(parts) for parts in zip(*self._places, strict=True))
        if len(places[0]):
            layer.data_setitem(places, np.concatenate(self._painted))


def crumbs(sizes: npt.NDArray[Any]) -> int:
    """Pixels from which on an object is none: a part of the size that half of all found pixels lie in objects above.

    Examples
    --------
    >>> crumbs(np.array([1, 1, 2, 1, 400, 380, 420])), crumbs(np.array([9, 8, 7]))
    (20, 1)
    """
    ordered = np.sort(sizes)[::-1]
    if not len(ordered):
        return 1
    usual = ordered[np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)]
    return max(int(CRUMB * usual), 1)


def _told(sizes: npt.NDArray[Any], smallest: int) -> str:
    if not len(sizes):
        return "There are no objects."
    count = int(np.count_nonzero(sizes >= smallest))
    less = f" ({len(sizes) - count:,} of less than {smallest:,} pixels are left out)" if count < len(sizes) else ""
    found = f"{count:,} object{'s' * (count != 1)}{less}"
    return f"{found}, the doubtful ones first. Click one to see it; accept it, or correct it."
