"""A part of the output from a part of the work."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import ModelConfig
from napari_unet.networks import geometry
from napari_unet.networks.inference import fused_graph
from napari_unet.networks.plan import plan
from napari_unet.networks.snapshot import LAYOUT, Snapshot
from napari_unet.networks.window import operations, windows

from .conftest import MEMBERS, VALID, seeded

CONFIGS = {name: config for name, config in (MEMBERS | VALID).items() if geometry(config).exact}
NETWORKS = {name: seeded(config).double() for name, config in CONFIGS.items()}


def draw_part(draw, config):
    """A legal input size, and a part of the output."""
    about = geometry(config)
    size, keep = [], []
    for stride, margin, residue in zip(about.stride, about.margin, about.residue, strict=True):
        n = draw(st.integers(2 * margin // stride + 1, 2 * margin // stride + max(1, 64 // stride))) * stride + residue
        start = draw(st.integers(0, n - 2 * margin - 1))
        size.append(n)
        keep.append(slice(start, draw(st.integers(start + 1, n - 2 * margin))))
    return size, keep


@settings(deadline=None, max_examples=150)
@given(st.data(), st.sampled_from(list(CONFIGS)))
def test_a_part_is_that_of_the_whole(data, name):
    size, keep = draw_part(data.draw, CONFIGS[name])
    image = torch.randn(1, CONFIGS[name].in_channels, *size, dtype=torch.float64)
    with torch.inference_mode():
        whole = NETWORKS[name](image)
        found = Snapshot(NETWORKS[name])(image, keep)
    assert found.shape[2:] == tuple(part.stop - part.start for part in keep)
    torch.testing.assert_close(found, whole[(slice(None), slice(None), *keep)], atol=1e-9, rtol=1e-9)


def test_float32_fusion_is_within_1e_5(make):
    network = make(ModelConfig(width=8, depth=3))
    image = torch.randn(1, 1, 96, 96)
    with torch.inference_mode():
        difference = (Snapshot(network)(image, [slice(0, 96)] * 2) - network(image)).abs().max()
    assert difference < 1e-5


@pytest.mark.parametrize("ndim", [2, 3])
def test_layers_lie_channels_last_from_the_first_on(make, ndim):
    """Else each of them is copied."""
    snapshot = Snapshot(make(ModelConfig(width=8, depth=1, ndim=ndim)))
    image = torch.randn(1, 1, *(32,) * ndim)
    node = next(node for node in snapshot.graph.nodes if node.op == "conv")
    with torch.inference_mode():
        made = snapshot.run(node, [image], (0,) * ndim, alone=True)
    assert made.is_contiguous(memory_format=LAYOUT[ndim])


def test_training_goes_on_without_changing_a_snapshot(make):
    network = make(ModelConfig(width=2, depth=1))
    image = torch.randn(1, 1, 16, 16)
    snapshot, keep = Snapshot(network), [slice(0, 16)] * 2
    before = snapshot(image, keep)
    with torch.no_grad():
        for values in network.parameters():
            values.add_(1.0)
    torch.testing.assert_close(snapshot(image, keep), before)


def test_the_middle_of_a_tile_is_less_work_than_the_tile():
    graph, _ = fused_graph(plan(ModelConfig()))
    whole = operations(graph, (1216, 1216), [slice(0, 1216)] * 2)
    middle = operations(graph, (1216, 1216), [slice(96, 1120)] * 2)
    bare = operations(graph, (1024, 1024), [slice(0, 1024)] * 2)
    assert whole / bare == pytest.approx((1216 / 1024) ** 2)
    assert middle / bare < 1.2


def test_no_layer_computes_more_than_the_next_reads():
    graph, _ = fused_graph(plan(ModelConfig(ndim=3, width=16, depth=2)))
    keep = [slice(24, 152), slice(24, 536), slice(24, 536)]
    bare = operations(graph, (128, 512, 512), [slice(0, n) for n in (128, 512, 512)])
    assert operations(graph, (176, 560, 560), keep) / bare < 1.17
    # The last of the layers that look around makes what is wanted, and the one before it a pixel more at each side.
    found = windows(graph, (176, 560, 560), keep)
    last = [found[i].spans[0] for i, node in enumerate(graph.nodes) if node.op == "conv" and max(node.kernel) == 3]
    assert last[-2:] == [(23, 153), (24, 152)]
