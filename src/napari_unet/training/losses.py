"""Losses on annotated pixels alone: pure functions, and one module that adds them up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_unet.config import LossConfig
from napari_unet.data.annotations import IGNORE

#: Added to both sides of the Dice quotient, pixels.
SMOOTH = 1.0


@dataclass(frozen=True, slots=True)
class Points:
    """The annotated pixels of a batch.

    Attributes
    ----------
    log_p : Tensor
        ``(M, K)``, logarithms of the class probabilities.
    target : Tensor
        int64 ``(M,)``, class indices.
    weight : Tensor or None
        ``(M,)``.
    """

    log_p: Tensor
    target: Tensor
    weight: Tensor | None = None


def annotated(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Points:
    """Pick the annotated pixels, so that nothing else can touch the loss or its gradient.

    Parameters
    ----------
    logits : Tensor
        ``(N, K, *spatial)``; with K = 1, z stands for the two logits (0, z).
    targets : Tensor
        int64 ``(N, *spatial)``, class indices, -1 = ignore.
    weights : Tensor, optional
        ``(N, *spatial)``.

    Returns
    -------
    Points

    Raises
    ------
    ValueError
        When the shapes do not fit.
    """
    if targets.shape != logits.shape[:1] + logits.shape[2:]:
        raise ValueError(
            f"give targets of shape (N, *spatial) for logits {tuple(logits.shape)}, not {tuple(targets.shape)}"
        )
    flat = targets.reshape(-1)
    chosen = torch.nonzero(flat != IGNORE).squeeze(1)
    rows = logits.movedim(1, -1).reshape(-1, logits.shape[1]).index_select(0, chosen)
    if rows.dtype in (torch.float16, torch.bfloat16):
        rows = rows.float()
    if rows.shape[1] == 1:
        rows = torch.cat([torch.zeros_like(rows), rows], dim=1)
    weight = None if weights is None else weights.reshape(-1)[chosen]
    return Points(torch.log_softmax(rows, dim=1), flat[chosen], weight)


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Weighted cross-entropy, sum(w * -log p[target]) / sum(w) over annotated pixels; 0 without any.

    Parameters
    ----------
    logits, targets, weights
        As in `annotated`. The picked log-probabilities are gathered, which is deterministic on every device.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> logits = torch.tensor([[[0.0, 9.0], [0.0, -9.0]]])  # 2 classes, 2 pixels
    >>> round(float(cross_entropy(logits, torch.tensor([[1, -1]]))), 4)
    0.6931
    """
    return point_cross_entropy(annotated(logits, targets, weights))


def dice(logits: Tensor, targets: Tensor) -> Tensor:
    """Dice loss, 1 - 2 sum(p t) / (sum(p) + sum(t)), mean over the classes present in the batch; 0 without any.

    Milletari et al. 2016 (V-Net), with plain sums in the denominator and over annotated pixels only.

    Parameters
    ----------
    logits, targets
        As in `annotated`.

    Returns
    -------
    Tensor
        A scalar.
    """
    return point_dice(annotated(logits, targets))


def class_weights(targets: Tensor, counts: Tensor) -> Tensor:
    """Weights that balance the classes of strokes: the inverse share of each class, to the power of what is unpainted.

    How much of each class is painted says nothing of the image, and must not count. Where every pixel of a patch is
    annotated the shares are the image's own: to balance them would only move all borders outwards. (Nuclei, all pixels
    annotated, 200 steps: IoU 0.62 balanced, 0.77 like this.)

    Parameters
    ----------
    targets : Tensor
        int64 ``(N, *spatial)``, class indices, -1 = ignore.
    counts : Tensor
        ``(K,)``, annotated pixels of each class in all images.

    Returns
    -------
    Tensor
        float32, shape of `targets`.

    Examples
    --------
    >>> targets = torch.full((1, 10, 10), -1)
    >>> targets[0, 0, :2] = torch.tensor([0, 1])
    >>> class_weights(targets, torch.tensor([9, 1]))[0, 0, :2]
    tensor([0.5621, 4.8416])
    >>> class_weights(torch.tensor([[[0, 1]]]), torch.tensor([9, 1]))
    tensor([[[1., 1.]]])
    """
    shares = counts.to(targets.device, torch.float32)
    inverse = shares.sum() / (shares.clamp(min=1) * (shares > 0).sum())
    annotated = (targets != IGNORE).flatten(1).float().mean(1)
    unpainted = 1 - annotated.reshape(-1, *(1,) * (targets.ndim - 1))
    return inverse[targets.clamp(min=0)].pow(unpainted)


def point_cross_entropy(points: Points) -> Tensor:
    """`cross_entropy` of picked pixels."""
    nll = -points.log_p.gather(1, points.target[:, None]).squeeze(1)
    if nll.numel() == 0:
        return nll.sum()
    if points.weight is None:
        return nll.mean()
    return (nll * points.weight).sum() / points.weight.sum().clamp(min=1e-12)


def point_dice(points: Points) -> Tensor:
    """`dice` of picked pixels."""
    p = points.log_p.exp()
    if p.shape[0] == 0:
        return p.sum()
    t = torch.zeros_like(p).scatter_(1, points.target[:, None], 1.0)
    present = t.sum(0) > 0
    overlap = (2 * (p * t).sum(0) + SMOOTH) / (p.sum(0) + t.sum(0) + SMOOTH)
    return 1 - overlap[present].mean()


class Loss(nn.Module):
    """The parts of a `LossConfig`, added up."""

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Scalar loss of a batch; see `annotated` for the shapes."""
        points = annotated(logits, targets, weights)
        total = points.log_p.sum() * 0 if points.log_p.numel() == 0 else points.log_p.new_zeros(())
        if self.config.cross_entropy > 0:
            total = total + self.config.cross_entropy * point_cross_entropy(points)
        if self.config.dice > 0:
            total = total + self.config.dice * point_dice(points)
        return total
