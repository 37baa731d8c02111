"""The weights that come with the package: a network that knows what cells look like (see docs/base-model.md)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import as_file, files

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_unet.config import ModelConfig
from napari_unet.networks.build import build_network
from napari_unet.networks.finetune import adapt, for_channels
from napari_unet.networks.inflate import inflate
from napari_unet.standard import BASE_FORM

FILE = "base2d.safetensors"
#: Of the file; another one is another base model.
SHA256 = "ded68b4b305cb3e183370ade5ff971c4ea86e78eb684702fb56f721952289aa0"
#: Logit of classes that strokes have yet to teach.
UNEXPECTED = -6.0
#: What its output channels stand for.
TASKS = ("foreground", "border", "contact", "depth")


def base_network(model: ModelConfig) -> nn.Module:
    """The network of `model` with the base weights: it takes what it knows as an object for the first class.

    Background has the logit 0, the first class that of the foreground; where a boundary is asked for, it is what is on
    the border of an object as well. Other classes are not expected.

    Parameters
    ----------
    model : ModelConfig
        One that begins from them; with several input channels the first convolution looks at their mean. In 3D the
        network sees a volume plane by plane.
    """
    form = ModelConfig(classes=TASKS, **{**BASE_FORM, "ndim": model.ndim, "spacing": model.spacing})
    known = base_weights() if model.ndim == 2 else inflate(base_weights(), build_network(form))
    network = adapt(known, form, model)
    _expect_objects(network, model, known)
    return network


@torch.no_grad()
def _expect_objects(network: nn.Module, model: ModelConfig, known: Mapping[str, Tensor]) -> None:
    state = network.state_dict()
    foreground, border = TASKS.index("foreground"), TASKS.index("border")
    for name in ("head.weight", "head.bias", "local.weight"):
        rows = state[name]
        of = for_channels(known[name], 1, model.in_channels) if name == "local.weight" else known[name]
        rows.zero_()
        rows[min(1, len(rows) - 1)] = of[foreground]
        if model.has_boundary:
            rows[2] = of[foreground] + of[border]
        elif name == "head.bias":
            rows[2:] = UNEXPECTED


@cache
def base_weights() -> dict[str, Tensor]:
    """State dict of the base network in single precision, read once."""
    with as_file(files("napari_unet.networks") / FILE) as path:
        state = load_file(path)
    return {name: value.float() if value.dtype == torch.float16 else value for name, value in state.items()}
