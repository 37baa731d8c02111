"""Output layers solved for the strokes at once: a pixel classifier on the features that a network has already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_unet.networks.blocks import LOCAL
from napari_unet.training.batches import Batch

Convolution = nn.Conv2d | nn.Conv3d

HEAD = "head"
#: Ridge penalty per standardised feature: learnt ones, and those of the scale-space stem. Found on images that no
#: benchmark uses, with the cross-entropy averaged over classes.
PENALTY = {HEAD: 0.01, LOCAL: 0.1}
#: The least penalty, times the painted pixels of the rarest class: few strokes are trusted less. Two strokes per class
#: (60 to 270 pixels) on one image, mean IoU over five kinds of images: 0.60 with it, 0.50 without; membranes, strokes
#: on 0.4 % of three images (970 to 1210 pixels), mean of three draws: 0.46 and 0.38; nuclei (about 300): 0.71 and 0.73.
HELD_BACK = 500.0
#: Mean probability of the right class up to which painted pixels may make the solution sure of itself.
SURE = 0.9
#: Painted pixels of each class that are looked at.
MOST_PIXELS = 6000
ITERATIONS = 60
#: Features that hardly vary are not blown up.
SMALLEST = 1e-3


#: 1x1 convolutions whose sum are the logits, by name.
Layers = dict[str, Convolution]


@dataclass(frozen=True, slots=True)
class Painted:
    """Features of painted pixels.

    Attributes
    ----------
    features : Tensor
        float32 ``(P, F)``, those of one layer after the other.
    targets : Tensor
        int64 ``(P,)``, class indices.
    """

    features: Tensor
    targets: Tensor


def output_layers(network: nn.Module, *, features_known: bool) -> Layers:
    """The layers that can be solved for: 1x1 convolutions whose sum is the only output.

    Parameters
    ----------
    network : nn.Module
        Made by `build_network`.
    features_known : bool
        Whether its features are learnt already; otherwise only the layer on the scale-space stem is solved for.

    Returns
    -------
    dict of str to convolution
        Empty for a network with several outputs, with one class, or with nothing that could be solved for.
    """
    graph = getattr(network, "graph", None)
    if graph is None or len(graph.outputs) != 1:
        return {}
    found = {name: getattr(network, name, None) for name in (HEAD, LOCAL)}
    layers = {name: layer for name, layer in found.items() if isinstance(layer, Convolution)}
    if HEAD not in layers or layers[HEAD].out_channels < 2:
        return {}
    return layers if features_known else {name: layer for name, layer in layers.items() if name == LOCAL}


@torch.no_grad()
def look(network: nn.Module, layers: Layers, batches: Iterable[Batch]) -> Painted:
    """Features at the painted pixels of batches.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    layers : dict of str to convolution
        From `output_layers`.
    batches : iterable of Batch
        Without augmentation.
    """
    found: list[Tensor] = []
    targets: list[Tensor] = []
    seen: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: seen.__setitem__(name, inputs[0]))
        for name, layer in layers.items()
    ]
    try:
        for batch in batches:
            network(batch.images)
            painted = batch.targets >= 0
            columns = torch.cat([seen[name] for name in layers], 1).movedim(1, -1)
            found.append(columns[painted])
            targets.append(batch.targets[painted])
    finally:
        for hook in hooks:
            hook.remove()
    return _some(torch.cat(found).cpu(), torch.cat(targets).cpu())


def _some(features: Tensor, targets: Tensor) -> Painted:
    """At most `MOST_PIXELS` of each class, drawn always the same way."""
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    shuffled = targets[order]
    ranks = torch.stack([(shuffled == k).cumsum(0) for k in range(int(targets.max()) + 1)], 1)
    kept = order[ranks.gather(1, shuffled[:, None])[:, 0] <= MOST_PIXELS]
    return Painted(features[kept], targets[kept])


def solve(network: nn.Module, layers: Layers, painted: Painted, rarest: int) -> None:
    """Set the layers to the multinomial logistic regression of the painted pixels, every class weighing the same.

    Parameters
    ----------
    network : nn.Module
        Changed in place; an output layer that is not solved for says nothing afterwards.
    layers : dict of str to convolution
        From `output_layers`.
    painted : Painted
        From `look`, at least one pixel of two classes.
    rarest : int
        Pixels that are painted of the class that has fewest, in all images; `painted` may hold one several times.
    """
    values, targets = painted.features.double(), painted.targets
    mean, spread = values.mean(0), values.std(0) + SMALLEST
    values = (values - mean) / spread
    sizes = [layer.in_channels for layer in layers.values()]
    least = HELD_BACK / max(rarest, 1)
    penalties = [max(PENALTY[name], least) for name in layers]
    penalty = torch.cat([values.new_full((n,), each) for n, each in zip(sizes, penalties, strict=True)])
    head = network.get_submodule(HEAD)
    assert isinstance(head, Convolution)
    assert head.bias is not None
    weight, bias = _regression(values, targets, head.out_channels, penalty)
    sure = _confidence(functional.linear(values, weight, bias), targets)
    weight, bias = sure * weight / spread, sure * bias
    bias = bias - weight @ mean
    with torch.no_grad():
        for layer, part in zip(layers.values(), torch.split(weight, sizes, 1), strict=True):
            layer.weight.copy_(part.reshape(layer.weight.shape))
        head.bias.copy_(bias)
        if HEAD not in layers:
            head.weight.zero_()


def _confidence(logits: Tensor, targets: Tensor) -> float:
    """Factor of the logits, which changes no label: a penalty that holds back weights makes them unsure too.

    The cross-entropy of the painted pixels decides, up to where they are right with a probability of `SURE` on average.
    """
    share = _balance(targets, logits)
    best, least = 1.0, float("inf")
    for factor in 1.25 ** torch.arange(24.0):
        logs = functional.log_softmax(factor * logits, 1).gather(1, targets[:, None])[:, 0]
        entropy = float(-(share * logs).sum())
        if entropy >= least:
            break
        best, least = float(factor), entropy
        if float((share * logs.exp()).sum()) >= SURE:
            break
    return best


def _balance(targets: Tensor, like: Tensor) -> Tensor:
    """Weight of each pixel ``(P,)``: every class weighs the same, all of them one."""
    counts = torch.bincount(targets)
    return (1 / counts.clamp(min=1)).to(like)[targets] / int((counts > 0).sum())


def _regression(values: Tensor, targets: Tensor, classes: int, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``(K, F)`` and biases ``(K,)`` that minimise the class-balanced cross-entropy and the ridge penalty."""
    share = _balance(targets, values)
    weight = values.new_zeros((classes, values.shape[1]), requires_grad=True)
    bias = values.new_zeros(classes, requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        search.zero_grad()
        logits = functional.linear(values, weight, bias)
        entropy = (share * functional.cross_entropy(logits, targets, reduction="none")).sum()
        total: Tensor = entropy + (penalty * weight.square()).sum()
        torch.autograd.backward(total)
        return total

    search.step(cost)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
