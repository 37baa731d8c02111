"""Pseudo-labels: what a slower copy of the network is sure of, where nothing is annotated."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_unet.config import PseudoConfig
from napari_unet.data.annotations import IGNORE
from napari_unet.training.losses import cross_entropy


def pseudo_labels(logits: Tensor, targets: Tensor, threshold: float) -> Tensor:
    """Labels for the pixels that are not annotated, where a prediction is sure of them.

    Scribble2Label (Lee and Jeong 2020, MICCAI, equation 3) filters an average of earlier predictions by a threshold.
    Here they are predictions of averaged weights (the mean teacher of Tarvainen and Valpola 2017), which needs no
    memory per image.

    Parameters
    ----------
    logits : Tensor
        ``(N, K, *spatial)``, of the teacher; with K = 1, z stands for the two logits (0, z).
    targets : Tensor
        int64 ``(N, *spatial)``, class indices, -1 = ignore. Annotated pixels get no pseudo-label: strokes are not
        overruled.
    threshold : float
        Smallest probability of a label.

    Returns
    -------
    Tensor
        int64 of the shape of `targets`, -1 where there is no label.

    Examples
    --------
    >>> logits = torch.tensor([[[2.0, 0.1, 2.0], [0.0, 0.0, 0.0]]])
    >>> pseudo_labels(logits, torch.tensor([[-1, -1, 1]]), 0.8)
    tensor([[ 0, -1, -1]])
    """
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    sure, label = logits.float().softmax(1).max(1)
    return torch.where((targets == IGNORE) & (sure >= threshold), label, IGNORE)


def pseudo_loss(
    logits: Tensor, images: Tensor, targets: Tensor, teacher: nn.Module, config: PseudoConfig, step: int
) -> Tensor:
    """Weighted cross-entropy of the pseudo-labels of a batch.

    Parameters
    ----------
    logits : Tensor
        ``(N, K, *spatial)``, of the network that learns.
    images : Tensor
        ``(N, C, *spatial)``, what it saw.
    targets : Tensor
        int64 ``(N, *spatial)``, class indices, -1 = ignore.
    teacher : nn.Module
        Network of averaged weights, in evaluation mode.
    config : PseudoConfig
        Weight, threshold and warm-up.
    step : int
        Steps done so far: an early teacher knows nothing yet.

    Returns
    -------
    Tensor
        A scalar.
    """
    with torch.no_grad():
        labels = pseudo_labels(teacher(images), targets, config.threshold)
    return config.weight * ramp(step, config.warmup) * cross_entropy(logits, labels)


def ramp(step: int, warmup: int) -> float:
    """``exp(-5 (1 - step / warmup)^2)``, 1 after the warm-up (Laine and Aila 2017)."""
    return 1.0 if step >= warmup else math.exp(-5 * (1 - step / warmup) ** 2)
