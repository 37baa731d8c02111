"""What a network costs, from its config alone: parameters, operations, memory. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks.graph import FIXED, SIGMAS, Graph, Move, Node, scale_space_radius, schedule
from napari_unet.networks.plan import parameters, plan

#: Copies of the weights while training: weights, gradients, two moments of AdamW, moving average.
TRAINING_COPIES = 5
#: Copies of its weights, in other orders, that a convolution of so many axes makes in its backward pass.
REORDERED = {2: 2, 3: 4}
FLOAT = 4
INDEX = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cost of one pass.

    Attributes
    ----------
    parameters : int
        Learnt values.
    flops : int
        Floating-point operations of all convolutions and Gaussians, two per multiplication and addition; with
        training, those of the backward pass too.
    bytes : int
        Peak memory of weights and activations, float32, channels-last.
    """

    parameters: int
    flops: int
    bytes: int


def estimate(config: ModelConfig, spatial: Sequence[int], batch: int = 1, *, training: bool = False) -> Estimate:
    """Estimate one forward pass, or one training step with AdamW.

    Only a network with an encoder needs torch, and the package that knows encoders, for this.

    Parameters
    ----------
    config : ModelConfig
        The network.
    spatial : sequence of int
        Size of the input, pixels per spatial axis.
    batch : int
        Images per pass.
    training : bool
        Also the backward pass, the optimiser and a moving average of the weights.

    Raises
    ------
    ConfigError
        When no network can be built from this config, or the size does not suit it.

    Examples
    --------
    >>> cost = estimate(ModelConfig(), (512, 512))
    >>> cost.parameters, round(cost.flops / 1e9), round(cost.bytes / 1e6)
    (1942306, 24, 76)
    """
    if config.encoder:
        return _measured(config, spatial, batch, training)
    graph = plan(config)
    padded = _padded(graph, spatial)
    sizes = _values(graph, padded, batch)
    moves = schedule(graph, graph.outputs if training else graph.outputs[:1])
    run = [graph.nodes[move.index] for move in moves]
    weights = sum(parameters(graph, node) for node in graph.nodes)
    flops = sum(
        _flops(graph, node, sizes[move.index], sizes) * (1 + training * _backward(graph, node))
        for node, move in zip(run, moves, strict=True)
    )
    peak = _training_peak(graph, moves, sizes) if training else inference_peak(graph, moves, sizes)
    peak = max(peak, _stem_peak(graph, padded, batch, sizes[graph.entry]))
    copies = TRAINING_COPIES if training else 1
    return Estimate(weights, flops, FLOAT * weights * copies + peak)


def _measured(config: ModelConfig, spatial: Sequence[int], batch: int, training: bool) -> Estimate:
    """Count an encoder from another package; torch runs it without values."""
    from napari_unet.networks.measure import measure

    weights, flops, peak = measure(config, spatial, batch, training=training)
    # The gradients are part of the measured peak already.
    copies = TRAINING_COPIES - 1 if training else 1
    return Estimate(weights, flops, FLOAT * weights * copies + peak)


def _padded(graph: Graph, spatial: Sequence[int]) -> list[int]:
    """Size that the first layer sees."""
    if len(spatial) != graph.ndim or min(spatial) < 1:
        raise ConfigError(f"give {graph.ndim} sizes of at least one pixel, not {tuple(spatial)}")
    if graph.valid:
        return list(spatial)
    return [-(-n // s) * s for n, s in zip(spatial, graph.stride, strict=True)]


def _values(graph: Graph, spatial: Sequence[int], batch: int) -> list[int]:
    """Numbers that each layer gives."""
    found = []
    for node in graph.nodes:
        axes = zip(spatial, node.lost, node.scale, strict=True)
        pixels = [(n - lost) // scale for n, lost, scale in axes]
        if min(pixels) < 1:
            raise ConfigError(f"give a larger input than {tuple(spatial)}; nothing is left of it at {node.name}")
        found.append(batch * node.channels * prod(pixels))
    return found


def _flops(graph: Graph, node: Node, values: int, sizes: Sequence[int]) -> int:
    if node.op == "conv":
        return 2 * values * graph.nodes[node.inputs[0]].channels * prod(node.kernel)
    if node.op == "transpose":
        return 2 * sizes[node.inputs[0]] * node.channels * prod(node.kernel)
    if node.op == "scale_space":
        taps = sum(2 * r - 1 for sigma in SIGMAS for r in scale_space_radius(node.units, sigma))
        return 2 * values // node.channels * graph.nodes[0].channels * taps
    return 0


def _backward(graph: Graph, node: Node) -> int:
    """How often a layer runs again in the backward pass: for its weights, and for what it reads."""
    if node.op in FIXED:
        return 0
    return 1 + (graph.nodes[node.inputs[0]].op not in FIXED)


def inference_peak(graph: Graph, moves: Sequence[Move], sizes: Sequence[int]) -> int:
    """Bytes alive at the worst moment; the caller keeps the input."""
    alive, peak = sizes[0], 0
    for move in moves:
        alive += 0 if _in_place(graph, move) else sizes[move.index]
        # Convolutions work on a reordered copy of their weights.
        peak = max(peak, alive + parameters(graph, graph.nodes[move.index]))
        alive -= sum(sizes[i] for i in move.forget if i and not _in_place(graph, move))
    return FLOAT * peak


def _stem_peak(graph: Graph, spatial: Sequence[int], batch: int, values: int) -> int:
    """Bytes that the scale-space stem needs while it runs: its features twice, and the image with a wider border."""
    stem = graph.nodes[graph.entry]
    if stem.op != "scale_space":
        return 0
    image = batch * graph.nodes[0].channels * prod(n + 2 * p for n, p in zip(spatial, stem.pad, strict=True))
    return FLOAT * (2 * values + image)


def _in_place(graph: Graph, move: Move) -> bool:
    return graph.nodes[move.index].op == "relu" and move.alone


@dataclass(slots=True)
class _Tape:
    """Values that the backward pass will read, by the memory they lie in."""

    owner: dict[int, int] = field(default_factory=dict)
    readers: Counter[int] = field(default_factory=Counter)
    saved: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def record(self, graph: Graph, move: Move) -> None:
        node = graph.nodes[move.index]
        first = self.owner.get(node.inputs[0], node.inputs[0])
        shared = node.op == "crop" or _in_place(graph, move)
        self.owner[move.index] = first if shared else move.index
        kept: tuple[int, ...] = ()
        if node.op in ("conv", "transpose", "norm", "pool"):
            kept = (first,)
        elif node.op == "relu":
            kept = (self.owner[move.index],)
        self.saved[move.index] = kept
        self.readers.update(kept)


def _training_peak(graph: Graph, moves: Sequence[Move], sizes: Sequence[int]) -> int:
    """Bytes alive at the worst moment of the backward pass: saved values, gradients on their way, reordered weights."""
    tape = _Tape()
    for move in moves:
        tape.record(graph, move)
    alive = FLOAT * sum(sizes[i] for i in tape.readers | Counter({0: 1}))
    alive += sum(_extra(graph.nodes[move.index], sizes[move.index]) for move in moves)
    gradients = {i: sizes[i] for i in graph.outputs}
    peak = alive
    for move in reversed(moves):
        node = graph.nodes[move.index]
        if node.op in FIXED:
            continue
        sources = [i for i in node.inputs if graph.nodes[i].op not in FIXED]
        fresh = sum(sizes[i] for i in sources) + REORDERED[graph.ndim] * parameters(graph, node)
        peak = max(peak, alive + FLOAT * (sum(gradients.values()) + fresh))
        gradients.pop(move.index)
        gradients.update({i: sizes[i] for i in sources})
        alive -= _extra(node, sizes[move.index])
        for i in tape.saved[move.index]:
            tape.readers[i] -= 1
            alive -= FLOAT * sizes[i] * (tape.readers[i] == 0)
    return peak


def _extra(node: Node, values: int) -> int:
    """Bytes that a layer keeps for its backward pass besides its input or output."""
    return values * {"pool": INDEX, "dropout": FLOAT}.get(node.op, 0)
