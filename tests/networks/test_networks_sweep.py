"""A sweep through a tile gives what one pass over the tile gives, whatever the network, the axis and the slabs."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import ModelConfig
from napari_unet.networks import build_network, geometry
from napari_unet.networks.snapshot import Snapshot
from napari_unet.networks.sweep import Sweeper
from napari_unet.networks.sweep_plan import Sweep, SweepPlan, can_sweep

NETWORKS = {
    "unet": {"depth": 2},
    "unetpp": {"depth": 2, "architecture": "unetpp"},
    "unet3plus": {"depth": 2, "architecture": "unet3plus"},
    "fcn8s": {"depth": 3, "architecture": "fcn8s"},
    "valid": {"depth": 2, "padding": "valid", "norm": "none"},
    "valid, linear": {"depth": 2, "padding": "valid", "norm": "none", "upsampling": "linear"},
    "linear": {"depth": 2, "upsampling": "linear"},
    "nearest": {"depth": 2, "upsampling": "nearest"},
    "residual": {"depth": 2, "block": "residual"},
    "norm last": {"depth": 2, "block": "conv_relu_norm"},
    "volume": {"depth": 2, "ndim": 3},
    "flat volume": {"depth": 2, "ndim": 3, "spacing": (4, 1, 1)},
    "stem": {"depth": 2, "stem": "scale_space"},
    "volume with a stem": {"depth": 1, "ndim": 3, "stem": "scale_space", "spacing": (4, 1, 1)},
}


@pytest.fixture(scope="module")
def snapshots():
    torch.manual_seed(0)
    found = {}
    for name, settings_of_it in NETWORKS.items():
        config = ModelConfig(width=3, **settings_of_it)
        network = build_network(config).eval()
        for layer in network.modules():
            if getattr(layer, "running_mean", None) is not None:
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.5, 2)
        found[name] = config, Snapshot(network)
    return found


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=8)
@given(data=st.data())
def test_slabs_together_are_the_pass_over_the_tile(snapshots, name, data):
    config, snapshot = snapshots[name]
    around = geometry(config)
    axis, step = data.draw(st.integers(0, config.ndim - 1)), data.draw(st.integers(1, 20))
    margin, context = around.margin, [max(pair) for pair in zip(around.halo, around.context, strict=True)]
    lengths = [data.draw(st.integers(1, 30)) for _ in range(config.ndim)]
    starts = [context[i] - margin[i] + data.draw(st.integers(0, 5)) for i in range(config.ndim)]
    keep = tuple(slice(a, a + n) for a, n in zip(starts, lengths, strict=True))
    size = tuple(
        -(-(part.stop + margin[i] + context[i]) // around.stride[i]) * around.stride[i] + around.residue[i]
        for i, part in enumerate(keep)
    )
    sweep = Sweep(axis, size, keep, step)
    x = torch.rand(1, 1, *size)
    with torch.inference_mode():
        sweeper, slabs, given_before = Sweeper(snapshot, sweep), [], 0
        for stop in sweep.stops:
            end = stop + margin[axis] + context[axis]
            end = size[axis] if stop == keep[axis].stop else end + data.draw(st.integers(0, size[axis] - end))
            slabs.append(sweeper.slab(x.narrow(2 + axis, given_before, max(0, end - given_before))))
            given_before = max(end, given_before)
        found, expected = torch.cat(slabs, 2 + axis), snapshot(x, keep)
    assert [slab.shape[2 + axis] for slab in slabs[:-1]] == [step] * (len(slabs) - 1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["unet", "unetpp", "residual", "volume", "linear"])
def test_no_layer_computes_a_pixel_twice_and_each_reads_what_is_there(snapshots, name):
    config, snapshot = snapshots[name]
    size = (96,) * config.ndim
    plan = SweepPlan(snapshot.graph, Sweep(0, size, (slice(30, 60),) * config.ndim, 7))
    made = {0: (plan.first[0],) * 2}
    for _, stages in plan.steps():
        for stage in stages:
            start, stop = stage.makes
            before = made.setdefault(stage.index, (start, start))
            assert before[1] == start
            made[stage.index] = before[0], stop
            sources = [i for i in snapshot.graph.nodes[stage.index].inputs if snapshot.graph.nodes[i].op != "concat"]
            for source in sources if stop > start else []:
                assert made[source][0] <= stage.reads[0]
                assert stage.reads[1] <= made[source][1]


def test_memory_does_not_grow_with_the_length_and_grows_with_the_slabs(snapshots):
    _, snapshot = snapshots["volume"]
    options = [(200, 8), (800, 8), (800, 32)]
    short, long, thick = (
        SweepPlan(snapshot.graph, Sweep(2, (96, 96, n), (slice(24, 72), slice(24, 72), slice(24, n - 24)), step)).peak()
        for n, step in options
    )
    assert short == long < thick


def test_what_looks_at_the_whole_image_is_not_swept():
    for wrong in ({"norm": "group"}, {"architecture": "unet3plus", "guided": True}):
        assert not can_sweep(Snapshot(build_network(ModelConfig(width=2, depth=2, **wrong))).graph)


def test_planning_loads_no_torch():
    code = "import sys, napari_unet.networks.sweep_plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
