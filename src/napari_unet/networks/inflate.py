"""A 3D network from the weights of a 2D one: it sees a volume plane by plane to begin with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from napari_unet.networks.graph import SIGMAS


@torch.no_grad()
def inflate(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """State dict of a 3D network in which every plane is seen as the 2D network saw it.

    The planes of a kernel are zero but for the middle one, which is the 2D kernel. (Carreira and Zisserman 2017,
    doi:10.1109/CVPR.2017.502, repeat it: their frames hardly differ, the planes of a volume do.) Up-convolutions repeat
    theirs, as both planes come from the same one. Of the three curvatures of the 3D scale space the largest and the
    smallest take the places of the two in 2D; the one between them begins without weight.

    Parameters
    ----------
    state : mapping of str to Tensor
        Of a 2D network made by `build_network`.
    network : nn.Module
        3D network of the same form, one input channel, Z first.
    """
    layers = dict(network.named_modules())
    found = {}
    for name, target in network.state_dict().items():
        weight = state[name]
        if target.ndim < 5:
            found[name] = weight.clone()
        elif isinstance(layers[name.rpartition(".")[0]], nn.ConvTranspose3d):
            found[name] = weight[:, :, None].repeat(1, 1, target.shape[2], 1, 1)
        else:
            seen = weight if weight.shape[1] == target.shape[1] else _spread(weight, target.shape[1])
            found[name] = _middle(seen, target.shape[2])
    return found


def _middle(weight: Tensor, planes: int) -> Tensor:
    """A 2D kernel as the middle one of so many planes."""
    deep = weight.new_zeros((*weight.shape[:2], planes, *weight.shape[2:]))
    deep[:, :, planes // 2] = weight
    return deep


def _spread(weight: Tensor, features: int) -> Tensor:
    """Weights of the 2D scale space, for each sigma blur, slope, largest and smallest curvature, where 3D has them."""
    wider = weight.new_zeros((len(weight), features, *weight.shape[2:]))
    wider[:, 0] = weight[:, 0]
    for at in range(len(SIGMAS)):
        for place, feature in enumerate((0, 1, 2, 4)):
            wider[:, 1 + 5 * at + feature] = weight[:, 1 + 4 * at + place]
    return wider
