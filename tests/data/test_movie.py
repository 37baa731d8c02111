"""The synthetic movie: cells keep their number, move, and fade."""

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.data.movie import moving_cells
from napari_unet.errors import ConfigError


@pytest.fixture(scope="module")
def movie():
    return moving_cells((6, 256, 256), seed=2)


def test_cells_keep_their_numbers_and_go_on_their_ways(movie):
    first, last = movie.labels[0], movie.labels[-1]
    inside = [
        number
        for number in np.unique(first)[1:]
        if number in last and not _at_border(first == number) and not _at_border(last == number)
    ]
    assert len(inside) > 3
    moved = [
        np.subtract(ndimage.center_of_mass(last == number), ndimage.center_of_mass(first == number))
        for number in inside
    ]
    assert np.linalg.norm(moved, axis=1).max() > 5
    assert np.std(moved, axis=0).max() > 0.5  # not all of them the same way
    for one, other in zip(movie.labels[:-1], movie.labels[1:], strict=True):
        overlap = (one == other) & (one > 0)
        assert overlap.sum() > 0.5 * (one > 0).sum()  # linked from frame to frame


def test_light_fades_over_cells_that_stay_brighter_than_background(movie):
    means = [frame[labels > 0].mean() for frame, labels in zip(movie.image, movie.labels, strict=True)]
    assert means[-1] < 0.92 * means[0]
    assert movie.image[-1][movie.labels[-1] > 0].mean() > 2 * movie.image[-1][movie.labels[-1] == 0].mean()


def test_the_seed_decides_everything_and_each_frame_has_noise_of_its_own():
    still, again = (moving_cells((2, 40, 50), seed=5, speed=0, bleaching=0) for _ in range(2))
    assert np.array_equal(still.image, again.image)
    assert np.array_equal(still.labels[0], still.labels[1])
    assert not np.array_equal(still.image[0], still.image[1])


@pytest.mark.parametrize(
    ("shape", "more"),
    [((40, 40), {}), ((0, 40, 40), {}), ((2, 40, 40), {"speed": -1}), ((2, 40, 40), {"bleaching": 1})],
)
def test_nonsense_is_refused(shape, more):
    with pytest.raises(ConfigError):
        moving_cells(shape, **more)


def _at_border(mask):
    edges = np.pad(np.zeros(np.subtract(mask.shape, 2), bool), 1, constant_values=True)
    return bool((mask & edges).any())
