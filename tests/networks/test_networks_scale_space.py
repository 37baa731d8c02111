"""The scale-space stem: what its features are, and that they turn with the image."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks import build_network, geometry
from napari_unet.networks.graph import SIGMAS, scale_space_radius
from napari_unet.networks.scale_space import BLUR_GAIN, CURVE_GAIN, eigenvalues, scale_space


def stem(*units: float):
    return partial(scale_space, units=units, pad=scale_space_radius(units, SIGMAS[-1]))


@pytest.mark.parametrize("ndim", [2, 3])
def test_eigenvalues_are_linear_algebras(ndim):
    matrices = torch.randn(50, ndim, ndim, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    matrices += matrices.mT.clone()
    mixed = [matrices[:, a, b] for a in range(ndim) for b in range(a + 1, ndim)]
    found = torch.stack(eigenvalues([matrices[:, a, a] for a in range(ndim)], mixed), 1)
    torch.testing.assert_close(found, torch.linalg.eigvalsh(matrices).flip(1), atol=1e-4, rtol=1e-4)


def test_equal_eigenvalues_stay_finite():
    same = [torch.full((4,), 2.0)] * 3
    for value in eigenvalues(same, [torch.zeros(4)] * 3):
        torch.testing.assert_close(value, same[0], atol=1e-4, rtol=0)


def test_features_turn_and_flip_with_the_image():
    image = torch.rand(1, 2, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    features = stem(1.0, 1.0)
    for change in (lambda x: x.rot90(1, (2, 3)), lambda x: x.flip(3)):
        torch.testing.assert_close(features(change(image)), change(features(image)), atol=1e-5, rtol=1e-5)


def test_blur_is_scipys_and_the_image_comes_first():
    image = np.random.default_rng(0).random((1, 1, 60, 70)).astype(np.float32)
    found = stem(1.0, 1.0)(torch.from_numpy(image)).numpy()
    np.testing.assert_array_equal(found[:, :1], image)
    for index, sigma in enumerate(SIGMAS):
        expected = ndimage.gaussian_filter(image[0, 0], sigma, mode="nearest", truncate=3) * BLUR_GAIN
        np.testing.assert_allclose(found[0, 1 + 4 * index], expected, atol=1e-5)


def test_curvature_of_a_bowl_is_known_whatever_the_spacing():
    """The second derivative of y^2 + z^2 is 2 along both axes, and 0 along x, in units of the smallest pixel."""
    units = (2.0, 1.0, 1.0)
    places = torch.meshgrid(*(torch.arange(40.0) * unit for unit in units), indexing="ij")
    bowl = (places[0] ** 2 + places[1] ** 2)[None, None] / 1000
    found = stem(*units)(bowl)[0, :, 20, 20, 20]
    curvatures = found[1 + 5 + 2 : 1 + 10] / CURVE_GAIN * 1000
    torch.testing.assert_close(curvatures, torch.tensor([2.0, 2.0, 0.0]), atol=2e-2, rtol=0)


def test_the_stem_itself_learns_nothing_and_is_not_saved():
    plain, deep = (build_network(ModelConfig(width=2, depth=1, stem=kind)) for kind in ("none", "scale_space"))
    assert list(deep.state_dict()) == [*plain.state_dict(), "local.weight"]


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_output_reads_the_stem_directly(padding):
    network = build_network(ModelConfig(width=2, depth=1, padding=padding, stem="scale_space")).eval()
    x = torch.rand(1, 1, 80, 80)
    silent = network(x)
    with torch.no_grad():
        network.get_submodule("local").weight[1] = 1.0
    size = silent.shape[-1]
    change = (network(x) - silent)[0]
    features = stem(1, 1)(x)[0].sum(0)
    edge = (80 - size) // 2
    torch.testing.assert_close(change[1], features[edge : edge + size, edge : edge + size], rtol=1e-3, atol=1e-3)
    assert not change[0].any()


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_receptive_field_grows_by_its_reach(padding):
    plain, deep = (geometry(ModelConfig(depth=2, padding=padding, stem=kind)) for kind in ("none", "scale_space"))
    assert np.subtract(deep.halo, plain.halo).tolist() == [25, 25]
    assert np.subtract(deep.margin, plain.margin).tolist() == ([25, 25] if padding == "valid" else [0, 0])


def test_an_encoder_has_no_stem():
    with pytest.raises(ConfigError, match="stem"):
        build_network(ModelConfig(encoder="resnet18", stem="scale_space"))
