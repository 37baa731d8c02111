"""How far a network looks and on which grid it works, from its config alone. Integers only, no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from napari_unet.config import ModelConfig
from napari_unet.networks.graph import Graph, Node
from napari_unet.networks.plan import check, plan


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the tiler must know of a network, per spatial axis.

    Attributes
    ----------
    stride : tuple of int
        Product of the strides: input regions start at multiples of it, so that pooling grids agree.
    halo : tuple of int
        Receptive-field radius: pixels on each side that can influence an output pixel.
    margin : tuple of int
        Pixels that the network itself removes at each side (0 with same padding).
    residue : tuple of int
        Legal input sizes are ``residue`` modulo ``stride``.
    exact : bool
        Whether tiles with this halo equal the whole; False where the whole image counts (group and
        instance normalisation, classification guidance); `halo` is then a good overlap.
    context : tuple of int
        Pixels that can influence a block of outputs, on each side of the block; blocks start at multiples of the
        stride and are as large. At most `halo`, and less where deep layers decide: they look equally far for a whole
        block. Empty where it is not known.
    field : tuple of int
        Receptive field, pixels: ``2 halo + 1``, and more where that is too large for a halo. Empty where an output
        pixel depends on the whole image.
    """

    stride: tuple[int, ...]
    halo: tuple[int, ...]
    margin: tuple[int, ...]
    residue: tuple[int, ...]
    exact: bool = True
    context: tuple[int, ...] = ()
    field: tuple[int, ...] = ()


#: Tiles of a network with an encoder are exact where it looks at most this far; they would cost too much beyond.
#: ResNet-18 and -50 look 311 pixels far.
FARTHEST = 320
#: Overlap of their tiles else. With 224 pixels labels of random ResNet-18 networks differed at 0.06 % of the pixels or
#: fewer.
OVERLAP = 256


def geometry(config: ModelConfig) -> Geometry:
    """Receptive field and grid of the network that `config` describes.

    Only a network with an encoder needs torch, and the package that knows encoders, for this.

    Raises
    ------
    ConfigError
        When no network can be built from this config.
    MissingDependencyError
        When it has an encoder, and the package that knows encoders is missing.

    Examples
    --------
    >>> geometry(ModelConfig(width=64, depth=4, padding="valid", norm="none")).margin
    (92, 92)
    """
    if config.encoder:
        check(config)
        return _encoder(config)
    graph = plan(config)
    stride = graph.stride
    lost = graph.nodes[graph.outputs[0]].lost
    reach = [_reach(graph, axis, period) for axis, period in enumerate(stride)]
    exact = graph.norm_kind in ("batch", "none") and all(node.op != "gate" for node in graph.nodes)
    return Geometry(
        stride=stride,
        halo=tuple(radius for radius, _ in reach),
        margin=tuple(pixels // 2 for pixels in lost),
        residue=tuple(_residue(graph, axis) % period for axis, period in enumerate(stride)),
        exact=exact,
        context=tuple(context for _, context in reach),
        field=tuple(2 * radius + 1 for radius, _ in reach) if exact else (),
    )


@lru_cache(maxsize=64)
def _encoder(config: ModelConfig) -> Geometry:
    """Trace a network of another package; only here torch and the package are needed."""
    from napari_unet.networks.trace import trace_encoder

    grid = Geometry(stride=(32, 32), halo=(OVERLAP,) * 2, margin=(0, 0), residue=(0, 0), exact=False)
    found = trace_encoder(config)
    if found is None:
        return grid
    radius, context = found
    grid = replace(grid, field=(2 * radius + 1,) * 2)
    if radius > FARTHEST:
        return grid
    return replace(grid, halo=(radius,) * 2, exact=True, context=(context,) * 2)


def _residue(graph: Graph, axis: int) -> int:
    """Pixels lost before the last pooling."""
    return max((node.lost[axis] for node in graph.nodes if node.op == "pool" and node.step[axis] > 1), default=0)


def _reach(graph: Graph, axis: int, period: int) -> tuple[int, int]:
    """How far any output pixel looks from itself, and from its block; outputs differ by their place in the block."""
    margin = graph.nodes[graph.outputs[0]].lost[axis] // 2
    radius = context = 0
    for phase in range(period):
        low, high = _field(graph, axis, phase)
        radius = max(radius, phase + margin - low, high - phase - margin)
        context = max(context, margin - low, high - margin - period + 1)
    return radius, context


def _field(graph: Graph, axis: int, position: int) -> tuple[int, int]:
    """First and last input pixel that the output pixel at `position` depends on."""
    needs = {graph.outputs[0]: (position, position)}
    for index in range(len(graph.nodes) - 1, 0, -1):
        if index not in needs:
            continue
        node = graph.nodes[index]
        low, high = reads(node, axis, *needs[index])
        for source in node.inputs[: 1 if node.op == "gate" else None]:
            known = needs.get(source, (low, high))
            needs[source] = (min(low, known[0]), max(high, known[1]))
    return needs[0]


def reads(node: Node, axis: int, low: int, high: int) -> tuple[int, int]:
    """Pixels of the layer's input that its pixels ``low..high`` are made from."""
    if node.op in ("conv", "scale_space"):
        return low - node.pad[axis], high - node.pad[axis] + node.kernel[axis] - 1
    if node.op == "crop":
        return low + node.pad[axis], high + node.pad[axis]
    if not node.step:
        return low, high
    step = node.step[axis]
    if node.op == "pool":
        return low * step, high * step + step - 1
    if node.op == "nearest":
        return low // step, high // step
    if node.op == "linear":
        return (2 * low + 1 - step) // (2 * step), -((step - 2 * high - 1) // (2 * step))
    kernel, pad = node.kernel[axis], node.pad[axis]
    return -((kernel - 1 - low - pad) // step), (high + pad) // step
