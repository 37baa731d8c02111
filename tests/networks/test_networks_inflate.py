"""3D networks that begin from the weights of 2D ones."""

import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.networks import build_network
from napari_unet.networks.base import base_network
from napari_unet.networks.inflate import inflate
from napari_unet.standard import standard_model


def pair(flat, **deep):
    """A 2D network with weights and statistics that are not the usual ones, and its 3D form."""
    torch.manual_seed(0)
    network = build_network(flat).eval()
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if values.is_floating_point():
                values.copy_(torch.rand_like(values) + 0.5 if "var" in name else 0.3 * torch.randn_like(values))
    volumes = build_network(flat.replace(ndim=3, **deep)).eval()
    volumes.load_state_dict(inflate(network.state_dict(), volumes))
    return network, volumes


@torch.no_grad()
def both(network, volumes, volume):
    """Logits of a volume, and of its planes one by one; (K, Z, Y, X)."""
    planes = torch.cat([network(plane[None]) for plane in volume.movedim(1, 0)])
    return volumes(volume[None])[0], planes.movedim(0, 1)


@pytest.mark.parametrize("upsampling", ["transpose", "linear"])
def test_coarse_planes_are_seen_one_by_one(upsampling):
    flat = ModelConfig(width=4, depth=2, upsampling=upsampling)
    deep, planes = both(*pair(flat, spacing=(8.0, 1.0, 1.0)), torch.randn(1, 5, 20, 23))
    assert torch.allclose(deep, planes, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_volume_that_is_the_same_in_each_plane_is_seen_as_one(depth):
    deep, planes = both(*pair(ModelConfig(width=4, depth=depth)), torch.randn(1, 1, 20, 23).repeat(1, 6, 1, 1))
    assert torch.allclose(deep, planes, atol=1e-5)
    assert deep.std() > 0.01


def test_blur_and_slope_of_the_scale_space_keep_their_weights():
    network, volumes = pair(ModelConfig(width=4, depth=1, stem="scale_space"))
    with torch.no_grad():
        for part, per_sigma in ((network, 4), (volumes, 5)):
            for name in ("encoder.0.conv0", "local"):
                weight = part.get_submodule(name).weight
                features = weight[:, 1:].unflatten(1, (5, per_sigma))
                assert features.any()
                features[:, :, 2:] = 0
    deep, planes = both(network, volumes, torch.randn(1, 1, 40, 43).repeat(1, 4, 1, 1))
    assert torch.allclose(deep, planes, atol=1e-4)


def test_the_largest_and_the_smallest_curvature_keep_their_weights():
    network, volumes = pair(ModelConfig(width=4, depth=1, stem="scale_space"))
    old = network.get_submodule("local").weight[:, 1:, 0, 0].unflatten(1, (5, 4))
    new = volumes.get_submodule("local").weight[:, 1:, 0, 0, 0].unflatten(1, (5, 5))
    assert torch.equal(new[:, :, [2, 4]], old[:, :, [2, 3]])
    assert not new[:, :, 3].any()


@pytest.mark.parametrize("spacing", [None, (4.0, 1.0, 1.0)])
def test_the_base_network_finds_balls_in_a_volume(spacing):
    z, y, x = torch.meshgrid(torch.arange(24) * (1 if spacing is None else 4), *[torch.arange(64)] * 2, indexing="ij")
    ball = (z - 12) ** 2 + (y - 30) ** 2 + (x - 34) ** 2 < 10**2
    volume = 0.2 + 0.6 * ball + 0.05 * torch.randn(ball.shape, generator=torch.Generator().manual_seed(0))
    model = standard_model(ndim=3, stem="scale_space", spacing=spacing)
    with torch.no_grad():
        logits = base_network(model).eval()(volume[None, None])[0]
    found = logits[1] > logits[0]
    assert (found & ball).sum() / (found | ball).sum() > 0.6
