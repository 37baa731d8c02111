"""Train the base weights: ``python -m tools.base_model.pretrain --data FOLDER --out base.unet --seconds 7200``.

May be interrupted and called again: it goes on from its checkpoint. With ``--shipped`` it learns from all images;
without, from those that nothing is measured on.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_unet.config import ModelConfig
from napari_unet.io.model_file import ModelHeader, save_model
from napari_unet.networks import build_network
from napari_unet.networks.base import TASKS
from napari_unet.networks.device import choose_device, keep_memory
from napari_unet.standard import standard_model
from napari_unet.training.average import Average
from tools.base_model.batches import Batches
from tools.base_model.images import read_pictures
from tools.base_model.tasks import loss

log = logging.getLogger("pretrain")

#: Of the pictures, every so many are kept to be judged on.
HELD_OUT = 20
#: Part of the budget over which the learning rate falls to nothing.
COOLING = 0.25
CLIP = 5.0
DECAY = 0.998


class Run:
    """The network and everything that an interrupted run needs to go on."""

    def __init__(self, model: ModelConfig, args: argparse.Namespace) -> None:
        self.model, self.args = model, args
        self.device = choose_device(args.device)
        torch.manual_seed(args.seed)
        network = build_network(model).to(self.device)
        self.network: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(self.network)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=args.learning_rate, weight_decay=0.01)
        self.step, self.seconds = 0, 0.0

    def resume(self, path: Path) -> None:
        """Go on where the checkpoint `path` was written."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.average.count = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def keep(self, path: Path) -> None:
        """Write a checkpoint beside the old one, then take its place."""
        fresh = path.with_suffix(".part")
        state = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, fresh)
        fresh.replace(path)

    def learn(self, images: Tensor, wanted: Tensor) -> float:
        """One step."""
        progress = self.seconds / self.args.seconds
        rate = self.args.learning_rate * min(1.0, (self.step + 1) / 100, max((1 - progress) / COOLING, 0.0))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        images = images.to(self.device, memory_format=torch.channels_last)
        value = loss(self.network(images), wanted.to(self.device))
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimizer.step()
        self.average.update(self.network, DECAY)
        self.step += 1
        return float(value.detach())

    @torch.no_grad()
    def judge(self, batches: Batches) -> dict[str, float]:
        """Loss, and IoU of foreground and of border, over ten batches of held-out images."""
        network = self.average.network
        counts, total = np.zeros((2, 2)), 0.0
        for number in range(10):
            images, wanted = (part.to(self.device) for part in batches.draw(number))
            logits = network(images.contiguous(memory_format=torch.channels_last))
            total += float(loss(logits, wanted)) / 10
            for task in range(2):
                found, true = logits[:, task] > 0, wanted[:, task] > 0.5
                counts[task] += [int((found & true).sum()), int((found | true).sum())]
        iou = counts[:, 0] / counts[:, 1].clip(1)
        return {"loss": round(total, 4), "foreground": round(float(iou[0]), 3), "border": round(float(iou[1]), 3)}

    def save(self, path: Path, scores: Mapping[str, float]) -> None:
        """Write the averaged weights in half precision, as a model file and as the package holds them."""
        state = {name: _half(value) for name, value in self.average.network.state_dict().items()}
        entry: dict[str, Any] = {"steps": self.step, "seconds": round(self.seconds), **scores}
        entry["data"] = "all" if self.args.shipped else "without the images that are measured on"
        save_model(path, state, ModelHeader.now(model=self.model, step=self.step, history=(entry,)))
        save_file(state, path.with_suffix(".safetensors"))


def _half(tensor: Tensor) -> Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).contiguous()


def main() -> None:
    """Train until the budget is used up."""
    args = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    keep_memory()
    model = standard_model(classes=TASKS, weights="random", **json.loads(args.model))
    pictures = read_pictures(args.data, shipped=args.shipped)
    seen = [p for i, p in enumerate(pictures) if i % HELD_OUT]
    batches = Batches(seen, args.patch, args.real, args.synthetic, args.seed)
    judged = Batches(pictures[::HELD_OUT], args.patch, 4, 4, seed=2**31 - 1)
    run, checkpoint = Run(model, args), args.out.with_suffix(".checkpoint")
    if checkpoint.exists():
        run.resume(checkpoint)
    log.info("%s images, step %s, %.0f s done", len(pictures), run.step, run.seconds)
    _train(run, batches, judged, checkpoint)


def _train(run: Run, batches: Batches, judged: Batches, checkpoint: Path) -> None:
    clock, running, told = _clock(run.args), 0.0, 0.0
    while run.seconds < run.args.seconds:
        began = clock()
        value = run.learn(*batches.draw(run.step))
        running = value if not running else 0.98 * running + 0.02 * value
        run.seconds += clock() - began
        if run.seconds - told > run.args.every or run.seconds >= run.args.seconds:
            told = run.seconds
            scores = run.judge(judged)
            log.info("step %s, %.0f s, loss %.3f, held out %s", run.step, run.seconds, running, scores)
            run.keep(checkpoint)
            run.save(run.args.out, scores)


def _clock(args: argparse.Namespace) -> Any:
    """Wall time, or on a machine that does other work too, CPU time over the cores."""
    if args.clock == "wall":
        return time.perf_counter
    return lambda: time.process_time() / args.cores


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled images")
    parser.add_argument("--out", type=Path, required=True, help="model file to write; the checkpoint lies beside it")
    parser.add_argument("--model", default="{}", help="fields of ModelConfig as JSON, for example '{\"width\": 24}'")
    parser.add_argument("--seconds", type=float, default=7200, help="budget")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what a second is")
    parser.add_argument("--cores", type=int, default=2, help="cores that CPU time is shared by")
    parser.add_argument("--every", type=float, default=120, help="seconds between two checkpoints")
    parser.add_argument("--patch", type=int, default=128, help="edge of a patch, pixels")
    parser.add_argument("--real", type=int, default=4, help="real patches in a batch")
    parser.add_argument("--synthetic", type=int, default=4, help="synthetic patches in a batch")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0, help="seed of all choices")
    parser.add_argument("--device", default="auto", help="as in training")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--shipped", action="store_true", help="learn from all images")
    return parser.parse_args()


if __name__ == "__main__":
    main()
