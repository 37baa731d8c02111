"""U-Net 3+: each decoder level reads all scales. No torch."""

from __future__ import annotations

from math import prod

from napari_unet.config import ModelConfig
from napari_unet.networks.blocks import Level, convolution, encoder, levels, start
from napari_unet.networks.graph import Axes, Graph


def unet3plus(config: ModelConfig) -> Graph:
    """U-Net 3+ of Huang et al. 2020 (doi:10.1109/ICASSP40776.2020.9053405).

    A decoder level joins max-pooled finer encoder levels, its own, and linearly up-sampled coarser decoder levels, each
    as ``width`` channels, and fuses them: 5 x 64 = 320 at width 64, depth 4. Up-sampling is always linear, as
    published (github.com/ZJUGiveLab/UNet-Version). With ``deep_supervision`` each decoder level has an output.

    With ``guided``, the coarsest features also say which classes are in the image at all (the classification-guided
    module). As published the answer is a switch, 0 or 1, learnt from image labels; here it is a probability, learnt
    together with the segmentation: its logarithm, at the place of the strongest evidence, is added to the logits.
    """
    graph = start(config)
    pyramid = levels(config)
    order = "conv_norm_relu" if config.block == "residual" else config.block
    encoded = encoder(graph, config, pyramid)
    decoded = {config.depth: encoded[-1]}
    for i in reversed(range(config.depth)):
        kernel = pyramid[i].kernel
        joined = []
        for k in range(config.depth + 1):
            name = f"decoder.{i}.from{k}"
            x = _rescaled(graph, name, decoded[k] if k > i else encoded[k], pyramid, k, i)
            joined.append(convolution(graph, name, 0, x, config.width, kernel, order))
        x = graph.concat(f"decoder.{i}.join", joined)
        decoded[i] = convolution(graph, f"decoder.{i}.fuse", 0, x, graph.nodes[x].channels, kernel, order)
    kernel, classes = pyramid[0].kernel, len(config.outputs)
    graph.outputs.append(graph.conv("head", decoded[0], classes, kernel))
    if config.deep_supervision:
        graph.outputs += [_deep(graph, decoded[i], pyramid, i, classes) for i in range(1, config.depth + 1)]
    if config.guided:
        evidence = graph.conv("guide", encoded[-1], max(classes - 1, 1), (1,) * config.ndim)
        graph.outputs = [graph.gate(f"gate{k}", x, evidence) for k, x in enumerate(graph.outputs)]
    return graph


def _deep(graph: Graph, x: int, pyramid: tuple[Level, ...], i: int, classes: int) -> int:
    """Full-size output of decoder level `i`."""
    x = graph.conv(f"deep.{i}", x, classes, pyramid[i].kernel)
    return graph.interpolate(f"deep.{i}.resize", x, _between(pyramid, 0, i), "linear")


def _rescaled(graph: Graph, name: str, x: int, pyramid: tuple[Level, ...], source: int, target: int) -> int:
    """Bring the features of level `source` to the grid of level `target`."""
    if source == target:
        return x
    step = _between(pyramid, min(source, target), max(source, target))
    if source < target:
        return graph.pool(f"{name}.pool", x, step)
    return graph.interpolate(f"{name}.resize", x, step, "linear")


def _between(pyramid: tuple[Level, ...], fine: int, coarse: int) -> Axes:
    return tuple(prod(steps) for steps in zip(*(level.step for level in pyramid[fine:coarse]), strict=True))
