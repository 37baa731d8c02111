"""The weights that come with the package: a network that knows what cells look like (see docs/base-model.md)."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_unet.config import ModelConfig
from napari_unet.networks.finetune import adapt
from napari_unet.standard import BASE_FORM

FILE = "base2d.safetensors"
#: Of the file; another one is another base model.
SHA256 = "e522204f335850f1ebd1b17f1a0c1ce11100688a7da5a4afe534ce6a1439cfc2"
#: What its output channels stand for.
TASKS = ("foreground", "border", "contact", "depth")


def base_network(model: ModelConfig) -> nn.Module:
    """The network of `model` with the base weights; its output layers begin afresh.

    Parameters
    ----------
    model : ModelConfig
        One that begins from them; with several input channels the first convolution looks at their mean.
    """
    old = ModelConfig(classes=TASKS, **BASE_FORM)
    return adapt(base_weights(), old, model)


@cache
def base_weights() -> dict[str, Tensor]:
    """State dict of the base network in single precision, read once."""
    with as_file(files("napari_unet.networks") / FILE) as path:
        state = load_file(path)
    return {name: value.float() if value.dtype == torch.float16 else value for name, value in state.items()}
