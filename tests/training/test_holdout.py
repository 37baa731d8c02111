"""Held-out strokes: whole areas, never neighbours of what is learnt, stable while strokes arrive."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.source import ImageSource
from napari_unet.data.strokes import Annotation
from napari_unet.training.holdout import GAP, HoldOut
from napari_unet.training.loop import Trainer

MODEL = ModelConfig(width=2, depth=1)
SHAPE = (600, 700)


def dots(seed=0, shape=SHAPE, share=0.002):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.integers(1, 3, shape), 0).astype(np.uint8)


def halves(strokes, share=0.2, first=5, seed=0):
    """The strokes that are learnt from, and those that are held out, as label images."""
    source = ImageSource(np.zeros(strokes.shape), "YX", 2)
    holdout = HoldOut(MODEL, share, first, seed)
    learnt = Annotation(source, MODEL)
    learnt.held_out = holdout.open("a", source)
    holdout.update("a", strokes, (), None)
    learnt.update(strokes)
    asked = np.full(strokes.shape, -1)
    for trial in holdout.trials():
        box = tuple(slice(a, a + n) for a, n in zip(trial.start, trial.targets.shape, strict=True))
        asked[box] = np.where(trial.targets >= 0, trial.targets, asked[box])
    return learnt.targets((), (0, 0), strokes.shape), asked


def test_held_out_strokes_are_what_was_painted_and_no_neighbours_of_learnt_ones():
    strokes = dots()
    learnt, asked = halves(strokes)
    assert (asked >= 0).any()
    np.testing.assert_array_equal(asked[asked >= 0], strokes[asked >= 0] - 1)
    np.testing.assert_array_equal(learnt[learnt >= 0], strokes[learnt >= 0] - 1)
    assert distance_transform_edt(learnt < 0)[asked >= 0].min() > GAP[2]


def test_a_share_of_the_areas_is_held_out():
    learnt, asked = halves(dots(), share=0.2)
    areas = {(y // 128, x // 128) for y, x in np.argwhere(asked >= 0)}
    assert len(areas) == int(0.2 * 5 * 6)
    assert not areas & {(y // 128, x // 128) for y, x in np.argwhere(learnt >= 0)}


@pytest.mark.parametrize(("share", "first"), [(0.0, 2), (0.2, 30)])
def test_few_strokes_are_all_learnt(share, first):
    strokes = dots()
    learnt, asked = halves(strokes, share, first)
    assert not (asked >= 0).any()
    assert ((learnt >= 0) == (strokes > 0)).all()


def test_no_area_with_most_of_a_class_is_held_out():
    strokes = np.where(dots() > 0, 1, 0).astype(np.uint8)
    strokes[300:310, 300:310] = 2
    for seed in range(20):
        assert (halves(strokes, 0.5, 2, seed)[0] == 1).any()


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_what_was_learnt_is_never_held_out_later_nor_the_other_way_round(random, seed):
    source = ImageSource(np.zeros(SHAPE), "YX", 2)
    holdout = HoldOut(MODEL, 0.3, 3, seed)
    held = holdout.open("a", source)
    whole, strokes, seen = dots(seed, share=0.0005), np.zeros(SHAPE, np.uint8), {}
    points = np.argwhere(whole)
    order = list(range(len(points)))
    random.shuffle(order)
    for some in np.array_split(order, 8):
        for y, x in points[some]:
            strokes[y, x] = whole[y, x]
        holdout.update("a", strokes, (), None)
        now = {key: held(key) for key in holdout.blocks("a")}
        assert all(now[key] == part for key, part in seen.items())
        seen |= now


def test_the_same_again():
    np.testing.assert_array_equal(halves(dots(), seed=3)[1], halves(dots(), seed=3)[1])
    assert not np.array_equal(halves(dots(), seed=3)[1], halves(dots(), seed=4)[1])


def trained(strokes, **changes):
    config = TrainConfig(
        steps=4, patch_size=32, batch_size=2, device="cpu", **{"holdout": 0.3, "holdout_from": 3, **changes}
    )
    trainer = Trainer(MODEL, config)
    trainer.set_image("a", np.random.default_rng(1).random(strokes.shape), "YX")
    trainer.set_strokes("a", strokes)
    list(trainer.run())
    return trainer.prediction_state()


def test_held_out_strokes_have_no_influence_on_the_weights():
    strokes = dots()
    held = halves(strokes, 0.3, 3)[1] >= 0
    lies = np.where(held, 3 - strokes, strokes)
    assert (lies != strokes).any()
    one, other = trained(strokes), trained(lies)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], value) for name, value in trained(lies, holdout=0.0).items())


def test_no_holding_out_any_more_lets_everything_be_learnt():
    trainer = Trainer(MODEL, TrainConfig(steps=1, patch_size=32, device="cpu", holdout=0.3, holdout_from=3))
    trainer.set_image("a", np.random.default_rng(1).random(SHAPE), "YX")
    trainer.set_strokes("a", dots())
    counts = [next(trainer.run(trainer.config.replace(holdout=share))).annotated for share in (0.3, 0.0)]
    assert sum(counts[0].values()) < sum(counts[1].values()) == (dots() > 0).sum()


def test_strokes_of_a_model_that_may_have_learnt_them_are_not_held_out():
    first = Trainer(MODEL, TrainConfig(device="cpu"))
    trainer = Trainer(
        MODEL,
        TrainConfig(steps=1, patch_size=32, device="cpu", holdout=0.3, holdout_from=3),
        state=first.prediction_state(),
        step=10,
    )
    trainer.set_image("a", np.random.default_rng(1).random(SHAPE), "YX")
    trainer.set_strokes("a", dots())
    assert sum(next(trainer.run()).annotated.values()) == (dots() > 0).sum()
    assert "may have learnt from these strokes" in trainer._monitor.holdout.lack()
