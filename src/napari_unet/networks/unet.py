"""The U-Net: contracting path, expanding path, and a skip at each level. No torch."""

from __future__ import annotations

from napari_unet.config import ModelConfig
from napari_unet.networks.blocks import double, encoder, head, levels, local_head, start, upsample
from napari_unet.networks.graph import Graph


def unet(config: ModelConfig) -> Graph:
    """U-Net of Ronneberger et al. 2015 (doi:10.1007/978-3-319-24574-4_28).

    Width 64, depth 4, ``padding="valid"`` and ``norm="none"`` are the published network: 572² in, 388² out.

    Examples
    --------
    >>> graph = unet(ModelConfig(width=64, depth=4, padding="valid", norm="none"))
    >>> graph.nodes[graph.outputs[0]].lost
    (184, 184)
    """
    graph = start(config)
    pyramid = levels(config)
    skips = encoder(graph, config, pyramid)
    x = skips[-1]
    for i in reversed(range(config.depth)):
        name, level = f"decoder.{i}", pyramid[i]
        x = upsample(graph, name, x, level, config.upsampling)
        x = graph.concat(f"{name}.join", (graph.crop_to(f"{name}.crop", skips[i], x), x))
        x = double(graph, name, x, level.channels, level.kernel, config.block)
    graph.outputs.append(local_head(graph, head(graph, "head", x, config)))
    return graph
