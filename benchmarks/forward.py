"""Time of one pass and of one training step of the U-Net, beside MONAI's BasicUNet and the decoder form of smp.

All networks have the same channels, batch norm and ReLU; peers are measured where they are installed. The decoder of
segmentation-models-pytorch stands behind the contracting path of our own network. The networks take turns, so that a
busy machine slows all of them alike, and each is compared with ours in the same round; time is that of the process on
its processors::

    python benchmarks/forward.py --size 512 --rounds 15
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from encoders import declare_operators
from napari_unet.config import ModelConfig
from napari_unet.networks import build_network
from napari_unet.networks.inference import inference_form
from report import machine, print_table, write_json

OURS = "unet"


def main() -> None:
    """Measure all networks in turn; print one table for prediction and one for training."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    networks = _networks(options.width)
    image = torch.rand(1, 1, options.size, options.size)
    patches = torch.rand(2, 1, options.size // 2, options.size // 2)
    times = {"one pass": _turns(networks, image, _predict, options.rounds)}
    learning = {
        name: network for name, network in networks.items() if any(p.requires_grad for p in network.parameters())
    }
    times["forward and backward"] = _turns(learning, patches, _learn, options.rounds)
    print(json.dumps(machine()))
    for what, found in times.items():
        print_table(
            f"{what}, width {options.width}, {options.size}²",
            ["network", "fastest, s", "median, s", f"times {OURS}, median of the rounds"],
            [_row(name, values, found[OURS]) for name, values in found.items()],
        )
    write_json(options.json, {"options": vars(options), "times": times})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--size", type=int, default=512, help="edge of the image, pixels")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", help="write all numbers to this file")
    return parser.parse_args()


def _networks(width: int) -> dict[str, nn.Module]:
    """Networks of the same channels, ours as it is used (channels-last) and in torch's own layout, and peers."""
    config = ModelConfig(width=width, depth=4)
    found: dict[str, nn.Module] = {
        OURS: _last(build_network(config)),
        f"{OURS}, inference form": inference_form(build_network(config)),
        f"{OURS}, torch's layout": build_network(config),
    }
    if importlib.util.find_spec("monai") is not None:
        from monai.networks.nets import BasicUNet

        features = (*(width * 2**i for i in range(5)), width)
        settings: dict[str, Any] = {"spatial_dims": 2, "out_channels": 2, "features": features, "act": "relu"}
        found["MONAI BasicUNet"] = _last(BasicUNet(**settings, norm="batch"))
        found["MONAI BasicUNet, torch's layout"] = BasicUNet(**settings, norm="batch")
    if importlib.util.find_spec("segmentation_models_pytorch") is not None:
        declare_operators()
        found["smp decoder"] = _last(SmpForm(width))
        found["smp decoder, torch's layout"] = SmpForm(width)
    return found


def _last(network: nn.Module) -> nn.Module:
    return network.to(memory_format=torch.channels_last)


class SmpForm(nn.Module):
    """A contracting path of double convolutions with the decoder and the head of segmentation-models-pytorch."""

    def __init__(self, width: int) -> None:
        from segmentation_models_pytorch.base import SegmentationHead
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

        super().__init__()
        channels = [width * 2**i for i in range(5)]
        self.encoder = nn.ModuleList(_double(a, b) for a, b in zip([1, *channels[:-1]], channels, strict=True))
        self.decoder = UnetDecoder((1, *channels), channels[-2::-1], n_blocks=4)
        self.head = SegmentationHead(width, 2, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(N, 2, Y, X)``."""
        features: list[Tensor] = []
        for level in self.encoder:
            x = level(nn.functional.max_pool2d(x, 2) if features else x)
            features.append(x)
        # The package leaves the first out, and wants the sizes of all.
        logits: Tensor = self.head(self.decoder([features[0], *features]))
        return logits


def _double(before: int, channels: int) -> nn.Sequential:
    layers = [
        (nn.Conv2d(a, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        for a in (before, channels)
    ]
    return nn.Sequential(*(layer for group in layers for layer in group))


def _turns(
    networks: dict[str, nn.Module], image: Tensor, work: Callable[[nn.Module, Tensor], None], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each network in each round; the first round warms up and is left out."""
    found: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(rounds + 1):
        for name, network in networks.items():
            start = time.process_time()
            work(network, image)
            found[name].append(time.process_time() - start)
    return {name: values[1:] for name, values in found.items()}


@torch.no_grad()
def _predict(network: nn.Module, image: Tensor) -> None:
    network.eval()(image)


def _learn(network: nn.Module, image: Tensor) -> None:
    network.train()(image).mean().backward()


def _row(name: str, values: list[float], ours: list[float]) -> list[Any]:
    ratios = [value / own for value, own in zip(values, ours, strict=True)]
    return [name, min(values), statistics.median(values), statistics.median(ratios)]


if __name__ == "__main__":
    main()
