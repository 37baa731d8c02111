"""``napari-unet evaluate``: score a segmentation against the truth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.cli.terminal import say
from napari_unet.errors import ImageError

TASKS = ("foreground", "semantic", "instances")
_VOID = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this command."""
    parser.add_argument("prediction", type=Path, metavar="PREDICTION", help="Label image, as 'predict' writes it.")
    parser.add_argument("truth", type=Path, metavar="TRUTH", help="Label image of the same shape.")
    parser.add_argument(
        "--task",
        choices=TASKS,
        default="foreground",
        help="What is compared: all that is not background, class by class, or object by object. [foreground]",
    )
    parser.add_argument(
        "--prediction-background",
        type=int,
        help="Value of background in PREDICTION. [1, as in labels; 0 for --task instances]",
    )
    parser.add_argument("--truth-background", type=int, default=0, help="Value of background in TRUTH. [0]")
    parser.add_argument("--void", type=int, help="Value of TRUTH whose pixels are ignored.")
    parser.add_argument("--json", action="store_true", help="Write JSON.")


def run(options: argparse.Namespace) -> int:
    """Print the scores."""
    from napari_unet.io.images import read_image
    from napari_unet.training.metrics import score

    prediction, truth = (np.asarray(read_image(path).array) for path in (options.prediction, options.truth))
    if prediction.shape != truth.shape:
        raise ImageError(f"compare images of one shape: the prediction has {prediction.shape}, the truth {truth.shape}")
    background = options.prediction_background
    if background is None:
        background = 0 if options.task == "instances" else 1
    if options.task == "foreground":
        truth = _binary(truth, options.truth_background, options.void)
        scores = score(prediction > background, truth, void=_VOID)
    else:
        scores = score(
            prediction,
            truth,
            task=options.task,
            prediction_background=background,
            truth_background=options.truth_background,
            void=options.void,
        )
    _print(scores, as_json=options.json)
    return 0


def _binary(truth: Any, background: int, void: int | None) -> Any:
    """0 for background, 1 for all above it, 2 for what is ignored."""
    binary = (truth > background).astype(np.uint8)
    binary[(truth < background) | (truth == void)] = _VOID
    return binary


def _print(scores: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say(json.dumps(scores, indent=2))
        return
    for name, value in scores.items():
        if not isinstance(value, dict):
            say(f"{name:20s} {value:.4f}" if isinstance(value, float) else f"{name:20s} {value}")
    for name, values in scores.get("per_class", {}).items():
        say(f"class {name}: " + ", ".join(f"{key} {value:.4f}" for key, value in values.items()))
