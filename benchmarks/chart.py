"""Curves as a small SVG file, without a plotting package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
WIDTH, HEIGHT, LEFT, TOP = 300, 200, 40, 30

Curve = Sequence[tuple[float, float]]


def write_panels(path: str, panels: Mapping[str, Mapping[str, Curve]]) -> None:
    """Draw one panel per entry, two in a row; each holds named curves of (x, y), y between 0 and 1."""
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    rows = -(-len(panels) // 2)
    width, height = 2 * (WIDTH + LEFT + 15), rows * (HEIGHT + TOP + 30) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        'font-size="11"><rect width="100%" height="100%" fill="white"/>'
    ]
    for place, (title, curves) in enumerate(panels.items()):
        shift = place % 2 * (WIDTH + LEFT + 15) + LEFT
        down = place // 2 * (HEIGHT + TOP + 30) + TOP
        parts.append(f'<g transform="translate({shift},{down})">{_panel(title, curves, names)}</g>')
    for place, name in enumerate(names):
        parts.append(f'<text x="{LEFT + 150 * place}" y="{height - 6}" fill="{COLORS[place % 4]}">{name}</text>')
    Path(path).write_text("\n".join([*parts, "</svg>"]) + "\n")


def _panel(title: str, curves: Mapping[str, Curve], names: Sequence[str]) -> str:
    last = max((x for curve in curves.values() for x, _ in curve), default=1.0) or 1.0
    found = [f'<text x="0" y="-10" font-weight="bold">{title}</text>']
    for tick in range(6):
        y = HEIGHT * (1 - tick / 5)
        found.append(f'<path d="M0 {y}H{WIDTH}" stroke="#ddd"/><text x="-26" y="{y + 4}">{tick / 5:.1f}</text>')
        found.append(f'<text x="{WIDTH * tick / 5 - 8}" y="{HEIGHT + 16}">{last * tick / 5:.3g}</text>')
    for name, curve in curves.items():
        points = " ".join(f"{WIDTH * x / last:.1f},{HEIGHT * (1 - y):.1f}" for x, y in curve)
        color = COLORS[names.index(name) % 4]
        found.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
    return "".join(found)
