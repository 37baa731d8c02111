"""Tiles that cost least, within memory and two seconds."""

import numpy as np
import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.data.source import ImageSource
from napari_unet.networks import build_network, estimate, geometry
from napari_unet.prediction.budget import choose_plan, cost_of, measure_speed
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.solver import form_of
from napari_unet.prediction.tiling import plan_tiles

CPU = torch.device("cpu")


class Virtual:
    """An image of which only shape and type are asked for."""

    dtype = np.dtype(np.uint8)

    def __init__(self, *shape):
        self.shape = shape


def plan_for(config, shape, memory=2**31, speed=None):
    source = ImageSource(Virtual(*shape), "ZYX"[-config.ndim :], config.ndim)
    return choose_plan(source, config, geometry(config), CPU, memory, None, None, speed)


def test_a_tile_costs_less_than_a_pass_over_all_that_it_reads():
    config = ModelConfig()
    plan = plan_tiles((4096, 4096), 1024, geometry(config))
    ours, whole = cost_of(config, plan, geometry(config)), estimate(config, plan.read_shape)
    assert ours.flops < 0.9 * whole.flops
    assert ours.bytes < whole.bytes


@pytest.mark.parametrize("shape", [(40, 700, 700), (300, 300, 300)])
def test_volumes_are_cut_within_memory_into_no_more_work_than_cubes(shape):
    config = ModelConfig(ndim=3, depth=2, width=8)
    plan = plan_for(config, shape)
    work = cost_of(config, plan, geometry(config)).flops * len(plan)
    assert cost_of(config, plan, geometry(config)).bytes <= 2**31
    for edge in (64, 96):
        cubes = plan_tiles(shape, edge, geometry(config))
        assert work <= cost_of(config, cubes, geometry(config)).flops * len(cubes)


def test_a_slow_device_gets_smaller_tiles():
    fast, slow = (plan_for(ModelConfig(), (8000, 8000), speed=speed) for speed in (1e12, 1e11))
    assert len(slow) > len(fast)


def test_speed_is_measured_for_large_images_only_and_once(monkeypatch):
    config = ModelConfig(width=4, depth=2)
    about = geometry(config)
    network = build_network(config).eval()
    assert 1e8 < measure_speed(form_of(network, about), config, about, CPU) < 1e15
    told = []
    monkeypatch.setattr(
        "napari_unet.prediction.predictor.measure_speed", lambda *arguments: told.append(arguments) or 1e9
    )
    predictor = Predictor(network, config, device="cpu")
    small, large = (ImageSource(Virtual(n, n), "YX", 2) for n in (100, 100_000))
    predictor._plan(small, None, None)
    assert told == []
    first, second = (predictor._plan(large, None, None) for _ in range(2))
    assert len(told) == 1
    assert first == second
    assert max(first.read_shape) < 2000
