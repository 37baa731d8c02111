"""How large a tile may be, and how many go through the network at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod

import torch

from napari_unet.config import ModelConfig
from napari_unet.data.source import ImageSource
from napari_unet.networks.estimate import FLOAT, Estimate, estimate, inference_peak
from napari_unet.networks.geometry import Geometry
from napari_unet.networks.graph import schedule
from napari_unet.networks.inference import fused_graph
from napari_unet.networks.plan import parameters
from napari_unet.networks.plan import plan as layers
from napari_unet.networks.timing import shortest
from napari_unet.networks.window import operations as work_of
from napari_unet.networks.window import windows
from napari_unet.prediction.solver import Form
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
#: Where the speed was measured a tile may take so many seconds; the edge of the tile that is timed, and how often.
SECONDS = 2.0
TIMED_EDGE = {2: 256, 3: 32}
TIMED = 5
#: Operations from which on it is measured: a minute of work or so.
LARGE = 1e13
#: Plans that fit of which the best is taken; in 2D the largest tile is the best.
ENOUGH = {2: 1, 3: 6}
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
    speed: float | None = None,
) -> TilePlan:
    """The plan that is least work, with tiles that fit in `memory` and are done in about two seconds.

    Parameters
    ----------
    source, box, centre
        What is to be predicted.
    model, geometry, device
        The network, and where it runs.
    memory : int
        Bytes to work in.
    speed : float, optional
        Operations per second, if they were measured.
    """
    operations = prompt_operations(device, speed)
    found: list[tuple[int, TilePlan]] = []
    for sides in _sides(model.ndim):
        plan = plan_tiles(source.spatial, sides, geometry, box=box, centre=centre)
        needs = cost_of(model, plan, geometry)
        prompt = needs.flops <= operations or max(sides) <= PROMPT_EDGE[model.ndim]
        if needs.bytes <= memory and prompt:
            found.append((work_of_plan(model, plan, geometry), plan))
        if len(found) == ENOUGH[model.ndim]:
            break
    return min(found, key=lambda each: each[0])[1] if found else plan


def prompt_operations(device: torch.device, speed: float | None = None) -> float:
    """Operations that take about two seconds, at the measured `speed` or a usual one."""
    if speed is not None:
        return SECONDS * speed
    return OPERATIONS["cpu"] * torch.get_num_threads() if device.type == "cpu" else OPERATIONS["gpu"]


def _sides(ndim: int) -> Iterator[tuple[int, ...]]:
    """Sizes of tiles, the largest first; those of volumes need not be cubes."""
    if ndim == 2:
        return ((edge, edge) for edge in EDGES[2])
    flat = ((depth, edge, edge) for depth in EDGES[3] for edge in (512, *EDGES[3]) if depth / 4 <= edge <= depth * 8)
    return iter(sorted(flat, key=lambda sides: -prod(sides)))


def choose_batch(plan: TilePlan, model: ModelConfig, geometry: Geometry, device: torch.device, memory: int) -> int:
    """Number of tiles that go through the network together."""
    pixels = BATCH_PIXELS["cpu" if device.type == "cpu" else "gpu"]
    wished = pixels // max(1, prod(plan.read_shape))
    needs = cost_of(model, plan, geometry).bytes
    return int(max(1, min(wished, memory // max(1, needs))))


def work_of_plan(model: ModelConfig, plan: TilePlan, geometry: Geometry) -> int:
    """Operations of all tiles of a plan, at one position along the leading axes."""
    return cost_of(model, plan, geometry).flops * prod(len(spans) for spans in plan.spans)


def cost_of(model: ModelConfig, plan: TilePlan, geometry: Geometry) -> Estimate:
    """Cost of one tile of a plan."""
    if model.encoder or model.stem != "none" or not geometry.exact or not len(plan):
        return _cost(model, plan.read_shape)
    # The largest tile decides, and the first and the last are often small.
    crops = [[(read, a, b) for a, b, read in spans] for spans in plan.spans]
    keep = []
    for axis, spans in enumerate(crops):
        read, start, stop = max(spans[len(spans) // 2 :][:1] + spans[:1], key=lambda span: span[2] - span[1])
        first = start - read - plan.margin[axis]
        keep.append((first, first + stop - start))
    return _windowed(model, plan.read_shape, tuple(keep))


@lru_cache(maxsize=1024)
def _windowed(model: ModelConfig, shape: tuple[int, ...], keep: tuple[tuple[int, int], ...]) -> Estimate:
    """Cost of the part of a tile that is computed."""
    graph, _ = fused_graph(layers(model))
    parts = [slice(*part) for part in keep]
    spans = [window.spans if window else () for window in windows(graph, shape, parts)]
    values = [
        node.channels * prod(b - a for a, b in span) if span else 0
        for node, span in zip(graph.nodes, spans, strict=True)
    ]
    weights = sum(parameters(graph, node) for node in graph.nodes)
    peak = inference_peak(graph, schedule(graph, graph.outputs), values)
    return Estimate(weights, work_of(graph, shape, parts), FLOAT * weights + peak)


def measure_speed(form: Form, model: ModelConfig, geometry: Geometry, device: torch.device) -> float:
    """Operations per second of a network on a device, found in about a second."""
    edge = TIMED_EDGE[model.ndim]
    plan = plan_tiles((4 * edge,) * model.ndim, edge, geometry, box=[slice(edge, 2 * edge)] * model.ndim)
    tile = next(iter(plan))
    x = torch.rand(1, model.in_channels, *plan.read_shape, device=device)
    with torch.inference_mode():
        seconds = shortest(lambda: form(x, tile.crop).flatten()[0].item(), 1.0, TIMED)
    return cost_of(model, plan, geometry).flops / seconds


@lru_cache(maxsize=256)
def _cost(model: ModelConfig, shape: tuple[int, ...]) -> Estimate:
    """Cost of one tile; that of an encoder from another package is measured, which takes its time."""
    return estimate(model, shape, batch=1, training=False)
