"""Estimates beside what torch counts and allocates."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks import build_network, estimate

SPATIAL = {2: (96, 150), 3: (16, 40, 48)}
TOLERANCE = 0.15


@pytest.fixture
def larger(any_config) -> ModelConfig:
    """The member wide enough that activations, not workspaces, are what memory goes to."""
    return any_config.model_copy(update={"width": 8})


def test_flops_are_what_torch_counts(larger):
    _check_flops(larger)


def test_flops_of_encoders_are_what_torch_counts(encoded):
    _check_flops(encoded)


def _check_flops(larger):
    spatial = _spatial(larger)
    network, image = build_network(larger), torch.rand(2, 1, *spatial)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        network(image)
    assert estimate(larger, spatial, 2).flops == pytest.approx(forward.get_total_flops(), rel=TOLERANCE)
    with FlopCounterMode(display=False) as both:
        _loss(network, image).backward()
    assert estimate(larger, spatial, 2, training=True).flops == pytest.approx(both.get_total_flops(), rel=TOLERANCE)


def test_memory_is_what_torch_allocates(larger):
    if (larger.architecture, larger.ndim) == ("fcn32s", 3):
        # With a single thread, oneDNN runs its long kernels through a workspace of their own.
        torch.set_num_threads(2)
    _check_memory(larger)


def test_memory_of_encoders_is_what_torch_allocates(encoded):
    _check_memory(encoded)


def _check_memory(larger):
    spatial = _spatial(larger)
    layout = torch.channels_last if larger.ndim == 2 else torch.channels_last_3d
    network = build_network(larger).to(memory_format=layout).eval()
    image = torch.rand(4, 1, *spatial).contiguous(memory_format=layout)
    weights = 4 * sum(values.numel() for values in network.parameters())

    def predict():
        with torch.no_grad():
            network(image)

    measured = weights + 4 * image.numel() + _peak(predict)
    assert estimate(larger, spatial, 4).bytes == pytest.approx(measured, rel=TOLERANCE)
    network.train()
    # Weights, two moments and an average are held already; the gradients are allocated in the step.
    measured = 4 * weights + 4 * image.numel() + _peak(lambda: _step(network, image))
    assert estimate(larger, spatial, 4, training=True).bytes == pytest.approx(measured, rel=TOLERANCE)


def test_more_pixels_cost_more():
    small, large = (estimate(ModelConfig(), (size, size)) for size in (64, 512))
    assert large.flops == 64 * small.flops
    assert large.bytes > small.bytes
    assert large.parameters == small.parameters


@pytest.mark.parametrize(("config", "spatial"), [({}, (0, 8)), ({}, (8, 8, 8)), ({"padding": "valid"}, (100, 100))])
def test_sizes_that_cannot_be_are_refused(config, spatial):
    with pytest.raises(ConfigError, match="give"):
        estimate(ModelConfig(**config), spatial)


def _spatial(config):
    if config.padding == "valid":
        return {2: (100, 148), 3: (60, 52, 52)}[config.ndim]
    return SPATIAL[config.ndim]


def _step(network, image):
    network.zero_grad(set_to_none=True)
    _loss(network, image).backward()


def _loss(network, image):
    return sum(x.sum() for x in _outputs(network, image))


def _outputs(network, image):
    return network.forward_deep(image) if hasattr(network, "forward_deep") else [network(image)]


def _peak(work) -> int:
    """Most bytes that `work` had allocated at a time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak
