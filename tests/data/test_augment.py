import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.config import AugmentConfig
from napari_unet.data.augment import Augmenter, _cubic

STILL = {"flip": False, "rotation": 0, "scale": 1, "elastic": 0, "brightness": 0, "contrast": 0, "gamma": 0, "noise": 0}


def augmenter(ndim=2, spacing=None, **settings):
    return Augmenter(AugmentConfig(**{**STILL, **settings}), ndim, spacing)


def apply(augment, images, targets, shape, seed=0, boundary=None):
    changes = augment.draw(len(images), torch.Generator().manual_seed(seed))
    boundary = torch.zeros(targets.shape) if boundary is None else boundary
    return augment.apply(changes, images, targets, boundary, shape)


@pytest.mark.parametrize("shape", [(16, 16), (15, 32), (6, 8, 10)])
def test_nothing_to_change_changes_nothing(shape):
    images, targets = torch.rand(3, 2, *shape), torch.randint(-1, 4, (3, *shape))
    boundary = torch.rand(3, *shape)
    out, labels, weights = apply(augmenter(len(shape)), images, targets, shape, boundary=boundary)
    torch.testing.assert_close(out, images, atol=1e-5, rtol=1e-5)
    assert torch.equal(labels, targets)
    torch.testing.assert_close(weights, boundary)


def test_the_middle_of_a_larger_patch_is_taken():
    images = torch.rand(1, 1, 30, 24)
    out, _, _ = apply(augmenter(), images, torch.zeros(1, 30, 24), (20, 10))
    torch.testing.assert_close(out, images[..., 5:25, 7:17], atol=1e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]), st.sampled_from([None, (2.0, 1.0, 1.0), (1.0, 1.0, 1.0)]))
def test_labels_stay_what_they_are(seed, ndim, spacing):
    augment = Augmenter(AugmentConfig(shear=10), ndim, None if ndim == 2 else spacing)
    shape = (24,) * ndim
    targets = torch.tensor([-1, 0, 1, 7])[torch.randint(4, (2, *shape))]
    _, labels, weights = apply(
        augment, torch.rand(2, 1, *shape), targets, (16,) * ndim, seed, (targets == 7).float() * 3
    )
    assert labels.dtype == torch.int64
    assert set(labels.unique().tolist()) <= {-1, 0, 1, 7}
    assert torch.equal(weights == 3, labels == 7)


def test_image_and_labels_move_together():
    targets = (ndimage.gaussian_filter(np.random.default_rng(0).random((4, 96, 96)), (0, 6, 6)) > 0.5).astype(int)
    images = torch.from_numpy(targets)[:, None].float()
    augment = augmenter(rotation=180, scale=1.3, elastic=8, flip=True, shear=15)
    out, labels, _ = apply(augment, images, torch.from_numpy(targets), (64, 64), 3)
    known = labels >= 0
    assert ((out[:, 0] > 0.5) == (labels == 1))[known].float().mean() > 0.99


def test_flips_are_exact_and_reach_every_side():
    images = torch.rand(1, 1, 9, 12)
    seen = set()
    for seed in range(30):
        out, _, _ = apply(augmenter(flip=True), images, torch.zeros(1, 9, 12), (9, 12), seed)
        match = [dims for dims in ((), (2,), (3,), (2, 3)) if torch.allclose(images.flip(dims), out, atol=1e-5)]
        assert len(match) == 1
        seen.add(match[0])
    assert len(seen) == 4


def test_outside_is_ignored_and_the_image_mirrored():
    targets = torch.zeros(1, 8, 8)
    out, labels, _ = apply(augmenter(), torch.ones(1, 1, 8, 8), targets, (12, 12))
    assert (labels[0, :2] == -1).all()
    assert (labels[0, 2:10, 2:10] == 0).all()
    torch.testing.assert_close(out, torch.ones_like(out))


def test_a_turned_patch_finds_pixels_in_its_corners():
    augment = augmenter(rotation=180)
    source = augment.source_shape((64, 48))
    for seed in range(20):
        _, labels, _ = apply(augment, torch.zeros(1, 1, *source), torch.zeros(1, *source), (64, 48), seed)
        assert (labels == 0).all()


def test_anisotropic_volumes_turn_in_the_plane_only():
    images = torch.arange(10.0).reshape(1, 1, 10, 1, 1).expand(2, 1, 10, 32, 32).contiguous()
    for spacing in (None, (3.0, 1.0, 1.0)):
        augment = augmenter(3, spacing, rotation=180, scale=1.2, elastic=3)
        out, _, _ = apply(augment, images, torch.zeros(2, 10, 32, 32), (10, 32, 32))
        torch.testing.assert_close(out, images, atol=1e-4, rtol=1e-4)


def test_isotropic_volumes_turn_everywhere():
    images = torch.arange(16.0).reshape(1, 1, 16, 1, 1).expand(1, 1, 16, 16, 16).contiguous()
    out, _, _ = apply(augmenter(3, (2.0, 2.0, 2.0), rotation=180), images, torch.zeros(1, 16, 16, 16), (16, 16, 16))
    assert (out[0, 0].std(dim=(1, 2)) > 0.5).any()


def test_rotation_keeps_lengths_in_space():
    matrix = augmenter(2, (2.0, 1.0), rotation=180).draw(5, torch.Generator().manual_seed(0)).matrix
    space = torch.diag(torch.tensor([2.0, 1.0]))
    rigid = space @ matrix @ space.inverse()
    torch.testing.assert_close(rigid @ rigid.mT, torch.eye(2).expand(5, 2, 2), atol=1e-5, rtol=1e-5)


def test_elastic_displacements_are_pixels():
    nodes = augmenter(elastic=10).draw(2000, torch.Generator().manual_seed(0)).nodes
    assert nodes.shape == (2000, 2, 3, 3)
    assert float(nodes.std()) == pytest.approx(10, rel=0.03)


@given(st.integers(2, 9), st.integers(1, 60))
def test_cubic_interpolation_reproduces_constants_and_nodes(nodes, size):
    matrix = _cubic(nodes, size)
    torch.testing.assert_close(matrix.sum(1), torch.ones(size), atol=1e-5, rtol=0)
    if size > 1:
        torch.testing.assert_close(_cubic(nodes, nodes), torch.eye(nodes), atol=1e-6, rtol=0)


def test_intensity_changes_spare_the_labels_and_stay_bounded():
    images, targets = torch.rand(8, 3, 20, 20), torch.randint(0, 3, (8, 20, 20))
    augment = augmenter(brightness=0.1, contrast=0.2, gamma=0.2, noise=0.03)
    out, labels, _ = apply(augment, images, targets, (20, 20))
    assert torch.equal(labels, targets)
    assert not torch.allclose(out, images, atol=1e-2)
    assert float((out - images).abs().max()) < 0.6


@pytest.mark.parametrize(("ndim", "spacing"), [(2, None), (2, (2.0, 1.0)), (3, (4.0, 1.0, 1.0))])
def test_blur_is_gaussian_in_space(ndim, spacing):
    images = torch.rand(3, 2, *(24,) * ndim)
    augment = augmenter(ndim, spacing, blur=2.0)
    changes = augment.draw(3, torch.Generator().manual_seed(0))
    out, _, _ = augment.apply(
        changes, images, torch.zeros(3, *(24,) * ndim), torch.zeros(3, *(24,) * ndim), (24,) * ndim
    )
    sizes = np.array(spacing or (1.0,) * ndim)
    for image, found, sigma in zip(images.numpy(), out.numpy(), changes.blur.numpy(), strict=True):
        expected = ndimage.gaussian_filter(image, (0, *(sigma / sizes)), mode="nearest", truncate=9)
        np.testing.assert_allclose(found, expected, atol=4e-3)
    assert changes.blur.min() != changes.blur.max()


def test_one_channel_of_several_is_dropped():
    images, targets = torch.rand(200, 3, 4, 4) + 0.1, torch.zeros(200, 4, 4)
    out, _, _ = apply(augmenter(channel_drop=0.5), images, targets, (4, 4))
    empty = (out == 0).all(dim=(2, 3))
    assert set(empty.sum(1).tolist()) == {0, 1}
    assert 0.35 < empty.any(1).float().mean() < 0.65
    assert empty.any(0).all()
    torch.testing.assert_close(out[~empty], images[~empty], atol=1e-5, rtol=1e-5)
    single = images[:, :1]
    assert (apply(augmenter(channel_drop=1.0), single, targets, (4, 4))[0] > 0).all()


def test_same_parameters_same_result_bit_for_bit():
    augment = Augmenter(AugmentConfig(), 2)
    images, targets = torch.rand(4, 1, 40, 40), torch.zeros(4, 40, 40)
    first, second = (apply(augment, images, targets, (32, 32), seed=7) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], apply(augment, images, targets, (32, 32), seed=8)[0])
