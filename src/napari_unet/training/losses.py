"""Losses on annotated pixels alone: pure functions, and one module that adds them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from napari_unet.config import LossConfig
from napari_unet.data.annotations import IGNORE

#: Added to both sides of the Dice and Tversky quotients, pixels.
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


def dice(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Dice loss, 1 - 2 sum(w p t) / (sum(w p) + sum(w t)), mean over the classes in the batch; 0 without any.

    Milletari et al. 2016 (V-Net), with plain sums in the denominator and over annotated pixels only.

    Parameters
    ----------
    logits, targets, weights
        As in `annotated`.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> round(float(dice(torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]]), torch.tensor([[0, 1]]))), 4)
    0.0
    """
    return point_dice(annotated(logits, targets, weights))


def focal(logits: Tensor, targets: Tensor, weights: Tensor | None = None, gamma: float = 2.0) -> Tensor:
    """Focal loss, sum(w * (1 - p)^gamma * -log p) / sum(w) with p = p[target]; 0 without annotated pixels.

    Lin et al. 2017 (RetinaNet), equation 4; their alpha is in the weights. With gamma = 0 it is `cross_entropy`.

    Parameters
    ----------
    logits, targets, weights
        As in `annotated`.
    gamma : float
        How little a pixel counts that is right already.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> logits = torch.tensor([[[0.0], [0.0]]])  # p = 0.5, so a quarter of log 2
    >>> round(float(focal(logits, torch.tensor([[1]]))), 4)
    0.1733
    """
    return point_focal(annotated(logits, targets, weights), gamma)


def tversky(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 1.0,
) -> Tensor:
    """Tversky loss, the mean of (1 - T)^(1 / gamma) over the foreground classes in the batch; 0 without any pixel.

    ``T = TP / (TP + alpha FP + beta FN)`` with the soft counts ``TP = sum(w p t)``, ``FP = sum(w p (1 - t))`` and
    ``FN = sum(w (1 - p) t)`` (Salehi et al. 2017, equation 4, alpha and beta as there). ``gamma`` is that of the focal
    Tversky loss (Abraham and Khan 2019, equation 4, who take 4/3). Background is left out, as what is missed of one
    of two classes is false of the other; it counts where a batch has nothing else. alpha = beta = 0.5 and gamma = 1
    give the Dice loss of the foreground.

    Parameters
    ----------
    logits, targets, weights
        As in `annotated`.
    alpha, beta : float
        What a false and a missed pixel cost.
    gamma : float
        1 and up; the larger, the more a class with a low index counts.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> logits = torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]])
    >>> round(float(tversky(logits, torch.tensor([[0, 1]]))), 4)
    0.0
    """
    return point_tversky(annotated(logits, targets, weights), alpha, beta, gamma)


@torch.no_grad()
def patch_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of the annotated pixels of each patch, ``(N,)``; NaN where nothing is annotated."""
    points = annotated(logits.detach(), targets)
    chosen = torch.nonzero(targets.reshape(-1) != IGNORE).squeeze(1)
    patch = torch.div(chosen, targets[0].numel(), rounding_mode="floor")
    nll = -points.log_p.gather(1, points.target[:, None]).squeeze(1)
    total = torch.zeros(len(targets), dtype=nll.dtype, device=nll.device).index_add_(0, patch, nll)
    return total / torch.bincount(patch, minlength=len(targets)).to(nll)


def point_cross_entropy(points: Points) -> Tensor:
    """`cross_entropy` of picked pixels."""
    return _mean(-points.log_p.gather(1, points.target[:, None]).squeeze(1), points.weight)


def point_focal(points: Points, gamma: float = 2.0) -> Tensor:
    """`focal` of picked pixels."""
    log_p = points.log_p.gather(1, points.target[:, None]).squeeze(1)
    # torch.pow has no gradient at 0, where p is 1: the clamp keeps it finite for gamma below 1.
    miss = (-torch.expm1(log_p)).clamp(min=1e-12)
    return _mean(-log_p * miss**gamma, points.weight)


def point_dice(points: Points) -> Tensor:
    """`dice` of picked pixels."""
    if points.target.numel() == 0:
        return points.log_p.sum()
    both, predicted, true, present = _sums(points)
    overlap = (2 * both + SMOOTH) / (predicted + true + SMOOTH)
    return 1 - overlap[present].mean()


def point_tversky(points: Points, alpha: float = 0.3, beta: float = 0.7, gamma: float = 1.0) -> Tensor:
    """`tversky` of picked pixels."""
    if points.target.numel() == 0:
        return points.log_p.sum()
    both, predicted, true, present = _sums(points)
    # Half the constant of Dice, so that alpha = beta = 0.5 is Dice.
    index = (both + SMOOTH / 2) / (both + alpha * (predicted - both) + beta * (true - both) + SMOOTH / 2)
    present[0] &= ~present[1:].any()
    miss = 1 - index[present]
    # A root has no gradient at 0, where a class is perfect already.
    return (miss if gamma == 1 else miss.clamp(min=1e-7) ** (1 / gamma)).mean()


def _sums(points: Points) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Per class: what is both predicted and true, predicted, true, and whether there is any of it."""
    p = points.log_p.exp()
    t = torch.zeros_like(p).scatter_(1, points.target[:, None], 1.0)
    present = t.sum(0) > 0
    w = 1.0 if points.weight is None else points.weight[:, None]
    return (w * p * t).sum(0), (w * p).sum(0), (w * t).sum(0), present


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Weighted mean; 0 of nothing."""
    if values.numel() == 0:
        return values.sum()
    if weight is None:
        return values.mean()
    return (values * weight).sum() / weight.sum().clamp(min=1e-12)


class Loss(nn.Module):
    """The parts of a `LossConfig`, added up."""

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Scalar loss of a batch; see `annotated` for the shapes."""
        config, points = self.config, annotated(logits, targets, weights)
        total = points.log_p.sum() * 0 if points.log_p.numel() == 0 else points.log_p.new_zeros(())
        if config.cross_entropy > 0:
            total = total + config.cross_entropy * point_cross_entropy(points)
        if config.focal > 0:
            total = total + config.focal * point_focal(points, config.focal_gamma)
        area = points if config.weighted_overlap else replace(points, weight=None)
        if config.dice > 0:
            total = total + config.dice * point_dice(area)
        if config.tversky > 0:
            settings = config.tversky_alpha, config.tversky_beta, config.tversky_gamma
            total = total + config.tversky * point_tversky(area, *settings)
        return total

    def deep(self, outputs: Sequence[Tensor], targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Weighted mean over the outputs of a deeply supervised network (Lee et al. 2015), the main one first.

        Output i weighs ``deep_decay ** i``: 1 is the mean of U-Net++ and U-Net 3+, 0.5 the weights of nnU-Net (Isensee
        et al. 2021), 0 the main output alone.
        """
        shares = [self.config.deep_decay**i for i in range(len(outputs))]
        losses = [self(logits, targets, weights) for logits, share in zip(outputs, shares, strict=True) if share > 0]
        if len(set(shares)) == 1:
            return torch.stack(losses).mean()
        weighted = [share * loss for share, loss in zip(shares, losses, strict=False)]
        return torch.stack(weighted).sum() / sum(shares)
