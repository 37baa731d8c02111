"""Output layers solved for the strokes at once: a pixel classifier on the features that a network has already."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
#: (60 to 270 pixels) on one image, mean IoU over five kinds: 0.62 without the next two, 0.65 with them.
HELD_BACK = 1000.0
#: Directions in which all that is seen hardly varies cost more: the penalty goes with 1 / (variance + this).
EVEN = 1.0
#: Part of the cost that pixels without a stroke have, which are told what the strokes' own solution says of them.
UNPAINTED = 0.5
#: Mean probability of the right class up to which painted pixels may make the solution sure of itself.
SURE = 0.9
#: Painted pixels of each class that are looked at.
MOST_PIXELS = 6000
#: Pixels of each patch that are looked at, painted or not.
SEEN = 600
ITERATIONS = 60
#: Features that hardly vary are not blown up.
SMALLEST = 1e-3


#: 1x1 convolutions whose sum are the logits, by name.
Layers = dict[str, Convolution]


@dataclass(frozen=True, slots=True)
class Painted:
    """Features of painted pixels, and of any.

    Attributes
    ----------
    features : Tensor
        float32 ``(P, F)``, those of one layer after the other.
    targets : Tensor
        int64 ``(P,)``, class indices.
    seen : Tensor
        float32 ``(S, F)``, of some pixels of the same patches, painted or not.
    """

    features: Tensor
    targets: Tensor
    seen: Tensor


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
    """Features at the painted pixels of batches, and at some of all pixels.

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
    seen: list[Tensor] = []
    read: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: read.__setitem__(name, inputs[0]))
        for name, layer in layers.items()
    ]
    try:
        for batch in batches:
            network(batch.images)
            painted = batch.targets >= 0
            columns = torch.cat([read[name] for name in layers], 1).movedim(1, -1)
            found.append(columns[painted].cpu())
            targets.append(batch.targets[painted].cpu())
            seen.append(_any(columns.flatten(0, -2), SEEN * len(columns)).cpu())
    finally:
        for hook in hooks:
            hook.remove()
    return Painted(*_some(torch.cat(found), torch.cat(targets)), torch.cat(seen))


def _any(columns: Tensor, most: int) -> Tensor:
    """At most so many rows, drawn always the same way."""
    order = torch.randperm(len(columns), generator=torch.Generator().manual_seed(0))
    return columns[order[:most].to(columns.device)]


def _some(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """At most `MOST_PIXELS` of each class, drawn always the same way."""
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    shuffled = targets[order]
    ranks = torch.stack([(shuffled == k).cumsum(0) for k in range(int(targets.max()) + 1)], 1)
    kept = order[ranks.gather(1, shuffled[:, None])[:, 0] <= MOST_PIXELS]
    return features[kept], targets[kept]


def solve(network: nn.Module, layers: Layers, painted: Painted, rarest: int) -> None:
    """Set the layers to a multinomial logistic regression of the painted pixels, every class weighing the same.

    Where strokes are few, what is seen without them helps: directions in which the features vary much are trusted more,
    and the solution is taken once more with its own opinion of pixels that nobody painted as part of the cost (both are
    ways of semi-supervised learning: principal components, and expectation maximisation, Nigam et al. 2000).

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
    values, seen, targets = painted.features.double(), painted.seen.double(), painted.targets
    mean, spread = values.mean(0), (values.std(0) * seen.std(0)).sqrt() + SMALLEST
    values, seen = (values - mean) / spread, (seen - mean) / spread
    sizes = [layer.in_channels for layer in layers.values()]
    least = HELD_BACK / max(rarest, 1)
    penalties = [max(PENALTY[name], least) for name in layers]
    each = torch.cat([values.new_full((n,), part) for n, part in zip(sizes, penalties, strict=True)])
    head = network.get_submodule(HEAD)
    assert isinstance(head, Convolution)
    assert head.bias is not None
    weight, bias = _solution(values, targets, seen, head.out_channels, _penalty(seen, each))
    weight = weight / spread
    bias = bias - weight @ mean
    with torch.no_grad():
        for layer, part in zip(layers.values(), torch.split(weight, sizes, 1), strict=True):
            layer.weight.copy_(part.reshape(layer.weight.shape))
        head.bias.copy_(bias)
        if HEAD not in layers:
            head.weight.zero_()


def _penalty(seen: Tensor, each: Tensor) -> Tensor:
    """Quadratic form ``(F, F)``: that of each feature, less in directions in which what is seen varies much."""
    variances, directions = torch.linalg.eigh(torch.cov(seen.T))
    variances = variances.clamp(min=0) / variances.mean()
    shape: Tensor = (directions * ((1 + EVEN) / (variances + EVEN))) @ directions.T
    return each.sqrt()[:, None] * shape * each.sqrt()


def _solution(values: Tensor, targets: Tensor, seen: Tensor, classes: int, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``(K, F)`` for strokes and for what they say of pixels without any; biases ``(K,)`` for strokes alone.

    A strong penalty makes for small weights, so that frequencies of classes that are only guessed would move edges far.
    """
    painted = functional.one_hot(targets, classes) * _balance(targets, values)[:, None]
    weight, bias = _regression(values, painted, penalty)
    scale = _sureness(functional.linear(values, weight, bias), painted)
    said = functional.softmax(scale * functional.linear(seen, weight, bias), 1) * (painted.sum(0) > 0)
    said = said / said.sum(0).clamp(min=SMALLEST)
    goals = torch.cat([(1 - UNPAINTED) * painted, UNPAINTED * said / said.sum()])
    weight, bias = _regression(torch.cat([values, seen]), goals, penalty)
    for _ in range(2):
        scale = _sureness(functional.linear(values, weight, bias), painted)
        weight = scale * weight
        bias = _biases(functional.linear(values, weight), painted)
    return weight, bias


def _sureness(logits: Tensor, goals: Tensor) -> float:
    """Factor of the logits, which changes no label: a penalty that holds back weights makes them unsure too.

    The cross-entropy of the painted pixels decides, up to where they are right with a probability of `SURE` on average.
    """
    best, least = 1.0, float("inf")
    for factor in 1.25 ** torch.arange(24.0):
        logs = functional.log_softmax(factor * logits, 1)
        entropy = float(-(goals * logs).sum())
        if entropy >= least:
            break
        best, least = float(factor), entropy
        if float((goals * logs.exp()).sum()) >= SURE:
            break
    return best


def _balance(targets: Tensor, like: Tensor) -> Tensor:
    """Weight of each pixel ``(P,)``: every class weighs the same, all of them one."""
    counts = torch.bincount(targets)
    return (1 / counts.clamp(min=1)).to(like)[targets] / int((counts > 0).sum())


def _regression(values: Tensor, goals: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and biases of the least cross-entropy with `goals` ``(P, K)``, all of which sum to one, and penalty."""
    weight = values.new_zeros((goals.shape[1], values.shape[1]), requires_grad=True)
    bias = values.new_zeros(goals.shape[1], requires_grad=True)

    def cost() -> Tensor:
        logs = functional.log_softmax(functional.linear(values, weight, bias), 1)
        return (weight @ penalty * weight).sum() - (goals * logs).sum()

    _minimise(cost, [weight, bias])
    return weight.detach(), bias.detach()


def _biases(logits: Tensor, goals: Tensor) -> Tensor:
    """What to add to logits for the least cross-entropy with `goals`."""
    bias = logits.new_zeros(goals.shape[1], requires_grad=True)
    _minimise(lambda: -(goals * functional.log_softmax(logits + bias, 1)).sum(), [bias])
    return bias.detach()


def _minimise(cost: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    search = torch.optim.LBFGS(parameters, max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def graded() -> Tensor:
        search.zero_grad()
        total = cost()
        torch.autograd.backward(total)
        return total

    search.step(graded)  # type: ignore[no-untyped-call]
