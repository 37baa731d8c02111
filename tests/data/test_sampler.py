import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import ModelConfig
from napari_unet.data.sampler import Example, Sampler
from napari_unet.errors import AnnotationError, ImageError

MODEL = ModelConfig()


def sampler_of(*pairs, axes="YX", model=MODEL):
    sampler = Sampler(model)
    for number, (image, strokes) in enumerate(pairs):
        sampler.examples[str(number)] = Example(image, axes, model)
        sampler.set_strokes(str(number), strokes)
    return sampler


def blank(shape):
    array = np.zeros(shape, np.uint8)
    array[0, 0], array[-1, -1] = 1, 2
    return array


def test_classes_take_turns_however_rare():
    strokes = np.ones((200, 200), np.uint8)
    strokes[7, 9] = 2
    sampler = sampler_of((np.zeros((200, 200)), strokes))
    spots = sampler.draw(np.random.default_rng(0), 40)
    assert sum(spot.pixel == (7, 9) for spot in spots) == 20


def test_pixels_of_a_class_are_alike():
    strokes = np.zeros((130, 130), np.uint8)
    strokes[10, 10:14], strokes[100, 100:104], strokes[0, 0] = 2, 2, 1
    sampler = sampler_of((np.zeros((130, 130)), strokes))
    rng = np.random.default_rng(0)
    drawn = [spot.pixel for spot in sampler.draw(rng, 4000) if spot.pixel != (0, 0)]
    counts = [drawn.count(pixel) for pixel in zip(*np.nonzero(strokes == 2), strict=True)]
    assert sum(counts) == 2000
    assert min(counts) > 190


def test_images_of_any_size_take_part():
    small, large = np.zeros((20, 30)), np.zeros((300, 250))
    sampler = sampler_of((small, blank(small.shape)), (large, np.full(large.shape, 1, np.uint8)))
    spots = sampler.draw(np.random.default_rng(0), 400)
    assert {spot.key for spot in spots} == {"0", "1"}


def test_same_seed_same_patches():
    image = np.random.default_rng(0).random((80, 90))
    sampler = sampler_of((image, blank(image.shape)))
    assert sampler.draw(np.random.default_rng(5), 9) == sampler.draw(np.random.default_rng(5), 9)


def test_without_strokes_there_is_nothing_to_draw():
    with pytest.raises(AnnotationError, match="paint strokes"):
        sampler_of((np.zeros((9, 9)), np.zeros((9, 9), np.uint8))).draw(np.random.default_rng(0), 1)


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 90)] * 2), st.integers(1, 40), st.integers(0, 30), st.integers(0, 100))
def test_a_patch_holds_its_spot_and_stays_inside_if_it_fits(shape, kept, more, seed):
    strokes = np.ones(shape, np.uint8)
    sampler, rng = sampler_of((np.zeros(shape), strokes)), np.random.default_rng(seed)
    spot = sampler.draw(rng, 1)[0]
    edge = kept + 2 * more
    start = sampler.start(rng, spot, (edge, edge), (kept, kept))
    for first, pixel, size in zip(start, spot.pixel, shape, strict=True):
        assert first + more <= pixel < first + more + kept
        assert size < kept or 0 <= first + more <= size - kept


def test_patches_are_mirrored_outside_and_not_annotated_there():
    image = np.arange(100, dtype=np.float64).reshape(10, 10)
    sampler = sampler_of((image, np.full((10, 10), 2, np.uint8)))
    sampler.set_strokes("0", blank((10, 10)))
    spot = sampler.draw(np.random.default_rng(0), 1)[0]
    batch = sampler.read([spot], [(-3, -4)], (16, 20))
    assert batch.images.shape == (1, 1, 16, 20)
    np.testing.assert_array_equal(batch.images[0, 0, :3], batch.images[0, 0, 6:3:-1])
    np.testing.assert_array_equal(np.unique(batch.targets[0, :3]), [-1])
    assert batch.targets[0, 3, 4] == 0
    assert batch.targets[0, 12, 13] == 1


def test_stack_with_strokes_in_one_plane():
    strokes = np.zeros((6, 40, 50), np.uint8)
    strokes[4] = blank((40, 50))
    image = np.broadcast_to(np.arange(6.0)[:, None, None], (6, 40, 50))
    sampler = sampler_of((image, strokes), axes="ZYX")
    spots = sampler.draw(np.random.default_rng(0), 8)
    assert {spot.lead for spot in spots} == {(4,)}
    images = sampler.read(spots, [(0, 0)] * 8, (16, 16)).images
    assert np.unique(images).size == 1


def test_volumes_and_channels():
    model = ModelConfig(ndim=3, in_channels=2)
    strokes = np.zeros((9, 40, 50), np.uint8)
    strokes[3, 5, 6], strokes[8, 39, 49] = 1, 2
    sampler = sampler_of((np.random.default_rng(0).random((2, 9, 40, 50)), strokes), axes="CZYX", model=model)
    spots = sampler.draw(np.random.default_rng(0), 2)
    batch = sampler.read(spots, [(-4, 0, 30)] * 2, (16, 32, 32))
    assert batch.images.shape == (2, 2, 16, 32, 32)
    assert batch.targets.shape == batch.boundary.shape == (2, 16, 32, 32)


class Counting:
    """A large image that counts the pixels read of it."""

    shape, dtype = (4000, 4000), np.dtype(np.uint8)

    def __init__(self):
        self.read = 0

    def __getitem__(self, index):
        shape = [i.stop - i.start for i in index]
        self.read += int(np.prod(shape))
        return np.zeros(shape, np.uint8)


def test_a_large_image_costs_its_patches():
    image = Counting()
    sampler = sampler_of((image, blank(image.shape)))
    image.read = 0
    spots = sampler.draw(np.random.default_rng(0), 8)
    sampler.read(spots, [sampler.start(np.random.default_rng(0), s, (64, 64), (64, 64)) for s in spots], (64, 64))
    assert image.read == 8 * 64 * 64


def test_new_strokes_are_drawn_next():
    sampler = sampler_of((np.zeros((100, 100)), blank((100, 100))))
    sampler.draw(np.random.default_rng(0), 2)
    strokes = blank((100, 100))
    strokes[-1, -1], strokes[50, 50] = 0, 2
    sampler.set_strokes("0", strokes)
    assert {spot.pixel for spot in sampler.draw(np.random.default_rng(0), 4)} == {(0, 0), (50, 50)}
    assert sampler.counts.tolist() == [1, 1]


def test_unknown_image():
    with pytest.raises(AnnotationError, match="choose the image"):
        Sampler(MODEL).set_strokes("x", np.zeros((3, 3), np.uint8))


def test_wrong_number_of_channels():
    with pytest.raises(ImageError, match=r"1 channels.*has 3"):
        Example(np.zeros((9, 9, 3)), "YXC", MODEL)
