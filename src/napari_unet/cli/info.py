"""``napari-unet info``: say what is in a model file, and what a network costs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from napari_unet.cli.options import add_config, read_model
from napari_unet.cli.terminal import say
from napari_unet.config import ModelConfig
from napari_unet.session.costs import Costs, costs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this command."""
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="Model file; without one, the network of the settings below.",
    )
    parser.add_argument("--json", action="store_true", help="Write the whole header and the costs as JSON.")
    add_config(parser, ModelConfig, skip=("colors",))


def run(options: argparse.Namespace) -> int:
    """Print the header of the file, if there is one, and the costs of the network, in words or as JSON."""
    from napari_unet.io.model_file import read_header

    header = read_header(options.model) if options.model else None
    model = read_model(options) if header is None else header.model
    if options.json:
        about = {"model": model.model_dump(mode="json")} if header is None else header.model_dump(mode="json")
        say(json.dumps({**about, "costs": asdict(costs(model))}, indent=2))
        return 0
    where, steps = (options.model, f", {header.step} steps") if header else ("settings", "")
    say(f"{where}: {model.architecture}, {model.ndim}D, {model.in_channels} channel(s){steps}")
    for value, (name, color) in enumerate(zip(model.classes, model.class_colors, strict=True), start=1):
        say(f"  {value} = {name} ({color})")
    if model.encoder:
        say(f"  encoder {model.encoder}, weights: {model.encoder_weights or 'none'}")
    else:
        stem = ", scale-space stem" if model.stem != "none" else ""
        say(f"  width {model.width}, depth {model.depth}, {model.padding} padding, {model.norm} normalisation{stem}")
    say(f"  intensities: percentiles {model.normalization.low:g} to {model.normalization.high:g} of the whole image")
    for line in _in_words(costs(model)):
        say(f"  {line}")
    for entry in header.history if header else ():
        say("  trained: " + ", ".join(f"{key} {value}" for key, value in entry.items()))
    if header:
        say("  made with " + ", ".join(f"{name} {version}" for name, version in header.versions.items()))
    return 0


def _in_words(found: Costs) -> list[str]:
    field = _times(found.receptive_field) + " pixels" if found.receptive_field else "the whole image"
    exact = "equal the whole" if found.exact_tiles else "differ a little from the whole"
    million, giga = found.parameters / 1e6, found.flops_per_megapixel / 1e9
    return [
        f"{million:.2f} million parameters, {giga:.0f} GFLOP per megapixel",
        f"receptive field {field}, stride {_times(found.stride)}; tiles {exact}",
        f"memory: {found.tile_bytes / 1e6:.0f} MB to predict a tile of {_times(found.tile)}, "
        f"{found.training_bytes / 1e6:.0f} MB to train on {found.patches} patch(es) of {_times(found.patch)}",
    ]


def _times(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
