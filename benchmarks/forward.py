"""Time of one pass and of one training step of the U-Net, beside MONAI's BasicUNet of equal size where it is installed.

The networks take turns, so that a busy machine slows all of them alike::

    python benchmarks/forward.py --size 512 --rounds 15
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from napari_unet.config import ModelConfig
from napari_unet.networks import build_network
from napari_unet.networks.inference import inference_form
from report import machine, print_table, write_json


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
        rows = [[name, min(values), statistics.median(values)] for name, values in found.items()]
        print_table(f"{what}, width {options.width}, {options.size}²", ["network", "fastest, s", "median, s"], rows)
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
    """Networks of the same channels, batch norm and ReLU, in both memory layouts."""
    config = ModelConfig(width=width, depth=4)
    found = {
        "unet": build_network(config),
        "unet, channels-last": build_network(config).to(memory_format=torch.channels_last),
        "unet, inference form": inference_form(build_network(config)),
    }
    if importlib.util.find_spec("monai") is not None:
        from monai.networks.nets import BasicUNet

        features = (*(width * 2**i for i in range(5)), width)
        settings = {"spatial_dims": 2, "out_channels": 2, "features": features, "act": "relu", "norm": "batch"}
        found["MONAI BasicUNet"] = BasicUNet(**settings)
        found["MONAI BasicUNet, channels-last"] = BasicUNet(**settings).to(memory_format=torch.channels_last)
    return found


def _turns(
    networks: dict[str, nn.Module], image: Tensor, work: Callable[[nn.Module, Tensor], None], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each network in each round; the first round warms up and is left out."""
    found: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(rounds + 1):
        for name, network in networks.items():
            start = time.perf_counter()
            work(network, image)
            found[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in found.items()}


@torch.no_grad()
def _predict(network: nn.Module, image: Tensor) -> None:
    network.eval()(image)


def _learn(network: nn.Module, image: Tensor) -> None:
    network.train()(image).mean().backward()


if __name__ == "__main__":
    main()
