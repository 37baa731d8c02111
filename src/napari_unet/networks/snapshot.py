"""A network as it is now, in the form that predicts a part of an image with the least work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from napari_unet.networks.graph import Node, schedule
from napari_unet.networks.inference import STATISTICS, fused_graph, fused_state
from napari_unet.networks.module import Network, apply
from napari_unet.networks.scale_space import scale_space
from napari_unet.networks.window import Window, windows

_CONV: dict[int, Callable[..., Tensor]] = {2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSE: dict[int, Callable[..., Tensor]] = {2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
LAYOUT = {2: torch.channels_last, 3: torch.channels_last_3d}


class Snapshot:
    """Weights of a network at one moment, with its batch norms fused into the convolutions.

    Further training does not change it. Layers compute only what the wanted part of the output depends on, which is
    what the network gives there, up to the rounding of the fusion.

    Parameters
    ----------
    network : Network
        Made by `build_network`, without normalisation over the image and without guidance; it is not changed.

    Examples
    --------
    >>> from napari_unet.config import ModelConfig
    >>> from napari_unet.networks import build_network
    >>> snapshot = Snapshot(build_network(ModelConfig(width=2, depth=1)))
    >>> snapshot(torch.zeros(1, 1, 64, 64), [slice(24, 40), slice(24, 32)]).shape
    torch.Size([1, 2, 16, 8])
    """

    def __init__(self, network: Network) -> None:
        self.graph, convolutions = fused_graph(network.graph)
        self._moves = schedule(self.graph, self.graph.outputs)
        names = [f"{node.name}.{part}" for node in self.graph.nodes for part in ("weight", "bias", *STATISTICS[:2])]
        layout = LAYOUT[self.graph.ndim]
        with torch.no_grad():
            state = fused_state(network, convolutions, names)
            self._weights = {
                name: values.contiguous(memory_format=layout) if values.ndim == self.graph.ndim + 2 else values
                for name, values in ((name, values.detach().clone()) for name, values in state.items())
            }

    def __call__(self, x: Tensor, keep: Sequence[slice]) -> Tensor:
        """Logits of a part of the output.

        Parameters
        ----------
        x : Tensor
            Shape ``(N, C, *spatial)``, of a legal size, see `Geometry`.
        keep : sequence of slice
            Wanted part of the output, in its pixels.

        Returns
        -------
        Tensor
            Shape ``(N, K, *keep)``.
        """
        plan = windows(self.graph, x.shape[2:], keep)
        values = {0: self._cut(x, cast("Window", plan[0]).keep)}
        for move in self._moves:
            node, window = self.graph.nodes[move.index], cast("Window", plan[move.index])
            inputs = [part_of(values[i], cut) for i, cut in zip(node.inputs, window.cuts, strict=True)]
            for i in move.forget:
                del values[i]
            values[move.index] = self._cut(self.run(node, inputs, window.pads, alone=move.alone), window.keep)
            del inputs
        first = cast("Window", plan[self.graph.outputs[0]]).spans
        inside = [slice(part.start - a, part.stop - a) for part, (a, _) in zip(keep, first, strict=True)]
        return part_of(values[self.graph.outputs[0]], inside)

    def _cut(self, x: Tensor, keep: Sequence[slice]) -> Tensor:
        """A part of a layer, in memory by itself."""
        return part_of(x, keep).contiguous(memory_format=LAYOUT[self.graph.ndim])

    def run(self, node: Node, inputs: Sequence[Tensor], pad: tuple[int, ...], *, alone: bool) -> Tensor:
        """Apply one layer.

        Parameters
        ----------
        node : Node
            Which.
        inputs : sequence of Tensor
            What it reads.
        pad : tuple of int
            Padding of a convolution; 0 along an axis where the input holds what lies beside.
        alone : bool
            Whether it may overwrite its input.
        """
        weight, bias = (self._weights.get(f"{node.name}.{part}") for part in ("weight", "bias"))
        if node.op == "conv":
            return self._convolve(inputs[0], cast("Tensor", weight), bias, pad)
        if node.op == "transpose":
            return _TRANSPOSE[self.graph.ndim](inputs[0], weight, bias, stride=node.step, padding=pad)
        if node.op == "norm":
            mean, variance = (self._weights[f"{node.name}.{part}"] for part in STATISTICS[:2])
            return functional.batch_norm(inputs[0], mean, variance, weight, bias)
        if node.op == "scale_space":
            return scale_space(inputs[0], node.units, pad)
        # What a crop takes away is not part of its window.
        return inputs[0] if node.op == "crop" else apply(node, list(inputs), alone)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None, pad: tuple[int, ...]) -> Tensor:
        """Convolution; in 3D torch takes a kernel up to 18 times slower by itself where N C D H is small."""
        ones = (1,) * self.graph.ndim
        x = _last(x) if x.shape[1] == 1 and x.device.type == "cpu" else x
        if self.graph.ndim < 3 or not _has_onednn(x):
            return _CONV[self.graph.ndim](x, weight, bias, padding=pad)
        return torch.mkldnn_convolution(x, weight, bias, pad, ones, ones, 1)


def _last(x: Tensor) -> Tensor:
    """One channel with the strides of channels-last: they move nothing, but what is made of it then lies so too."""
    x = x.contiguous()
    return x.as_strided(x.shape, (x.stride(0), 1, *x.stride()[2:]))


def _has_onednn(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() > 0 and torch._C._has_mkldnn


def part_of(x: Tensor, part: Sequence[slice]) -> Tensor:
    """A part of the spatial axes; the tensor itself where that is all of it."""
    whole = all(cut.start == 0 and cut.stop == n for cut, n in zip(part, x.shape[2:], strict=True))
    return x if whole else x[(slice(None), slice(None), *part)]
