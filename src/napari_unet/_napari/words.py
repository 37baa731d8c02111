"""Settings in plain words; the name that papers, scripts and the command line use stands in the tooltip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from napari_unet.config import Config


class Words(NamedTuple):
    """What stands in front of an input, and what its choices are called."""

    label: str
    choices: Mapping[Any, str] = {}


_NUMBERS = {"auto": "automatic", "off": "32 bits", "bf16": "16 bits (bf16)", "fp16": "16 bits (fp16)"}

_WORDS: Mapping[str, Mapping[str, Words]] = {
    "ModelConfig": {
        "architecture": Words(
            "Network",
            {
                "unet": "U-Net",
                "unetpp": "U-Net++",
                "unet3plus": "U-Net 3+",
                "fcn8s": "FCN-8s",
                "fcn16s": "FCN-16s",
                "fcn32s": "FCN-32s",
                "fpn": "FPN",
                "linknet": "LinkNet",
                "pspnet": "PSPNet",
            },
        ),
        "ndim": Words("Looks at", {2: "slices (2D)", 3: "volumes (3D)"}),
        "in_channels": Words("Image channels"),
        "task": Words("Strokes are", {"semantic": "classes", "instances": "single objects"}),
        "instance_target": Words("Touching objects", {"foreground": "have a gap", "boundary": "have a border"}),
        "ignore_value": Words("Value to ignore"),
        "width": Words("Features"),
        "depth": Words("Levels"),
        "padding": Words("Image border", {"same": "filled up", "valid": "cut off (2015)"}),
        "norm": Words(
            "Normalise",
            {"batch": "over patches", "group": "in groups", "instance": "each patch alone", "none": "not at all"},
        ),
        "dropout": Words("Features left out"),
        "stem": Words("Ready-made features", {"none": "none", "scale_space": "blurs and edges"}),
        "weights": Words("Begins from", {"base": "what comes along", "random": "nothing"}),
        "block": Words(
            "Building block",
            {"conv_norm_relu": "normalise first", "conv_relu_norm": "activate first", "residual": "residual"},
        ),
        "upsampling": Words("Enlarging", {"transpose": "learnt", "nearest": "nearest pixel", "linear": "smooth"}),
        "deep_supervision": Words("Learn at each level"),
        "guided": Words("Rule out classes"),
        "encoder": Words("Ready-made encoder"),
        "encoder_weights": Words("Encoder begins from"),
        "normalization": Words("Brightness of the image"),
    },
    "NormalizationConfig": {
        "low": Words("Dark end (%)"),
        "high": Words("Bright end (%)"),
        "max_samples": Words("Pixels looked at"),
    },
    "TrainConfig": {
        "seconds": Words("Time (s)"),
        "steps": Words("Stop after (steps)"),
        "patch_size": Words("Patch size (pixels)"),
        "batch_size": Words("Patches per step"),
        "optimizer": Words("Optimiser", {"adamw": "AdamW", "sgd": "SGD"}),
        "learning_rate": Words("Learning rate"),
        "weight_decay": Words("Weight decay"),
        "momentum": Words("Momentum"),
        "schedule": Words(
            "Rate over time", {"cosine": "falls to the end", "plateau": "falls when stuck", "constant": "stays"}
        ),
        "warmup": Words("Slow start (steps)"),
        "clip": Words("Largest gradient"),
        "accumulate": Words("Batches per step"),
        "precision": Words("Numbers", _NUMBERS),
        "learns": Words("What learns", {"all": "everything", "decoder": "all but the encoder", "head": "last layers"}),
        "base_rate": Words("Rate of known"),
        "encoder_rate": Words("Rate of the encoder"),
        "holdout": Words("Held out to check"),
        "holdout_from": Words("Hold out from"),
        "patience": Words("Stop if stuck"),
        "ema": Words("Average weights"),
        "base_ema": Words("Average of known"),
        "seed": Words("Random seed"),
        "device": Words("Compute on"),
        "threads": Words("Threads"),
        "augment": Words("Random changes of patches"),
        "loss": Words("What counts as wrong"),
        "sampling": Words("Which strokes, how often"),
        "pseudo": Words("Learn from own guesses"),
    },
    "AugmentConfig": {
        "enabled": Words("Change patches"),
        "flip": Words("Mirror"),
        "rotation": Words("Turn up to (°)"),
        "scale": Words("Zoom up to"),
        "shear": Words("Shear up to (°)"),
        "elastic": Words("Bend (pixels)"),
        "elastic_grid": Words("Bending points"),
        "brightness": Words("Brightness"),
        "contrast": Words("Contrast"),
        "gamma": Words("Gamma"),
        "noise": Words("Noise"),
        "blur": Words("Blur (pixels)"),
        "channel_drop": Words("Leave out a channel"),
    },
    "LossConfig": {
        "cross_entropy": Words("Wrong pixels"),
        "dice": Words("Poor overlap (Dice)"),
        "focal": Words("Hard pixels (focal)"),
        "focal_gamma": Words("Easy pixels less"),
        "tversky": Words("Missed and false"),
        "tversky_alpha": Words("Price of false"),
        "tversky_beta": Words("Price of missed"),
        "tversky_gamma": Words("Hard classes more"),
        "weighted_overlap": Words("Weigh overlap too"),
        "deep_decay": Words("Other levels"),
        "boundary": Words("Gaps between objects"),
    },
    "BoundaryConfig": {
        "method": Words("Weights", {"ronneberger": "as in 2015", "falk": "as in 2019"}),
        "w0": Words("Weight of a gap"),
        "sigma": Words("Width of a gap"),
        "class_balance": Words("Rare classes alike"),
        "far_weight": Words("Weight far away"),
        "fade": Words("Fades over (pixels)"),
    },
    "SamplingConfig": {
        "turns": Words("Draw", {"classes": "each class in turn", "pixels": "any painted pixel"}),
        "background": Words("Share of background"),
        "recent": Words("New strokes more"),
        "recent_steps": Words("New for (steps)"),
        "hard": Words("Hard strokes more"),
    },
    "PseudoConfig": {
        "weight": Words("Weight"),
        "threshold": Words("From probability"),
        "warmup": Words("Slow start (steps)"),
    },
    "PredictConfig": {
        "output": Words("Result"),
        "tile": Words("Tile size (pixels)"),
        "device": Words("Compute on"),
        "half": Words("In 16 bits"),
        "background_zero": Words("Background as 0"),
        "rescale": Words("Match pixel size"),
        "precision": Words("Numbers", _NUMBERS),
        "depth": Words("Smaller U-Net++"),
        "memory": Words("Memory (GB)"),
        "augmented": Words(
            "Quality",
            {"none": "Fast", "flips": "Better (mirrored copies)", "rotations": "Best (mirrored and turned copies)"},
        ),
        "uncertainty": Words("Unsure where", {"entropy": "classes are alike", "disagreement": "copies disagree"}),
        "instances": Words("Objects"),
    },
    "InstanceConfig": {
        "min_size": Words("Smallest (pixels)"),
        "max_size": Words("Largest (pixels)"),
        "fill_holes": Words("Fill holes (pixels)"),
        "smoothing": Words("Smoothing (pixels)"),
        "split": Words("Split at necks"),
        "link": Words("Through the stack"),
    },
}


def words_for(config: type[Config], name: str) -> Words:
    """What a setting is called.

    Examples
    --------
    >>> from napari_unet.config import ModelConfig
    >>> words_for(ModelConfig, "ndim").choices[3]
    'volumes (3D)'
    """
    return _WORDS[config.__name__][name]


def tooltip(name: str, description: str | None, value: Any = None) -> str:
    """Help on a setting, with the name that scripts use, and of a choice its value."""
    exact = name if value is None else f"{name}={value}"
    return f"{description or ''}\n({exact})".strip()
