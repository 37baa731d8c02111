"""A network as boxes and arrows, to be drawn: in the docs and in the dock. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from napari_unet.config import ModelConfig
from napari_unet.networks.graph import Graph, Node
from napari_unet.networks.outlines import OUTLINES
from napari_unet.networks.plan import check, plan


@dataclass(frozen=True, slots=True)
class Box:
    """Layers that are drawn as one.

    Attributes
    ----------
    name : str
        Place in the network, for example ``"encoder.1"``; its first part is the kind of the box.
    channels : int
        Features that it gives.
    level : int
        How often the image was halved there.
    column : int
        When it is run: after all boxes that it reads.
    sources : tuple of int
        Positions of the boxes that it reads.
    """

    name: str
    channels: int
    level: int
    column: int
    sources: tuple[int, ...]

    @property
    def kind(self) -> str:
        """``"input"``, ``"encoder"``, ``"decoder"``, ``"head"`` and others."""
        return self.name.split(".")[0]


@dataclass(slots=True)
class _Growing:
    """A box of which not all layers were seen yet."""

    channels: int = 0
    level: int = 0
    sources: dict[str, None] = field(default_factory=dict)


def picture(config: ModelConfig) -> tuple[Box, ...]:
    """What to draw for a network; with an encoder only what is joined with what, as on ResNet-18.

    Raises
    ------
    ConfigError
        When no network can be built from this config.

    Examples
    --------
    >>> boxes = picture(ModelConfig(depth=2))
    >>> max(box.level for box in boxes), boxes[0].kind
    (2, 'input')
    """
    if not config.encoder:
        return sketch(plan(config))
    check(config)
    return sketch(OUTLINES[config.architecture]())


def sketch(graph: Graph) -> tuple[Box, ...]:
    """Boxes of a graph in the order they are run, no two at the same place."""
    found = _collect(graph.nodes)
    places: dict[str, int] = {}
    taken: set[tuple[int, int]] = set()
    boxes: list[Box] = []
    for name, box in found.items():
        sources = tuple(places[source] for source in box.sources)
        column = max((boxes[source].column for source in sources), default=-1) + 1
        while (box.level, column) in taken:
            column += 1
        taken.add((box.level, column))
        places[name] = len(boxes)
        boxes.append(Box(name, box.channels, box.level, column, sources))
    return tuple(boxes)


def _collect(nodes: Iterable[Node]) -> dict[str, _Growing]:
    nodes = list(nodes)
    found: dict[str, _Growing] = {}
    for node in nodes:
        name = _box_name(node.name)
        box = found.setdefault(name, _Growing())
        box.channels, box.level = node.channels, max(node.scale).bit_length() - 1
        others = (_box_name(nodes[source].name) for source in node.inputs)
        box.sources.update(dict.fromkeys(other for other in others if other != name))
    return found


def _box_name(name: str) -> str:
    """Box of a layer: its place in the network without the layer's own name."""
    parts = name.split(".")
    return ".".join([parts[0], *(part for part in parts[1:] if part.isdigit())])
