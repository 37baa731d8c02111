"""How large a tile may be, and how many go through the network at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod

import torch

from napari_unet.config import ModelConfig
from napari_unet.data.source import ImageSource
from napari_unet.networks.estimate import Estimate, estimate
from napari_unet.networks.geometry import Geometry
from napari_unet.prediction.tiling import TilePlan, plan_tiles

#: Memory that a prediction takes on the CPU unless told otherwise, bytes.
MEMORY = 2 * 2**30
#: Part of the free memory of a GPU that a prediction takes.
GPU_SHARE = 0.5
#: Tile edges to choose from.
EDGES = {2: (2048, 1536, 1024, 768, 512, 384, 256, 128, 64, 32, 16), 3: (256, 192, 128, 96, 64, 48, 32, 16)}
#: A tile should take about 2 s at most, so that stopping is prompt: operations per CPU thread (1.9e11 a second were
#: measured on one of an AMD EPYC), and on a GPU.
OPERATIONS = {"cpu": 4e11, "gpu": 2e13}
#: No tile is made smaller than this only to be prompt: its halo would cost more than it.
PROMPT_EDGE = {2: 512, 3: 64}
#: Small tiles are put together up to this many pixels.
BATCH_PIXELS = {"cpu": 768**2, "gpu": 2048**2}


def free_memory(device: torch.device) -> int:
    """Bytes that a prediction may take on `device`."""
    if device.type != "cuda":
        return MEMORY
    free, _ = torch.cuda.mem_get_info(device)
    reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(GPU_SHARE * (free + reusable))


def choose_plan(
    source: ImageSource,
    model: ModelConfig,
    geometry: Geometry,
    device: torch.device,
    memory: int,
    box: Sequence[slice] | None,
    centre: Sequence[int] | None,
) -> TilePlan:
    """Plan with the largest tiles that fit in `memory` and are done in about two seconds."""
    operations = OPERATIONS["cpu"] * torch.get_num_threads() if device.type == "cpu" else OPERATIONS["gpu"]
    for edge in EDGES[model.ndim]:
        plan = plan_tiles(source.spatial, edge, geometry, box=box, centre=centre)
        needs = _cost(model, plan.read_shape)
        prompt = needs.flops <= operations or edge <= PROMPT_EDGE[model.ndim]
        if needs.bytes <= memory and prompt:
            break
    return plan


def choose_batch(plan: TilePlan, model: ModelConfig, device: torch.device, memory: int) -> int:
    """Number of tiles that go through the network together."""
    pixels = BATCH_PIXELS["cpu" if device.type == "cpu" else "gpu"]
    wished = pixels // max(1, prod(plan.read_shape))
    needs = _cost(model, plan.read_shape).bytes
    return int(max(1, min(wished, memory // max(1, needs))))


@lru_cache(maxsize=256)
def _cost(model: ModelConfig, shape: tuple[int, ...]) -> Estimate:
    """Cost of one tile; that of an encoder from another package is measured, which takes its time."""
    return estimate(model, shape, batch=1, training=False)
