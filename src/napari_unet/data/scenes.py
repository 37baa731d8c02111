"""Images with strokes on them that come with the installation: for the demo, the samples and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.data.simulate import paint_strokes
from napari_unet.data.synthetic import stained_tissue, touching_cells

Line = tuple[tuple[int, int], ...]

#: Strokes painted by hand on the tissue: corner points (x, y) in pixels.
_GLAND_LINES: tuple[Line, ...] = (
    ((25, 90), (60, 150), (95, 190), (140, 210)),
    ((205, 70), (225, 130), (232, 170), (215, 225)),
    ((350, 25), (390, 75), (415, 130), (430, 180)),
    ((75, 345), (125, 370), (90, 440), (130, 480)),
    ((280, 365), (315, 390), (355, 430)),
    ((108, 216), (150, 236), (195, 253), (232, 238)),
    ((432, 45), (447, 110), (451, 190), (440, 240)),
    ((262, 350), (262, 385), (285, 440)),
)
_BACKGROUND_LINES: tuple[Line, ...] = (
    ((120, 240), (160, 278), (225, 282), (290, 270)),
    ((175, 350), (215, 390), (200, 470)),
    ((478, 40), (482, 190), (466, 340), (430, 470)),
    ((310, 65), (332, 108), (362, 165)),
    ((20, 340), (22, 430)),
    ((265, 225), (276, 180), (300, 225), (335, 270)),
    ((395, 345), (398, 420), (385, 480)),
)
#: The glands outlined by hand: corner points (x, y) in pixels, and the open spaces inside them.
_GLANDS: tuple[Line, ...] = (
    ((0, 0), (425, 0), (440, 40), (450, 75), (458, 120), (460, 165), (457, 200), (447, 235), (440, 275), (425, 297),
     (400, 295), (380, 285), (350, 275), (330, 250), (315, 230), (300, 205), (282, 175), (275, 146), (272, 165),
     (268, 195), (260, 215), (245, 237), (225, 250), (200, 261), (175, 260), (150, 245), (125, 232), (100, 220),
     (65, 214), (35, 185), (0, 148)),
    ((0, 152), (50, 198), (75, 220), (100, 265), (120, 300), (145, 330), (155, 370), (160, 425), (159, 512), (45, 512),
     (42, 460), (50, 400), (50, 335), (25, 302), (0, 275)),
    ((255, 340), (272, 312), (290, 305), (320, 315), (350, 335), (367, 350), (380, 385), (385, 415), (378, 460),
     (370, 490), (360, 505), (325, 508), (305, 495), (295, 470), (275, 435), (258, 395), (252, 365)),
)  # fmt: skip
_LUMINA: tuple[Line, ...] = (
    ((277, 0), (295, 30), (315, 80), (340, 110), (365, 150), (381, 192), (370, 195), (350, 165), (330, 130), (305, 65),
     (285, 25)),
    ((50, 0), (95, 0), (85, 18), (62, 20), (52, 8)),
    ((137, 0), (160, 0), (168, 45), (175, 65), (178, 112), (172, 102), (163, 75), (148, 60), (140, 35)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """An image, strokes on it, and what is true.

    Attributes
    ----------
    name : str
        Short name.
    image : ndarray
        Pixels with axes `axes`.
    strokes : ndarray of uint8
        0 = not annotated, 1 = background, 2 = the class to find.
    classes : tuple of str
        Names of 1 and 2.
    unseen : tuple of ndarray
        Image and truth to score on (0 = background): another field if there is one, else the same one.
    """

    name: str
    image: npt.NDArray[Any]
    axes: str
    strokes: npt.NDArray[np.uint8]
    classes: tuple[str, ...]
    unseen: tuple[npt.NDArray[Any], npt.NDArray[Any]]


def tissue() -> Scene:
    """Glands in a section of a human colon, stained brown and blue (``ihc.png`` of scikit-image), 512 x 512 RGB.

    Strokes and outlines were drawn by hand for this project; the outlines are good to a few pixels.
    """
    image = stained_tissue()
    shape = image.shape[:2]
    truth = np.zeros(shape, np.uint8)
    for outline, value in (*((line, 1) for line in _GLANDS), *((line, 0) for line in _LUMINA)):
        _fill(truth, outline, value)
    return Scene("tissue", image, "YXC", _drawn(shape), ("background", "gland"), (image, truth))


def cells(shape: tuple[int, int] = (512, 512), seed: int = 0) -> Scene:
    """Synthetic touching cells with strokes on about 1 % of the pixels, and another such field to score on."""
    field, other = touching_cells(shape, seed=seed), touching_cells(shape, seed=seed + 1)
    strokes = paint_strokes(field.labels, seed=seed)
    return Scene("cells", field.image, "YX", strokes, ("background", "cell"), (other.image, other.labels))


def _drawn(shape: tuple[int, ...], width: int = 5) -> npt.NDArray[np.uint8]:
    """The hand-painted strokes as pixels."""
    from skimage import draw

    strokes = np.zeros(shape, np.uint8)
    for lines, value in ((_BACKGROUND_LINES, 1), (_GLAND_LINES, 2)):
        for points in lines:
            for (x0, y0), (x1, y1) in pairwise(points):
                pixels = draw.line(y0, x0, y1, x1)  # type: ignore[no-untyped-call]
                for centre in zip(*pixels, strict=True):
                    strokes[draw.disk(centre, width / 2, shape=shape)] = value  # type: ignore[no-untyped-call]
    return strokes


def _fill(truth: npt.NDArray[np.uint8], outline: Line, value: int) -> None:
    from skimage import draw

    columns, rows = np.array(outline).T
    truth[draw.polygon(rows, columns, truth.shape)] = value  # type: ignore[no-untyped-call]
