"""Draw every member of the family from its graph, and write the table of costs into networks.md.

Run ``python docs/draw_networks.py`` after a change of the networks; the tests compare. The costs of members with an
encoder need the extra ``encoders``.
"""

from __future__ import annotations

import re
from pathlib import Path

from napari_unet.config import ModelConfig
from napari_unet.networks import estimate, geometry
from napari_unet.networks.graph import Graph
from napari_unet.networks.outlines import OUTLINES
from napari_unet.networks.plan import plan
from napari_unet.networks.sketch import Box, sketch

DOCS = Path(__file__).parent
PAGE = DOCS / "networks.md"
MEMBERS = {
    "unet": ModelConfig(),
    "unet-2015": ModelConfig(width=64, padding="valid", norm="none"),
    "unetpp": ModelConfig(architecture="unetpp"),
    "unet3plus": ModelConfig(architecture="unet3plus"),
    "fcn8s": ModelConfig(architecture="fcn8s"),
    "fcn16s": ModelConfig(architecture="fcn16s"),
    "fcn32s": ModelConfig(architecture="fcn32s"),
}
ENCODED = {
    f"{name} on {encoder}": ModelConfig(architecture=name, encoder=encoder, in_channels=3)
    for name, encoder in (
        ("unet", "resnet18"),
        ("unet", "resnet50"),
        ("unetpp", "resnet18"),
        ("fpn", "resnet18"),
        ("linknet", "resnet18"),
        ("pspnet", "resnet18"),
    )
}
COLORS = {"skip": "#999999", "pool": "#D55E00", "up": "#0072B2"}
WORDS = {"skip": "same size", "pool": "max-pool", "up": "up-sample"}
FILLS = {"encoder": "#FBE6D4", "classifier": "#FBE6D4", "decoder": "#DCEBF6", "input": "#EEEEEE"}
STEP_X, STEP_Y, HIGH = 104, 74, 40


def place(box: Box) -> tuple[int, int]:
    """Left upper corner."""
    return 20 + STEP_X * box.column, 34 + STEP_Y * box.level


def kind(start: Box, end: Box) -> str:
    """What an arrow between boxes does."""
    if start.level == end.level:
        return "skip"
    return "pool" if start.level < end.level else "up"


def arrow(start: Box, end: Box) -> str:
    """One arrow, bent where a straight one would run through the boxes between."""
    how = kind(start, end)
    (x0, y0), (x1, y1) = place(start), place(end)
    wide = STEP_X - 30
    if start.level != end.level:
        bend = 22 * (start.level - end.level - 1) if how == "up" else 0
        begin, end_y = y0 + (HIGH if how == "pool" else 0), y1 + HIGH / 2 + bend / 5
        line = f"M{x0 + wide / 2} {begin} Q{(x0 + x1 + wide) / 2 + bend} {(begin + end_y) / 2 + bend} {x1} {end_y}"
    elif end.column - start.column == 1:
        line = f"M{x0 + wide} {y0 + HIGH / 2} L{x1} {y1 + HIGH / 2}"
    else:
        bend = 14 + 2 * (end.column - start.column)
        line = f"M{x0 + wide / 2} {y0} C{x0 + wide} {y0 - bend} {x1 - 10} {y1 - bend} {x1 + 12} {y1}"
    color = COLORS[how]
    return f'<path d="{line}" fill="none" stroke="{color}" stroke-width="1.6" marker-end="url(#{how})"/>'


def draw(graph: Graph, title: str) -> str:
    """Picture of a graph as SVG: levels from fine to coarse downwards, the order of work to the right."""
    drawn = sketch(graph)
    width = 20 + STEP_X * (1 + max(box.column for box in drawn))
    high = 60 + STEP_Y * (1 + max(box.level for box in drawn))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {high}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f'<title>{title}</title><rect width="{width}" height="{high}" fill="#ffffff"/><defs>',
    ]
    parts += [
        f'<marker id="{how}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" markerHeight="6" orient="auto">'
        f'<path d="M0 0 L10 5 L0 10 z" fill="{color}"/></marker>'
        for how, color in COLORS.items()
    ]
    parts.append("</defs>")
    parts += [arrow(source, box) for box in drawn for source in _sources(box, drawn)]
    parts += [rectangle(box) for box in drawn]
    parts += [
        f'<text x="{20 + 110 * i}" y="{high - 12}" fill="{COLORS[how]}">→ {word}</text>'
        for i, (how, word) in enumerate(WORDS.items())
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _sources(box: Box, drawn: tuple[Box, ...]) -> list[Box]:
    return sorted((drawn[source] for source in box.sources), key=lambda source: source.name)


def rectangle(box: Box) -> str:
    """One box with its name and channels."""
    x, y = place(box)
    fill = FILLS.get(box.kind, "#E3F3EC")
    return (
        f'<rect x="{x}" y="{y}" width="{STEP_X - 30}" height="{HIGH}" rx="5" fill="{fill}" stroke="#666"/>'
        f'<text x="{x + 6}" y="{y + 16}">{box.name}</text>'
        f'<text x="{x + 6}" y="{y + 32}" fill="#555">{box.channels} ch</text>'
    )


def row(name: str, config: ModelConfig) -> str:
    """One line of a table."""
    edge = 1024 if config.padding == "same" else 1004
    cost, shape = estimate(config, (edge, edge)), geometry(config)
    mega = edge * edge / 1e6
    seen = f"{shape.field[0]} px" if shape.field else "the image"
    memory = (cost.bytes - 4 * cost.parameters) / mega / 1e6
    million, giga = cost.parameters / 1e6, cost.flops / mega / 1e9
    return (
        f"| `{name}` | {config.encoder or config.width} | {million:.2f} M | {giga:.0f} "
        f"| {memory:.0f} MB | {seen} | {shape.stride[0]} |"
    )


def table(members: dict[str, ModelConfig]) -> str:
    """Costs of several members."""
    first = "encoder" if any(config.encoder for config in members.values()) else "width"
    head = f"| name | {first} | parameters | GFLOP per megapixel | memory per megapixel | receptive field | stride |"
    return "\n".join([head, "|---" * 7 + "|", *(row(name, config) for name, config in members.items())])


def pictures() -> dict[str, str]:
    """Pictures of all members; the published U-Net looks like the common one."""
    own = {name: plan(config) for name, config in MEMBERS.items() if config.padding == "same"}
    graphs = own | {f"encoder-{name}": make() for name, make in OUTLINES.items()}
    return {name: draw(graph, name) for name, graph in graphs.items()}


def page_with_table(text: str, mark: str = "table", members: dict[str, ModelConfig] = MEMBERS) -> str:
    """Put a table between its marks."""
    found = table(members)
    return re.sub(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", lambda m: m[1] + found + "\n" + m[2], text, flags=re.DOTALL)


def main() -> None:
    """Write pictures and table."""
    for name, text in pictures().items():
        (DOCS / "images" / f"{name}.svg").write_text(text, encoding="utf-8")
    page = page_with_table(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(page_with_table(page, "encoders", ENCODED), encoding="utf-8")


if __name__ == "__main__":
    main()
