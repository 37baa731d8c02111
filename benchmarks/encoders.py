"""segmentation-models-pytorch beside a torchvision that was built for another torch."""

from __future__ import annotations

from functools import cache

import torch


@cache
def declare_operators() -> torch.library.Library | None:
    """Let such a torchvision be imported, by declaring two operators that no encoder uses."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None
