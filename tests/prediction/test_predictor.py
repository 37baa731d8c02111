"""Tiles equal one pass over the mirrored image, for any shape, tile, container and accident."""

import logging

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import ModelConfig
from napari_unet.data.normalize import fit_normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError, ImageError, PredictionError
from napari_unet.events import TileDone, Warned
from napari_unet.networks import build_network, geometry
from napari_unet.prediction.predictor import Predictor

SMALL = ModelConfig(width=3, depth=2)
MODELS = {
    "2d": SMALL,
    "2d deep": ModelConfig(width=2, depth=4),
    "2d valid": ModelConfig(width=3, depth=2, padding="valid"),
    "2d valid linear": ModelConfig(width=3, depth=2, padding="valid", upsampling="linear"),
    "2d linear": ModelConfig(width=3, depth=2, upsampling="linear"),
    "2d residual": ModelConfig(width=3, depth=2, block="residual", upsampling="nearest"),
    "3 classes": ModelConfig(width=3, depth=2, classes=("background", "nucleus", "membrane")),
    "1 class": ModelConfig(width=3, depth=2, classes=("cell",)),
    "2 channels": ModelConfig(width=3, depth=2, in_channels=2),
    "unetpp": ModelConfig(architecture="unetpp", width=2, depth=3),
    "unet3plus": ModelConfig(architecture="unet3plus", width=2, depth=2),
    "3d": ModelConfig(width=2, depth=1, ndim=3),
    "3d flat": ModelConfig(width=2, depth=2, ndim=3, spacing=(4, 1, 1)),
}


def make(config, seed=0):
    """A random network with the statistics of a trained one, whose classes are equally frequent."""
    torch.manual_seed(seed)
    network = build_network(config).train()
    about = geometry(config)
    least = [64 // config.ndim + 2 * m for m in about.margin]
    size = [n + (r - n) % s for n, s, r in zip(least, about.stride, about.residue, strict=True)]
    noise = torch.randn(4, config.in_channels, *size) * 0.19 + 0.45  # as normalised noise is
    with torch.no_grad():
        for _ in range(30):
            network(noise)
        logits = network.eval()(noise)
        bias = [p for name, p in network.named_parameters() if p.shape == (len(config.classes),)][-1]
        bias -= logits.mean(dim=[0, *range(2, logits.ndim)])
    return network


class Double(torch.nn.Module):
    """A network in double precision: what is left is geometry, not rounding."""

    def __init__(self, network):
        super().__init__()
        self.network = network.double()

    def forward(self, x):
        return self.network(x.double())


NETWORKS = {name: make(config) for name, config in MODELS.items()}
NETWORKS["2d deep"] = Double(NETWORKS["2d deep"])  # small differences grow to 4e-5 in this untrained network


def source_for(config, shape, seed=0):
    pixels = np.random.default_rng(seed).normal(size=(config.in_channels, *shape)).astype(np.float32)
    return ImageSource(pixels, "C" + "ZYX"[-config.ndim :], config.ndim)


def one_pass(network, config, source, lead=()):
    """Logits of the mirrored image in one go: the definition of what tiles must give."""
    about = geometry(config)
    start, stop = [], []
    for n, stride, halo, residue in zip(source.spatial, about.stride, about.halo, about.residue, strict=True):
        start.append(-halo // stride * stride)
        size = n + halo - start[-1]
        stop.append(start[-1] + size + (residue - size) % stride)
    block = fit_normalizer(source, config.normalization)(source.read_mirrored(lead, start, stop))
    with torch.inference_mode():
        logits = network(torch.from_numpy(block)[None])[0]
    crop = [slice(-a - m, -a - m + n) for a, m, n in zip(start, about.margin, source.spatial, strict=True)]
    return logits[(slice(None), *crop)]


def softmax(logits):
    return (logits.sigmoid() if len(logits) == 1 else logits.softmax(0)).numpy()


def check(name, shape, tile):
    config, network = MODELS[name], NETWORKS[name]
    source = source_for(config, shape)
    expected = softmax(one_pass(network, config, source))
    predictor = Predictor(network, config, device="cpu", tile=tile)
    found = predictor.predict(source, output="probabilities")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    labels = predictor.predict(source)
    assert labels.dtype == np.uint8
    best = (expected[0] > 0.5) + 1 if len(expected) == 1 else expected.argmax(0) + 1
    np.testing.assert_array_equal(labels, best)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("tile", [16, 29, None])
def test_tiles_equal_one_pass(name, tile):
    check(name, (19, 30, 23) if MODELS[name].ndim == 3 else (61, 83), tile)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 3), (31, 1), (17, 19), (97, 16), (5, 128)])
@pytest.mark.parametrize("name", ["2d", "2d deep", "2d valid"])
def test_ugly_planes(name, shape):
    check(name, shape, 16)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 31), (13, 2, 7), (5, 17, 17)])
@pytest.mark.parametrize("name", ["3d", "3d flat"])
def test_ugly_volumes(name, shape):
    check(name, shape, 8)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(["2d", "2d valid", "3 classes"]), st.integers(1, 70), st.integers(1, 70), st.integers(1, 80))
def test_any_shape_and_tile(name, height, width, tile):
    check(name, (height, width), tile)


@pytest.mark.parametrize("name", ["2d", "2d valid", "3d"])
def test_a_view_has_the_pixels_of_the_whole(name):
    config, network = MODELS[name], NETWORKS[name]
    shape = (21, 40, 33) if config.ndim == 3 else (77, 90)
    source = source_for(config, shape)
    predictor = Predictor(network, config, device="cpu")
    whole = predictor.predict(source)
    box = [slice(3, 20), slice(30, 37), slice(9, 30)][: config.ndim]
    view = np.zeros_like(whole)
    for event in predictor.tiles(source, box=box):
        view[event.index] = event.data
    np.testing.assert_array_equal(view[tuple(box)], whole[tuple(box)])
    view[tuple(box)] = 0
    assert not view.any()


def test_a_view_reads_nothing_but_its_halo():
    class Watched:
        shape, dtype, read = (1000, 1000), np.dtype(np.uint8), 0

        def __getitem__(self, index):
            block = np.zeros(self.shape, np.uint8)[index]
            self.read += block.size
            return block

    image = Watched()
    source = ImageSource(image, "YX", 2)
    normalizer = fit_normalizer(source)
    image.read = 0
    list(Predictor(NETWORKS["2d"], SMALL, device="cpu").tiles(source, normalizer=normalizer, box=[slice(500, 532)] * 2))
    assert 0 < image.read <= (32 + 2 * geometry(SMALL).halo[0] + 8) ** 2


@pytest.mark.parametrize("axes", ["TYX", "ZYX", "TCYX", "YXC", "TZYX", "QYX", "CTYX"])
def test_leading_axes_are_walked_through(axes):
    sizes = {"T": 2, "Z": 3, "C": 2, "Q": 2, "Y": 20, "X": 33}
    config = MODELS["2 channels"] if "C" in axes else SMALL
    network = NETWORKS["2 channels"] if "C" in axes else NETWORKS["2d"]
    pixels = np.random.default_rng(0).normal(size=[sizes[a] for a in axes])
    source = ImageSource(pixels, axes, 2)
    predictor = Predictor(network, config, device="cpu", tile=16)
    labels = predictor.predict(source)
    planes = predictor.predict(source, output="probabilities")
    assert labels.shape == source.label_shape
    assert planes.shape == (2, *source.label_shape)
    for lead in source.planes():
        index = source.label_index(lead, [slice(None)] * 2)
        expected = one_pass(network, config, source, lead)
        np.testing.assert_array_equal(labels[index], expected.argmax(0) + 1)
        np.testing.assert_allclose(planes[(slice(None), *index)], softmax(expected), atol=1e-5)


def test_a_volume_with_time_last_of_the_leading_axes():
    config, network = MODELS["3d"], NETWORKS["3d"]
    pixels = np.random.default_rng(0).normal(size=(9, 2, 20, 11))
    source = ImageSource(pixels, "ZTYX", 3)
    labels = Predictor(network, config, device="cpu", tile=8).predict(source)
    for t in range(2):
        expected = one_pass(network, config, source, (t,)).argmax(0) + 1
        np.testing.assert_array_equal(labels[:, t], expected)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "<u4", ">f4", "f8", "f2", "?"])
def test_pixel_types(dtype):
    values = np.random.default_rng(0).integers(0, 200, (40, 41)).astype(np.uint8)
    image = values > 100 if dtype == "?" else values.astype(dtype)
    plain = image.astype(np.float32)
    predictor = Predictor(NETWORKS["2d"], SMALL, device="cpu", tile=16)
    found = predictor.predict(ImageSource(image, "YX", 2), output="probabilities")
    expected = predictor.predict(ImageSource(plain, "YX", 2), output="probabilities")
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["memmap", "zarr2", "zarr3", "dask"])
def test_containers(kind, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 50, 61)).astype(np.uint16)
    if kind == "memmap":
        array = np.memmap(tmp_path / "image", np.uint16, "w+", shape=pixels.shape)
        array[:] = pixels
    elif kind == "dask":
        array = pytest.importorskip("dask.array").from_array(pixels, chunks=(1, 17, 20))
    else:
        array = zarr.create_array(tmp_path / "i.zarr", data=pixels, chunks=(1, 16, 16), zarr_format=int(kind[-1]))
    predictor = Predictor(NETWORKS["2d"], SMALL, device="cpu", tile=16)
    expected = predictor.predict(ImageSource(pixels, "TYX", 2))
    np.testing.assert_array_equal(predictor.predict(ImageSource(array, "TYX", 2)), expected)


def test_events_count_the_tiles():
    source = source_for(SMALL, (50, 50))
    events = list(Predictor(NETWORKS["2d"], SMALL, device="cpu", tile=16).tiles(source))
    assert [event.done for event in events] == list(range(1, 17))
    assert {event.total for event in events} == {16}


def test_tiles_near_the_centre_come_first():
    source = source_for(SMALL, (60, 60))
    predictor = Predictor(NETWORKS["2d"], SMALL, device="cpu", tile=16)
    first = next(iter(predictor.tiles(source, centre=(55, 2))))
    assert first.index[0].stop == 60
    assert first.index[1].start == 0


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_stop_ends_within_a_tile(after):
    events = []
    predictor = Predictor(NETWORKS["2d"], SMALL, device="cpu", tile=16)
    for event in predictor.tiles(source_for(SMALL, (100, 100)), should_stop=lambda: len(events) >= after):
        events.append(event)
    assert len(events) == after


def test_an_abandoned_prediction_leaves_no_thread():
    import threading

    before = threading.active_count()
    tiles = Predictor(NETWORKS["2d"], SMALL, device="cpu", tile=16).tiles(source_for(SMALL, (100, 100)))
    next(iter(tiles))
    tiles.close()
    assert threading.active_count() == before


def test_the_network_goes_on_as_it_was():
    network = make(SMALL).train()
    frozen = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)).eval()
    before = [p.detach().clone() for p in network.state_dict().values()]
    tiles = Predictor(network, SMALL, device="cpu", tile=16).tiles(source_for(SMALL, (40, 40)))
    next(iter(tiles))
    assert network.training
    assert not frozen.training
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    list(tiles)
    for old, new in zip(before, network.state_dict().values(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0)
    loss = network(torch.rand(2, 1, 16, 16)).mean()
    loss.backward()


def test_learning_between_two_predictions_is_seen():
    network = make(SMALL)
    source = source_for(SMALL, (30, 30))
    predictor = Predictor(network, SMALL, device="cpu")
    before = predictor.predict(source, output="probabilities")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    assert np.abs(predictor.predict(source, output="probabilities") - before).max() > 1e-3


class Tight(torch.nn.Module):
    """A network on a device too small for more than `limit` pixels at once."""

    def __init__(self, network, limit, error):
        super().__init__()
        self.network, self.limit, self.error, self.failures = network, limit, error, 0

    def forward(self, x):
        if x.numel() > self.limit:
            self.failures += 1
            raise self.error
        return self.network(x)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["gpu", "cpu", "python"])
@pytest.mark.parametrize("limit", [110**2, 72**2])
def test_out_of_memory_halves_the_tile_and_changes_nothing(error, limit):
    source = source_for(SMALL, (130, 121))
    expected = Predictor(NETWORKS["2d"], SMALL, device="cpu").predict(source, output="probabilities")
    network = Tight(NETWORKS["2d"], limit, error)
    predictor = Predictor(network, SMALL, device="cpu", tile=128)
    found = predictor.predict(source, output="probabilities")
    assert network.failures > 0
    np.testing.assert_allclose(found, expected, atol=1e-5)
    known = network.failures
    np.testing.assert_allclose(predictor.predict(source, output="probabilities"), expected, atol=1e-5)
    assert network.failures == known


def test_out_of_memory_of_a_batch_takes_tiles_singly():
    pixels = np.random.default_rng(0).normal(size=(6, 20, 20))
    source = ImageSource(pixels, "TYX", 2)
    expected = Predictor(NETWORKS["2d"], SMALL, device="cpu").predict(source)
    network = Tight(NETWORKS["2d"], 80**2, OUT_OF_MEMORY[0])
    events = list(Predictor(network, SMALL, device="cpu").tiles(source))
    assert network.failures == 1
    assert [event.total for event in events] == [6] * 6
    for event in events:
        np.testing.assert_array_equal(event.data, expected[event.index])


def test_no_memory_at_all_is_one_sentence():
    network = Tight(NETWORKS["2d"], 10, OUT_OF_MEMORY[0])
    with pytest.raises(PredictionError, match="free some memory"):
        Predictor(network, SMALL, device="cpu").predict(source_for(SMALL, (64, 64)))


def test_other_failures_are_not_taken_for_a_lack_of_memory():
    network = Tight(NETWORKS["2d"], 10, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        Predictor(network, SMALL, device="cpu").predict(source_for(SMALL, (64, 64)))
    assert network.failures == 1


def test_nonfinite_pixels_are_masked_and_told_once(caplog):
    pixels = np.random.default_rng(0).normal(size=(2, 70, 70))
    clean = ImageSource(pixels.copy(), "TYX", 2)
    normalizer = fit_normalizer(clean)
    pixels[0, 0, 0], pixels[0, 33, 33], pixels[1, 69, 5] = np.nan, np.inf, -np.inf
    predictor = Predictor(NETWORKS["2d"], SMALL, device="cpu", tile=16)
    source = ImageSource(pixels, "TYX", 2)
    events = list(predictor.tiles(source, normalizer=normalizer, output="probabilities"))
    warnings = [event for event in events if isinstance(event, Warned)]
    assert len(warnings) == 1
    assert "3 values" in warnings[0].message
    assert all(np.isfinite(event.data).all() for event in events if isinstance(event, TileDone))
    expected = predictor.predict(clean, output="probabilities", normalizer=normalizer)
    with caplog.at_level(logging.WARNING):
        found = predictor.predict(source, output="probabilities", normalizer=normalizer)
    assert "3 values" in caplog.text
    far = geometry(SMALL).halo[0]
    rows, columns = np.mgrid[:70, :70]
    untouched = (np.maximum(rows, columns) > far) & (np.maximum(abs(rows - 33), abs(columns - 33)) > far)
    assert untouched.any()
    np.testing.assert_allclose(found[:, 0][:, untouched], expected[:, 0][:, untouched], atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 30, 30), (30, 30)])
def test_a_wrong_number_of_channels_is_one_sentence(shape):
    config = ModelConfig(width=2, depth=1, in_channels=3)
    source = ImageSource(np.zeros(shape), "CYX"[-len(shape) :], 2)
    with pytest.raises(ImageError, match="3"):
        Predictor(build_network(config), config, device="cpu").tiles(source)


def test_an_image_without_a_finite_pixel_is_one_sentence():
    with pytest.raises(ImageError, match="no finite pixel"):
        Predictor(NETWORKS["2d"], SMALL, device="cpu").tiles(ImageSource(np.full((9, 9), np.nan), "YX", 2))


def test_an_unknown_device_is_one_sentence():
    for name in ("cuda:99", "toaster"):
        with pytest.raises(ConfigError, match="another device"):
            Predictor(NETWORKS["2d"], SMALL, device=name)


def test_a_constant_image_is_predicted():
    labels = Predictor(NETWORKS["2d"], SMALL, device="cpu").predict(
        ImageSource(np.full((20, 20), 7, np.uint8), "YX", 2)
    )
    assert set(np.unique(labels)) <= {1, 2}


def test_tiles_of_an_inexact_network_are_announced():
    config = ModelConfig(width=3, depth=1, norm="instance")
    source = source_for(config, (60, 60))
    network = build_network(config)
    tiled = list(Predictor(network, config, device="cpu", tile=16).tiles(source))
    assert isinstance(tiled[0], Warned)
    whole = list(Predictor(network, config, device="cpu").tiles(source))
    assert [type(event) for event in whole] == [TileDone]


def test_a_view_of_the_default_network_is_one_tile():
    config = ModelConfig()
    source = ImageSource(np.zeros((9000, 9000), np.uint8), "YX", 2)
    plan = Predictor(build_network(config), config, device="cpu")._plan(source, [slice(100, 612), slice(3, 515)], None)
    assert len(plan) == 1


def test_less_memory_gives_smaller_tiles():
    config = ModelConfig()
    source = ImageSource(np.zeros((9000, 9000), np.uint8), "YX", 2)
    sizes = []
    for memory in (2**28, 2**30, 2**31):
        plan = Predictor(build_network(config), config, device="cpu", memory=memory)._plan(source, None, None)
        sizes.append(plan.read_shape[0])
    assert sizes[0] < sizes[1] <= sizes[2]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"box": [slice(50, 60), slice(0, 5)]}, "33 x 41"),
        ({"box": [slice(5, 5), slice(0, 5)]}, "with pixels"),
        ({"box": [slice(0, 5)]}, "2 ranges"),
        ({"box": [slice(0, 20, 2), slice(0, 5)]}, "without steps"),
        ({"leads": [(7,)]}, "T below 2"),
        ({"leads": [(0, 0)]}, "T below 2"),
        ({"leads": [(-1,)]}, "T below 2"),
    ],
)
def test_a_part_that_is_not_there_is_said_in_one_sentence(part, words):
    config = ModelConfig(width=2, depth=1)
    source = ImageSource(np.zeros((2, 33, 41)), "TYX", 2)
    with pytest.raises(ImageError, match=words):
        Predictor(build_network(config), config, device="cpu").predict(source, **part)
