"""``napari-unet info``: say what is in a model file."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_unet.cli.terminal import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this command."""
    parser.add_argument("model", type=Path, metavar="FILE", help="Model file.")
    parser.add_argument("--json", action="store_true", help="Write the whole header as JSON.")


def run(options: argparse.Namespace) -> int:
    """Print the header of the file, in words or as JSON."""
    from napari_unet.io.model_file import read_header

    header = read_header(options.model)
    if options.json:
        say(header.model_dump_json(indent=2))
        return 0
    model = header.model
    say(f"{options.model}: {model.architecture}, {model.ndim}D, {model.in_channels} channel(s), {header.step} steps")
    for value, (name, color) in enumerate(zip(model.classes, model.class_colors, strict=True), start=1):
        say(f"  {value} = {name} ({color})")
    say(f"  width {model.width}, depth {model.depth}, {model.padding} padding, {model.norm} normalisation")
    say(f"  intensities: percentiles {model.normalization.low:g} to {model.normalization.high:g} of the whole image")
    for entry in header.history:
        say("  trained: " + ", ".join(f"{key} {value}" for key, value in entry.items()))
    say("  made with " + ", ".join(f"{name} {version}" for name, version in header.versions.items()))
    return 0
