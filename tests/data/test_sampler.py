import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import ModelConfig, SamplingConfig
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


def test_four_gigabytes_cost_their_patches(tmp_path):
    """A file without data on the disk, of a size that no test could read."""
    image = np.memmap(tmp_path / "large.bin", np.uint16, "w+", shape=(32, 8192, 8192))
    assert image.nbytes == 2**32
    image[5, :64, :64] = 900

    class Watched:
        shape, dtype, read = image.shape, image.dtype, 0

        def __getitem__(self, index):
            block = image[index]
            assert block.nbytes < 2**20
            self.read += block.nbytes
            return block

    strokes, watched = np.memmap(tmp_path / "strokes.bin", np.uint8, "w+", shape=image.shape), Watched()
    strokes[5, 10:20, 10:20], strokes[5, 70:80, 10:20] = 2, 1
    sampler = Sampler(MODEL)
    sampler.examples["a"] = Example(watched, "ZYX", MODEL)
    sampler.set_strokes("a", strokes, changed=((5, 6), (0, 128), (0, 128)))
    assert watched.read < 2 * MODEL.normalization.max_samples * 2
    watched.read = 0
    spots = sampler.draw(np.random.default_rng(0), 16)
    batch = sampler.read(spots, [(0, 0)] * 16, (64, 64))
    assert watched.read == 16 * 64 * 64 * 2
    assert batch.images.nbytes < 2**20
    assert (batch.targets == 1).sum() == 16 * 100


# ---------------------------------------------------------------------- what is drawn more often


def drawn(sampler, config=None, count=6000, target=1):
    """Share of the pixels of a class that is drawn at each place."""
    spots = sampler.draw(np.random.default_rng(0), count, config)
    pixels = [
        spot.pixel
        for spot in spots
        if sampler.examples[spot.key].annotation.targets(spot.lead, spot.pixel, [i + 1 for i in spot.pixel]).item()
        == target
    ]
    return {pixel: pixels.count(pixel) / len(pixels) for pixel in set(pixels)}


def corrected():
    """A sampler of strokes that were learnt from for a while, and then one more was painted."""
    strokes = np.zeros((64, 400), np.uint8)
    strokes[5, 5], strokes[5, 100], strokes[5, 170] = 1, 2, 2
    sampler = sampler_of((np.zeros(strokes.shape), strokes))
    sampler.draw(np.random.default_rng(0), 1)
    for _ in range(1000):
        sampler.learnt([], [])
    strokes[5, 300] = 2
    sampler.set_strokes("0", strokes)
    sampler.draw(np.random.default_rng(0), 1)
    return sampler


def test_a_correction_is_drawn_more_often_at_first_and_the_old_strokes_return():
    sampler, config = corrected(), SamplingConfig(recent=2, recent_steps=50)
    found = drawn(sampler, config)
    assert found[5, 300] == pytest.approx(3 / 5, abs=0.03)
    assert found[5, 100] == pytest.approx(1 / 5, abs=0.03)
    for _ in range(50):
        sampler.learnt([], [])
    assert drawn(sampler, config)[5, 300] == pytest.approx(2 / 4, abs=0.03)
    for _ in range(2000):
        sampler.learnt([], [])
    assert drawn(sampler, config)[5, 300] == pytest.approx(1 / 3, abs=0.03)


def test_strokes_that_are_sent_again_unchanged_are_not_new():
    sampler = corrected()
    for _ in range(5000):
        sampler.learnt([], [])
    strokes = np.zeros((64, 400), np.uint8)
    strokes[5, 5], strokes[5, 100], strokes[5, 170], strokes[5, 300] = 1, 2, 2, 2
    sampler.set_strokes("0", strokes)
    assert drawn(sampler)[5, 300] == pytest.approx(1 / 3, abs=0.03)


def test_hard_blocks_are_drawn_more_often():
    sampler, config = corrected(), SamplingConfig(recent=0, hard=1)
    spots = {spot.pixel: spot for spot in sampler.draw(np.random.default_rng(0), 200)}
    for _ in range(30):
        sampler.learnt([spots[5, 100], spots[5, 170], spots[5, 300]], [0.3, 0.1, float("nan")])
    found = drawn(sampler, config)
    assert found[5, 100] == pytest.approx(1.5 / 3, abs=0.03)
    assert found[5, 170] == pytest.approx(0.5 / 3, abs=0.03)
    assert drawn(sampler, SamplingConfig(recent=0, hard=0))[5, 100] == pytest.approx(1 / 3, abs=0.03)


def test_every_pixel_alike_with_little_background():
    strokes = np.zeros((64, 64), np.uint8)
    strokes[:20, :50], strokes[40, :10] = 1, 2
    sampler = sampler_of((np.zeros(strokes.shape), strokes))
    spots = sampler.draw(np.random.default_rng(0), 4000, SamplingConfig(turns="pixels", background=0.1))
    assert np.mean([spot.pixel[0] == 40 for spot in spots]) == pytest.approx(10 / 110, abs=0.02)


def test_state_goes_through_a_file_and_the_order_of_painting_does_not_matter():
    sampler = corrected()
    spots = sampler.draw(np.random.default_rng(0), 50)
    sampler.learnt(spots, np.linspace(0, 2, 50).tolist())
    strokes = np.zeros((64, 400), np.uint8)
    strokes[5, 5], strokes[5, 100], strokes[5, 170], strokes[5, 300] = 1, 2, 2, 2
    again = sampler_of((np.zeros(strokes.shape), strokes))
    fresh = again.draw(np.random.default_rng(9), 200)
    again.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    expected = sampler.draw(np.random.default_rng(9), 200)
    assert again.draw(np.random.default_rng(9), 200) == expected
    assert fresh != expected


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
