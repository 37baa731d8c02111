"""Halo, stride and margin: what the tiler relies on."""

import itertools
import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from napari_unet.config import ModelConfig
from napari_unet.networks import geometry, module


def test_published_network_gives_388_from_572():
    shape = geometry(ModelConfig(width=64, depth=4, padding="valid", norm="none"))
    assert shape.stride == (16, 16)
    assert shape.margin == ((572 - 388) // 2,) * 2
    assert shape.residue == (572 % 16,) * 2


@pytest.mark.parametrize(("norm", "exact"), [("batch", True), ("none", True), ("group", False), ("instance", False)])
def test_normalisation_over_the_image_is_not_exact(norm, exact):
    assert geometry(ModelConfig(norm=norm)).exact is exact


@pytest.mark.parametrize(
    ("spacing", "stride"),
    [(None, (8, 8, 8)), ((1, 1, 1), (8, 8, 8)), ((3, 1, 1), (4, 8, 8)), ((4, 1, 1), (2, 8, 8)), ((9, 1, 1), (1, 8, 8))],
)
def test_thick_slices_are_pooled_once_the_plane_has_caught_up(spacing, stride):
    assert geometry(ModelConfig(ndim=3, depth=3, spacing=spacing)).stride == stride


def test_thick_slices_are_not_convolved_along_z():
    config = ModelConfig(ndim=3, depth=2, spacing=(9, 1, 1))
    assert geometry(config).halo[0] == 0


def test_halo_is_the_receptive_field(any_config, make, monkeypatch):
    """With positive weights and averages in place of maxima, the gradient is non-zero on the whole receptive field."""
    averages = {2: functional.avg_pool2d, 3: functional.avg_pool3d}
    monkeypatch.setattr(module, "_POOL", averages)
    network = make(any_config).double()
    for values in network.parameters():
        values.data.abs_().add_(0.01)
    for layer in network.modules():
        if hasattr(layer, "running_mean"):
            layer.running_mean.zero_()
    measured = tuple(_radius(network, any_config, axis) for axis in range(any_config.ndim))
    assert measured == geometry(any_config).halo


def test_guidance_sees_the_whole_image():
    assert not geometry(ModelConfig(architecture="unet3plus", guided=True)).exact


def test_tiles_equal_the_whole(member, make):
    if not geometry(member).exact:
        pytest.skip("the whole image counts")
    network, shape = make(member), geometry(member)
    edge = [-(-h // s) * s for h, s in zip(shape.halo, shape.stride, strict=True)]
    size = [3 * s + 1 for s in shape.stride]
    image = torch.randn(1, 1, *(n + 2 * e for n, e in zip(size, edge, strict=True)))
    with torch.no_grad():
        whole = network(image)
        for start in itertools.product(*(range(0, n, 2 * s) for n, s in zip(size, shape.stride, strict=True))):
            axes = list(zip(start, size, edge, shape.stride, strict=True))
            stop = [min(a + 2 * s, n) for a, n, _, s in axes]
            outer = tuple(slice(a, b + 2 * e) for (a, _, e, _), b in zip(axes, stop, strict=True))
            inner = tuple(slice(e, e + b - a) for (a, _, e, _), b in zip(axes, stop, strict=True))
            place = tuple(slice(a + e, b + e) for (a, _, e, _), b in zip(axes, stop, strict=True))
            tile = network(image[:, :, *outer])[:, :, *inner]
            torch.testing.assert_close(tile, whole[:, :, *place], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "group"},
        {"norm": "instance"},
        {"norm": "instance", "ndim": 3, "spacing": (1, 3, 3)},
        {"architecture": "unetpp", "norm": "group"},
        {"architecture": "unet3plus", "guided": True},
    ],
)
def test_tiles_of_members_that_see_the_whole_image_differ_little(settings, make):
    """A tile of 128 pixels in an image of one texture: logits differ by less than a tenth of their range."""
    config = ModelConfig(width=8, depth=2, **settings)
    shape = geometry(config)
    assert not shape.exact
    assert shape.field == ()
    edge = -(-shape.halo[0] // shape.stride[0]) * shape.stride[0]
    image = torch.rand(1, 1, 2 * edge + 256, *(64, 16)[config.ndim - 2 :][:1] * (config.ndim - 1))
    network = make(config)
    with torch.no_grad():
        whole = network(image)[:, :, edge + 64 : edge + 192]
        tile = network(image[:, :, 64 : 2 * edge + 192])[:, :, edge:-edge]
    assert (tile - whole).abs().max() < 0.1 * (whole.max() - whole.min())


def test_unpadded_tiles_equal_the_whole(unpadded, make):
    network, shape = make(unpadded), geometry(unpadded)
    axes = list(zip(shape.stride, shape.margin, shape.residue, strict=True))
    small = [r + s * (-(-(2 * m - r) // s) + 1) for s, m, r in axes]
    image = torch.randn(1, 1, *(n + 2 * s for n, s in zip(small, shape.stride, strict=True)))
    with torch.no_grad():
        whole = network(image)
        for shift in itertools.product((0, 1, 2), repeat=unpadded.ndim):
            start = [a * s for a, s in zip(shift, shape.stride, strict=True)]
            tile = network(image[:, :, *(slice(a, a + n) for a, n in zip(start, small, strict=True))])
            place = tuple(slice(a, a + n) for a, n in zip(start, tile.shape[2:], strict=True))
            torch.testing.assert_close(tile, whole[:, :, *place], atol=1e-5, rtol=1e-5)


def test_geometry_does_not_import_torch():
    code = "import sys, napari_unet.networks.geometry as g; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _radius(network, config, axis):
    """Farthest input pixel along `axis` with a gradient, over all places in the pooling grid."""
    shape = geometry(config)
    size = [3 * s for s in shape.stride]
    size[axis] = 2 * (-(-shape.halo[axis] // shape.stride[axis]) + 2) * shape.stride[axis]
    if config.padding == "valid":
        axes = zip(size, shape.stride, shape.margin, shape.residue, strict=True)
        size = [r + s * -(-(n + 2 * m - r) // s) for n, s, m, r in axes]
    image = torch.rand(1, 1, *size, dtype=torch.double, requires_grad=True)
    output = network(image).sum([i for i in range(image.ndim) if i != axis + 2])
    middle = len(output) // 2 // shape.stride[axis] * shape.stride[axis]
    return max(_reach(image, output, middle + p, shape.margin[axis], axis) for p in range(shape.stride[axis]))


def _reach(image, output, position, margin, axis):
    (gradient,) = torch.autograd.grad(output[position], image, retain_graph=True)
    others = [i for i in range(gradient.ndim) if i != axis + 2]
    seen = gradient.abs().sum(others).nonzero().flatten()
    return max(position + margin - int(seen.min()), int(seen.max()) - position - margin)
