"""Members on an encoder of another package as graphs, to be drawn: only what is joined with what, not every layer."""

from __future__ import annotations

from collections.abc import Callable

from napari_unet.networks.graph import Graph

#: Channels that ResNet-18 gives after each halving.
RESNET18 = (64, 64, 128, 256, 512)
#: Channels of the decoders of segmentation-models-pytorch, from the coarsest level.
DECODER = (256, 128, 64, 32, 16)
HALF, POINT, SQUARE = (2, 2), (1, 1), (3, 3)


def encoder(graph: Graph, depth: int = 5) -> list[int]:
    """The input and the features after each halving."""
    found = [0]
    for level, channels in enumerate(RESNET18[:depth], start=1):
        x = graph.pool(f"encoder.{level}.pool", found[-1], HALF)
        found.append(graph.conv(f"encoder.{level}.stage", x, channels, SQUARE))
    return found


def up(graph: Graph, name: str, x: int, factor: int = 2) -> int:
    """Up-sampling."""
    return graph.interpolate(f"{name}.up", x, (factor, factor), "nearest")


def unet() -> Graph:
    """U-Net: each level joins what is up-sampled with the encoder's."""
    graph = Graph(3, 2)
    features = encoder(graph)
    x = features[5]
    for level, channels in zip((4, 3, 2, 1, 0), DECODER, strict=True):
        name = f"decoder.{level}"
        x = up(graph, name, x)
        x = graph.concat(f"{name}.join", (features[level], x)) if level else x
        x = graph.conv(f"{name}.conv", x, channels, SQUARE)
    graph.conv("head", x, 2, SQUARE)
    return graph


def linknet() -> Graph:
    """LinkNet: the encoder's features are added, not joined."""
    graph = Graph(3, 2)
    features = encoder(graph)
    x = features[5]
    for level in (4, 3, 2, 1, 0):
        name = f"decoder.{level}"
        channels = RESNET18[level - 1] if level else 32
        x = graph.conv(f"{name}.conv", up(graph, name, x), channels, SQUARE)
        x = graph.add(f"{name}.add", (features[level], x)) if level else x
    graph.conv("head", x, 2, POINT)
    return graph


def unetpp() -> Graph:
    """U-Net++: the nodes between encoder and decoder join all earlier ones of their level."""
    graph = Graph(3, 2)
    nodes = [[x] for x in encoder(graph)]
    for column in range(1, 5):
        for level in range(1, 6 - column):
            name = f"decoder.{level}.{column}"
            x = up(graph, name, nodes[level + 1][column - 1])
            x = graph.concat(f"{name}.join", (*nodes[level], x))
            nodes[level].append(graph.conv(f"{name}.conv", x, DECODER[4 - level], SQUARE))
    x = graph.conv("decoder.0.conv", up(graph, "decoder.0", nodes[1][4]), 16, SQUARE)
    graph.conv("head", x, 2, SQUARE)
    return graph


def fpn() -> Graph:
    """Feature pyramid: all levels brought to a quarter of the size, and added."""
    graph = Graph(3, 2)
    features = encoder(graph)
    pyramid = {5: graph.conv("pyramid.5.side", features[5], 256, POINT)}
    for level in (4, 3, 2):
        name = f"pyramid.{level}"
        side = graph.conv(f"{name}.side", features[level], 256, POINT)
        pyramid[level] = graph.add(f"{name}.add", (side, up(graph, name, pyramid[level + 1])))
    parts = []
    for level, x in pyramid.items():
        x = graph.conv(f"segment.{level}.conv", x, 128, SQUARE)
        parts.append(up(graph, f"segment.{level}", x, 2 ** (level - 2)) if level > 2 else x)
    x = graph.add("sum", parts)
    graph.conv("head", up(graph, "head", x, 4), 2, POINT)
    return graph


def pspnet() -> Graph:
    """Pyramid pooling: averages of 1, 4, 9 and 36 cells of the image beside the features at an eighth of the size."""
    graph = Graph(3, 2)
    x = encoder(graph, depth=3)[3]
    cells = [graph.conv(f"cells.{count}.project", x, 32, POINT) for count in (1, 2, 3, 6)]
    x = graph.conv("decoder.conv", graph.concat("decoder.join", (x, *cells)), 512, POINT)
    graph.conv("head", up(graph, "head", x, 8), 2, SQUARE)
    return graph


#: How the members are joined with an encoder.
OUTLINES: dict[str, Callable[[], Graph]] = {
    "unet": unet,
    "unetpp": unetpp,
    "fpn": fpn,
    "linknet": linknet,
    "pspnet": pspnet,
}
