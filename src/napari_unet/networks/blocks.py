"""What the members of the family are built from: levels, double convolutions, up-sampling. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from napari_unet.config import ModelConfig
from napari_unet.networks.graph import Axes, Graph

#: Name of the layer that reads the scale-space stem on its own.
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the pyramid.

    Attributes
    ----------
    channels : int
        Feature channels.
    kernel : tuple of int
        Kernel of its convolutions.
    step : tuple of int
        How it is pooled on the way to the next level.
    """

    channels: int
    kernel: Axes
    step: Axes


def levels(config: ModelConfig, factors: tuple[int, ...] | None = None) -> tuple[Level, ...]:
    """Levels from the finest to the coarsest, ``depth + 1`` of them.

    An axis whose pixels are twice as large as the smallest or more is neither pooled nor convolved along until the
    other axes have caught up, as in nnU-Net (Isensee et al. 2021).

    Parameters
    ----------
    config : ModelConfig
        Gives depth, width and spacing.
    factors : tuple of int, optional
        Channels of each level in widths; by default 1, 2, 4, ...

    Examples
    --------
    >>> [level.step for level in levels(ModelConfig(ndim=3, depth=3, spacing=(4, 1, 1)))]
    [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]
    """
    factors = factors or tuple(2**i for i in range(config.depth + 1))
    spacing = config.spacing or (1.0,) * config.ndim
    found = []
    for factor in factors:
        fine = [size < 2 * min(spacing) for size in spacing]
        kernel, step = tuple(3 if f else 1 for f in fine), tuple(2 if f else 1 for f in fine)
        found.append(Level(config.width * factor, kernel, step))
        spacing = tuple(size * s for size, s in zip(spacing, step, strict=True))
    return tuple(found)


def start(config: ModelConfig) -> Graph:
    """Begin the graph of this config."""
    graph = Graph(config.in_channels, config.ndim, valid=config.padding == "valid", norm=config.norm)
    if config.stem == "scale_space":
        spacing = config.spacing or (1.0,) * config.ndim
        graph.scale_space("stem", 0, [size / min(spacing) for size in spacing])
    return graph


def convolution(graph: Graph, name: str, index: int, x: int, channels: int, kernel: Axes, order: str) -> int:
    """Convolution, normalisation and ReLU in the `order` of the config."""
    norm_last = order == "conv_relu_norm"
    x = graph.conv(f"{name}.conv{index}", x, channels, kernel, bias=norm_last or graph.norm_kind == "none")
    if norm_last:
        return graph.norm(f"{name}.norm{index}", graph.relu(f"{name}.relu{index}", x))
    return graph.relu(f"{name}.relu{index}", graph.norm(f"{name}.norm{index}", x))


def double(graph: Graph, name: str, x: int, channels: int, kernel: Axes, order: str) -> int:
    """Two convolutions, as in Ronneberger et al. 2015; ``residual`` adds the input before the last ReLU."""
    if order == "residual":
        return _residual(graph, name, x, channels, kernel)
    for index in range(2):
        x = convolution(graph, name, index, x, channels, kernel, order)
    return x


def _residual(graph: Graph, name: str, x: int, channels: int, kernel: Axes) -> int:
    """He et al. 2016, with a 1x1 projection where the number of channels changes."""
    bias = graph.norm_kind == "none"
    y = convolution(graph, name, 0, x, channels, kernel, "conv_norm_relu")
    y = graph.norm(f"{name}.norm1", graph.conv(f"{name}.conv1", y, channels, kernel, bias=bias))
    if graph.nodes[x].channels != channels:
        x = graph.conv(f"{name}.project", x, channels, (1,) * graph.ndim, bias=bias)
    return graph.relu(f"{name}.relu1", graph.add(f"{name}.add", (y, graph.crop_to(f"{name}.crop", x, y))))


def upsample(graph: Graph, name: str, x: int, level: Level, kind: str) -> int:
    """Up to `level`: an up-convolution, or ``nearest`` or ``linear`` up-sampling and a convolution."""
    if kind == "transpose":
        return graph.transpose(f"{name}.up", x, level.channels, level.step)
    x = graph.interpolate(f"{name}.resize", x, level.step, "nearest" if kind == "nearest" else "linear")
    return graph.conv(f"{name}.up", x, level.channels, level.kernel)


def encoder(graph: Graph, config: ModelConfig, pyramid: tuple[Level, ...]) -> list[int]:
    """Add the contracting path, with dropout on the two coarsest levels; return the last features of each level."""
    features: list[int] = []
    x = graph.entry
    for i, level in enumerate(pyramid):
        if i:
            x = graph.pool(f"encoder.{i}.pool", x, pyramid[i - 1].step)
        x = double(graph, f"encoder.{i}", x, level.channels, level.kernel, config.block)
        if i >= max(1, len(pyramid) - 2):
            x = graph.dropout(f"encoder.{i}.dropout", x, config.dropout)
        features.append(x)
    return features


def head(graph: Graph, name: str, x: int, config: ModelConfig) -> int:
    """1x1 convolution to one logit per class."""
    return graph.conv(name, x, len(config.outputs), (1,) * config.ndim)


def local_head(graph: Graph, logits: int) -> int:
    """Add what a 1x1 convolution of the scale-space stem says, where there is one: as a pixel classifier would."""
    stem = graph.entry
    if graph.nodes[stem].op != "scale_space":
        return logits
    node = graph.nodes[logits]
    seen = graph.crop_to(f"{LOCAL}.crop", stem, logits)
    return graph.add("logits", (logits, graph.conv(LOCAL, seen, node.channels, (1,) * graph.ndim, bias=False)))
