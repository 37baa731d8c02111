"""Parts of an image that are one value cost next to nothing, and nothing changes."""

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_unet.config import InstanceConfig, ModelConfig, PredictConfig
from napari_unet.data.normalize import Normalizer, fit_normalizer
from napari_unet.data.source import ImageSource
from napari_unet.networks import build_network, geometry
from napari_unet.networks.snapshot import Snapshot
from napari_unet.networks.sweep import Sweeper
from napari_unet.prediction import constant, predictor
from napari_unet.prediction.constant import blank_around, is_constant
from napari_unet.prediction.predictor import Predictor
from napari_unet.session.volume import VolumeJob, segment_volume

CASES = {
    "plane": {},
    "colours": {"in_channels": 2},
    "unpadded": {"padding": "valid", "norm": "none"},
    "stem": {"stem": "scale_space"},
    "linear": {"upsampling": "linear"},
    "volume": {"ndim": 3},
    "flat volume": {"ndim": 3, "spacing": (4, 1, 1)},
}
SHAPE = {2: (150, 170), 3: (20, 190, 120)}
#: Where there is something to see.
INSIDE = {2: (slice(50, 97), slice(0, 61)), 3: (slice(5, 15), slice(0, 31), slice(50, 77))}


def network_of(config):
    torch.manual_seed(0)
    network = build_network(config).eval()
    with torch.no_grad():
        for name, values in network.named_parameters():
            if name.endswith("bias"):
                values.normal_(0.5)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2.0)
    return network


def sparse(config, value=0):
    """Noise in the midst of one value."""
    shape = SHAPE[config.ndim]
    pixels = np.full((config.in_channels, *shape), value, np.uint16)
    inside = (slice(None), *INSIDE[config.ndim])
    pixels[inside] = np.random.default_rng(0).integers(1, 4000, pixels[inside].shape)
    return ImageSource(pixels, "CZYX"[0] + "ZYX"[-config.ndim :], config.ndim)


@pytest.fixture
def looked_at(monkeypatch):
    """Pixels that go through the network."""
    seen = []
    run, slab = Snapshot.__call__, Sweeper.slab
    monkeypatch.setattr(Snapshot, "__call__", lambda self, x, keep: seen.append(x[:, 0].numel()) or run(self, x, keep))
    monkeypatch.setattr(Sweeper, "slab", lambda self, x: seen.append(x[:, 0].numel()) or slab(self, x))
    return seen


@pytest.fixture
def sparing(monkeypatch):
    """Look for constant parts in small images too, in thin layers; call with False for the way without."""

    def switch(on):
        monkeypatch.setattr(predictor, "WORK", 0 if on else np.inf)
        monkeypatch.setattr(constant, "is_constant", is_constant if on else lambda pixels: False)

    monkeypatch.setattr(constant, "LAYER", 4)
    return switch


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("tile", [None, 24])
def test_the_result_is_the_same_and_most_of_it_is_not_computed(name, tile, looked_at, sparing):
    config = ModelConfig(**{"width": 4, "depth": 2, **CASES[name]})
    network, source = network_of(config), sparse(config)
    found, work = {}, {}
    for on in (False, True):
        sparing(on)
        looked_at.clear()
        found[on] = Predictor(network, config, device="cpu", tile=tile).predict(source, output="probabilities")
        work[on] = sum(looked_at)
    np.testing.assert_allclose(found[True], found[False], atol=1e-6)
    if config.stem == "none":
        assert work[True] < 0.8 * work[False]
    # The answer to one value is a pattern: to take one pixel of it for all would be wrong.
    corner = found[False][(slice(None), *(slice(n - 8, n) for n in SHAPE[config.ndim]))]
    if name == "plane":
        assert np.ptp(corner, axis=tuple(range(1, corner.ndim))).max() > 1e-3


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("output", ["labels", "instances", "uncertainty"])
def test_labels_and_objects_are_the_same_to_the_bit(ndim, output, sparing):
    config = ModelConfig(width=3, depth=2, ndim=ndim)
    network, source = network_of(config), sparse(config, value=700)
    found = []
    for on in (False, True):
        sparing(on)
        made = Predictor(
            network, config, device="cpu", augmented="flips", instances=InstanceConfig(min_size=3), memory=2**29
        )
        found.append(made.predict(source, output=output, box=[slice(3, n - 5) for n in SHAPE[ndim]]))
    np.testing.assert_array_equal(*found)


def test_an_image_of_one_value_asks_the_network_once(looked_at, sparing):
    config = ModelConfig(width=3, depth=2)
    source = ImageSource(np.full((3, 200, 210), 7, np.uint8), "TYX", 2)
    sparing(True)
    Predictor(network_of(config), config, device="cpu", tile=64).predict(source)
    assert len(looked_at) == 1


def test_what_looks_at_a_whole_image_is_always_computed(monkeypatch):
    config = ModelConfig(width=3, depth=1, norm="instance")
    source = ImageSource(np.zeros((64, 64), np.uint8), "YX", 2)
    monkeypatch.setattr(constant, "is_constant", lambda pixels: pytest.fail("asked"))
    Predictor(network_of(config), config, device="cpu").predict(source)


@pytest.mark.parametrize("ndim", [2, 3])
def test_out_of_core(ndim, tmp_path, looked_at, sparing):
    """Chunks that are not there cost nothing; parts share what the network said of one value."""
    config = ModelConfig(width=3, depth=2, ndim=ndim)
    network, axes, inside = network_of(config), "ZYX"[-ndim:], INSIDE[ndim]
    array = zarr.create_array(tmp_path / "image.zarr", shape=SHAPE[ndim], chunks=(16,) * ndim, dtype="u2", fill_value=0)
    array[inside] = np.random.default_rng(0).integers(1, 4000, array[inside].shape)
    source = ImageSource(array, axes, ndim)
    work = []
    for on in (False, True):
        sparing(on)
        looked_at.clear()
        job = VolumeJob(network, config, source, tmp_path / f"{on}.zarr", PredictConfig(device="cpu"), None, 16, 32)
        assert list(segment_volume(job))[-1].complete
        work.append(len(looked_at))
    results = [np.asarray(zarr.open_array(tmp_path / f"{on}.zarr" / "0", mode="r")) for on in (False, True)]
    np.testing.assert_array_equal(*results)
    assert work[1] < 0.7 * work[0]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("end", [False, True])
def test_either_half_may_be_empty(axis, end, sparing):
    sparing(True)
    pixels = np.random.default_rng(0).integers(1, 255, (200, 200)).astype(np.uint8)
    half = slice(100, 200) if end else slice(0, 100)
    pixels[(slice(None),) * axis + (half,)] = 0
    inner, blank = blank_around(ImageSource(pixels, "YX", 2), (), [slice(0, 200)] * 2, geometry(ModelConfig(depth=1)))
    assert len(blank) == 1
    assert inner[axis].stop - inner[axis].start < 130


@settings(max_examples=40)
@given(data=st.data(), ndim=st.sampled_from([2, 3]))
def test_blank_tiles_and_the_rest_hold_each_pixel_once_and_read_one_value(data, ndim):
    about = geometry(ModelConfig(width=2, depth=1, ndim=ndim))
    shape = [data.draw(st.integers(1, 90 if ndim == 2 else 50)) for _ in range(ndim)]
    pixels = np.zeros(shape, np.uint8)
    for _ in range(data.draw(st.integers(0, 3))):
        pixels[tuple(data.draw(st.integers(0, n - 1)) for n in shape)] = 1
    box = []
    for n in shape:
        start = data.draw(st.integers(0, n - 1))
        box.append(slice(start, data.draw(st.integers(start + 1, n))))
    source = ImageSource(pixels, "ZYX"[-ndim:], ndim)
    inner, blank = blank_around(source, (), box, about)
    count = np.zeros(shape, int)
    for part in (inner, *(tile.write for tile in blank)):
        count[part] += 1
    expected = np.zeros(shape, int)
    expected[tuple(box)] = 1
    np.testing.assert_array_equal(count, expected)
    assert all(is_constant(source.read_mirrored((), tile.start, tile.stop)) for tile in blank)


def test_a_normalised_image_with_nan_is_not_taken_for_constant(sparing):
    """NaN becomes 0 in the network's input, which is what its neighbours are not."""
    pixels = np.full((64, 64), 5.0, np.float32)
    pixels[20:24, 20:24], pixels[60, 60] = np.nan, 9
    source = ImageSource(pixels, "YX", 2)
    config = ModelConfig(width=3, depth=1)
    normalizer = Normalizer((0.0,), (10.0,))
    found = []
    for on in (False, True):
        sparing(on)
        found.append(
            Predictor(network_of(config), config, device="cpu", tile=16).predict(source, normalizer=normalizer)
        )
    np.testing.assert_array_equal(*found)
    assert fit_normalizer(source).nonfinite == 16
