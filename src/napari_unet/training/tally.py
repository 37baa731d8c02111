"""What scores are made of: sums over pixels, objects, pairs and boundaries, which add up over images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, distance_transform_edt, generate_binary_structure
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from skimage.measure import label

from napari_unet.config import Task
from napari_unet.errors import ImageError
from napari_unet.training.warping import warped_errors

Labels = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
#: IoU thresholds of the average precision, as in COCO.
THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
#: Sums of one image; those of several images are added, and the scores are ratios of them.
Tally = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Pair:
    """Prediction and truth side by side: classes from 1, objects from 1, both 0 in void and background."""

    valid: Mask
    classes: tuple[Labels, Labels]
    objects: tuple[Labels, Labels]


def compare(
    prediction: npt.ArrayLike, truth: npt.ArrayLike, task: Task, backgrounds: tuple[int, int], void: int | None
) -> Pair:
    """Check two label images and bring them to one form."""
    given = [np.asarray(image) for image in (prediction, truth)]
    if given[0].shape != given[1].shape or given[0].ndim < 2:
        raise ImageError(f"compare label images of one shape: these have {given[0].shape} and {given[1].shape}")
    if any(image.dtype.kind not in "bui" for image in given):
        raise ImageError(f"compare label images of whole numbers: these have {given[0].dtype} and {given[1].dtype}")
    valid = (given[1] >= backgrounds[1]) & (given[1] != void if void is not None else True)
    p, t = (_above(image, low) * valid for image, low in zip(given, backgrounds, strict=True))
    if task == "instances":
        return Pair(valid, (p > 0, t > 0), (p, t))
    return Pair(valid, (p, t), (_pieces(p), _pieces(t)))


def _pieces(classes: Labels) -> Labels:
    """Connected pieces of each class."""
    pieces: Labels = label(classes, connectivity=1)  # type: ignore[no-untyped-call]
    return pieces


def _above(image: Labels, background: int) -> npt.NDArray[np.int64]:
    """Values counted from the background."""
    wide = image.astype(np.int64)
    return np.where(wide > background, wide - background, 0)


def _apart(objects: Labels) -> Mask:
    """Foreground in which objects that touch are parted by a gap of one pixel."""
    mask = objects > 0
    for axis in range(objects.ndim - 2, objects.ndim):
        here, after = _neighbours(objects, axis)
        touching = (here != after) & (here > 0) & (after > 0)
        mask[_cut(objects.ndim, axis, slice(0, -1))] &= ~touching
    return mask


def _neighbours(image: Labels, axis: int) -> tuple[Labels, Labels]:
    """Each pixel and the next one along an axis."""
    return image[_cut(image.ndim, axis, slice(0, -1))], image[_cut(image.ndim, axis, slice(1, None))]


def _cut(ndim: int, axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if i == axis else slice(None) for i in range(ndim))


def tally(pair: Pair, tolerance: float) -> Tally:
    """All sums of one image; boundaries agree within `tolerance` pixels."""
    return {
        **_count_pixels(pair),
        **_count_objects(pair),
        **_count_pairs(pair),
        **_count_boundaries(pair, tolerance),
        "warped": _count_warped(pair),
    }


def add(one: Tally, other: Tally) -> Tally:
    """Sums of two images together."""
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


@dataclass(frozen=True, slots=True)
class _Overlaps:
    """How many pixels each pair of values shares: sparse, one entry per pair that occurs."""

    predicted: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.float64]

    @classmethod
    def of(cls, predicted: Labels, true: Labels) -> _Overlaps:
        values_p, p = np.unique(predicted, return_inverse=True)
        values_t, t = np.unique(true, return_inverse=True)
        table = csr_array((np.ones(p.size), (p.ravel(), t.ravel())), shape=(len(values_p), len(values_t))).tocoo()
        rows, columns = table.coords
        return cls(values_p[rows].astype(np.int64), values_t[columns].astype(np.int64), table.data)

    def sums(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """For each entry, all pixels of its predicted and of its true value."""
        return _sum_by(self.predicted, self.pixels), _sum_by(self.true, self.pixels)


def _sum_by(values: npt.NDArray[np.int64], pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, place = np.unique(values, return_inverse=True)
    return cast("npt.NDArray[np.float64]", np.bincount(place, pixels)[place])


def _count_pixels(pair: Pair) -> Tally:
    """Pixels right and wrong, and for each class those common, predicted and true."""
    table = _Overlaps.of(*(image[pair.valid] for image in pair.classes))
    found: Counter[str] = Counter(pixels=0, wrong=0)
    for p, t, pixels in zip(table.predicted.tolist(), table.true.tolist(), table.pixels.tolist(), strict=True):
        found["pixels"] += pixels
        found["wrong"] += pixels * (p != t)
        found[f"common {p}"] += pixels * (p == t)
        found[f"predicted {p}"] += pixels
        found[f"true {t}"] += pixels
    return found


def _count_objects(pair: Pair) -> Tally:
    """Objects, matches at each threshold, and the sum of IoU of those that share more than half."""
    kinds = [_kinds(o, c) for o, c in zip(pair.objects, pair.classes, strict=True)]
    table = _Overlaps.of(*(image[pair.valid] for image in pair.objects))
    sizes_p, sizes_t = table.sums()
    same = (table.predicted > 0) & (table.true > 0) & (kinds[0][table.predicted] == kinds[1][table.true])
    iou = (table.pixels / (sizes_p + sizes_t - table.pixels))[same]
    places = table.predicted[same], table.true[same]
    best = iou[iou > 0.5]
    return {
        "predicted objects": len(np.unique(table.predicted[table.predicted > 0])),
        "true objects": len(np.unique(table.true[table.true > 0])),
        "shared": float(best.sum()),
        "shared objects": len(best),
        **{f"matched {limit}": _matches(iou >= limit, *places) for limit in THRESHOLDS},
    }


def _kinds(objects: Labels, classes: Labels) -> Labels:
    """Class of each object."""
    kinds = np.zeros(int(objects.max()) + 1, np.int64)
    kinds[objects.ravel()] = classes.ravel()
    return kinds


def _matches(good: Mask, predicted: npt.NDArray[np.int64], true: npt.NDArray[np.int64]) -> int:
    """Largest number of pairs in which no object occurs twice."""
    if not good.any():
        return 0
    _, p = np.unique(predicted[good], return_inverse=True)
    _, t = np.unique(true[good], return_inverse=True)
    graph = csr_array((np.ones(len(p), bool), (p, t)))
    return int((maximum_bipartite_matching(graph) >= 0).sum())


def _count_pairs(pair: Pair) -> Tally:
    """Pairs of pixels for the adapted Rand error, and the two conditional entropies."""
    table = _Overlaps.of(*(image[pair.valid] for image in pair.objects))
    sizes_p, sizes_t = table.sums()
    split = float((table.pixels * np.log2(sizes_t / table.pixels)).sum())
    merge = float((table.pixels * np.log2(sizes_p / table.pixels)).sum())
    inside = table.true > 0
    table = _Overlaps(table.predicted[inside], table.true[inside], table.pixels[inside])
    sizes_p, sizes_t = table.sums()
    return {
        "split": split,
        "merge": merge,
        "pairs": float((table.pixels * (table.pixels - 1)).sum()),
        "predicted pairs": float((table.pixels * (sizes_p - 1)).sum()),
        "true pairs": float((table.pixels * (sizes_t - 1)).sum()),
    }


def _count_boundaries(pair: Pair, tolerance: float) -> Tally:
    """Boundary pixels of both, and those that have one of the other near them."""
    near_void = binary_dilation(~pair.valid, generate_binary_structure(pair.valid.ndim, 1))
    predicted, true = (_boundary(objects) & ~near_void for objects in pair.objects)
    return {
        "predicted boundary": int(predicted.sum()),
        "true boundary": int(true.sum()),
        "predicted boundary hit": _near(predicted, true, tolerance),
        "true boundary hit": _near(true, predicted, tolerance),
    }


def _boundary(image: Labels) -> Mask:
    """Pixels that differ from a neighbour over a side."""
    found = np.zeros(image.shape, bool)
    for axis in range(image.ndim):
        here, after = _neighbours(image, axis)
        found[_cut(image.ndim, axis, slice(0, -1))] |= here != after
        found[_cut(image.ndim, axis, slice(1, None))] |= here != after
    return found


def _near(these: Mask, others: Mask, tolerance: float) -> int:
    """How many of `these` have one of the `others` within the tolerance."""
    if not others.any():
        return 0
    return int((distance_transform_edt(~others)[these] <= tolerance).sum())


def _count_warped(pair: Pair) -> int:
    """Pixels of the warping error, plane by plane; void agrees with the truth."""
    size = pair.valid.shape[-2:]
    predicted, true = (_apart(objects) for objects in pair.objects)
    predicted = np.where(pair.valid, predicted, true)
    planes = zip(predicted.reshape(-1, *size), true.reshape(-1, *size), strict=True)
    return sum(warped_errors(p, t) for p, t in planes)
