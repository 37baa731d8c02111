"""U-Net++: a U-Net of every depth in one, its nodes joined by dense skips. No torch."""

from __future__ import annotations

from napari_unet.config import ModelConfig
from napari_unet.networks.blocks import double, encoder, head, levels, start, upsample
from napari_unet.networks.graph import Graph


def unetpp(config: ModelConfig) -> Graph:
    """U-Net++ of Zhou et al. 2018 (doi:10.1007/978-3-030-00889-5_1).

    Node ``i.j`` reads all earlier nodes of its level and the up-sampled node ``i+1.j-1``. With ``deep_supervision``
    each node of the finest level has an output; any of them is a network of its own (see `prune`). Width 32, depth 4
    and ``norm="none"`` are the published network of 9.04 million parameters (github.com/MrGiovanni/UNetPlusPlus).
    """
    graph = start(config)
    pyramid = levels(config)
    nodes = [[x] for x in encoder(graph, config, pyramid)]
    for j in range(1, config.depth + 1):
        for i in range(config.depth + 1 - j):
            name, level = f"decoder.{i}.{j}", pyramid[i]
            x = upsample(graph, name, nodes[i + 1][j - 1], level, config.upsampling)
            x = graph.concat(f"{name}.join", (*nodes[i], x))
            nodes[i].append(double(graph, name, x, level.channels, level.kernel, config.block))
    graph.outputs.append(head(graph, "head", nodes[0][-1], config))
    if config.deep_supervision:
        graph.outputs += [head(graph, f"deep.{j}", nodes[0][j], config) for j in range(config.depth - 1, 0, -1)]
    return graph
