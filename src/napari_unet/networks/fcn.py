"""Fully convolutional networks on VGG-16, the baseline that the U-Net replaced. No torch."""

from __future__ import annotations

from math import prod

from napari_unet.config import ModelConfig
from napari_unet.networks.blocks import Level, convolution, head, levels, start
from napari_unet.networks.graph import Axes, Graph

WIDTHS = (1, 2, 4, 8, 8, 64)
CONVOLUTIONS = (2, 2, 3, 3, 3)
SKIPS = {"fcn32s": (), "fcn16s": (4,), "fcn8s": (4, 3)}


def fcn(config: ModelConfig) -> Graph:
    """FCN-32s, -16s and -8s of Long, Shelhamer and Darrell 2015 (doi:10.1109/CVPR.2015.7298965).

    The image is always halved five times, whatever ``depth`` says, and brought back by transposed convolutions that
    start as bilinear interpolation; 16s and 8s add scores of the fourth, and of the third pooling. Width 64 and
    ``norm="none"`` are VGG-16 as published, 134 million parameters.
    """
    graph = start(config)
    pyramid = levels(config, WIDTHS)
    pooled = _vgg(graph, config, pyramid)
    x = head(graph, "head", _classifier(graph, config, pooled[5], pyramid[5]), config)
    done = 5
    for skip in SKIPS[config.architecture]:
        score = head(graph, f"score.{skip}", pooled[skip], config)
        x = _upscore(graph, f"up.{skip}", x, pyramid, skip, done)
        x = graph.add(f"sum.{skip}", (score, x))
        done = skip
    graph.outputs.append(_upscore(graph, "up.0", x, pyramid, 0, done))
    return graph


def _vgg(graph: Graph, config: ModelConfig, pyramid: tuple[Level, ...]) -> dict[int, int]:
    """Thirteen convolutions; features after each pooling."""
    x, pooled = graph.entry, {}
    for i, (level, count) in enumerate(zip(pyramid, CONVOLUTIONS, strict=False)):
        for k in range(count):
            x = convolution(graph, f"encoder.{i}", k, x, level.channels, level.kernel, config.block)
        x = pooled[i + 1] = graph.pool(f"encoder.{i}.pool", x, level.step)
    return pooled


def _classifier(graph: Graph, config: ModelConfig, x: int, level: Level) -> int:
    """The fully connected layers of VGG as convolutions of 7x7 and 1x1."""
    wide: Axes = tuple(7 if size > 1 else 1 for size in level.kernel)
    for k, kernel in enumerate((wide, (1,) * graph.ndim)):
        x = convolution(graph, "classifier", k, x, level.channels, kernel, config.block)
        x = graph.dropout(f"classifier.dropout{k}", x, config.dropout)
    return x


def _upscore(graph: Graph, name: str, x: int, pyramid: tuple[Level, ...], fine: int, coarse: int) -> int:
    """Bring scores from one grid to a finer one."""
    step = tuple(prod(steps) for steps in zip(*(level.step for level in pyramid[fine:coarse]), strict=True))
    return graph.transpose(name, x, graph.nodes[x].channels, step, wide=True, bias=False)
