import math

import pytest
import torch
import torch.nn.functional as F

from napari_unet.config import LossConfig
from napari_unet.data.annotations import IGNORE
from napari_unet.training.losses import Loss, class_weights, cross_entropy, dice


def example(classes=3, shape=(9, 8), seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, *shape, generator=generator)
    targets = torch.randint(-1, max(classes, 2), (2, *shape), generator=generator)
    return logits, targets, torch.rand(2, *shape, generator=generator) + 0.1


@pytest.mark.parametrize("shape", [(9,), (9, 8), (3, 4, 5)])
def test_cross_entropy_equals_torch(shape):
    logits, targets, _ = example(shape=shape)
    torch.testing.assert_close(cross_entropy(logits, targets), F.cross_entropy(logits, targets, ignore_index=-1))


def test_weights_are_a_weighted_mean():
    logits, targets, weights = example()
    nll = F.cross_entropy(logits, targets, ignore_index=-1, reduction="none")
    expected = (nll * weights).sum() / weights[targets >= 0].sum()
    torch.testing.assert_close(cross_entropy(logits, targets, weights), expected)


def test_one_logit_is_a_sigmoid():
    logits, targets, _ = example(1)
    known = targets >= 0
    expected = F.binary_cross_entropy_with_logits(logits[:, 0][known], targets[known].float())
    torch.testing.assert_close(cross_entropy(logits, targets), expected)


def test_dice_of_known_values():
    sure = 50.0
    logits = torch.tensor([[[sure, sure, -sure, -sure], [-sure, -sure, sure, sure]]])
    assert float(dice(logits, torch.tensor([[0, 0, 1, 1]]))) == pytest.approx(0, abs=1e-6)
    assert float(dice(logits, torch.tensor([[1, 1, 0, 0]]))) == pytest.approx(1 - 1 / 5)
    assert float(dice(logits, torch.tensor([[0, -1, -1, -1]]))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("rubbish", [1e4, math.inf, math.nan])
def test_unannotated_pixels_have_no_influence_at_all(classes, rubbish):
    logits, targets, weights = example(classes)
    other = torch.where((targets < 0)[:, None], torch.full_like(logits, rubbish), logits)
    results = []
    for values in (logits, other):
        values = values.clone().requires_grad_()
        loss = Loss(LossConfig())(values, targets, weights)
        loss.backward()
        results.append((loss.detach(), values.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not results[1][1].movedim(1, -1)[targets < 0].any()
    assert results[1][1].movedim(1, -1)[targets >= 0].all()


def test_nothing_annotated_is_0_with_a_zero_gradient():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = Loss(LossConfig())(logits, torch.full((1, 4, 4), -1), torch.ones(1, 4, 4))
    loss.backward()
    assert loss.detach() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("function", [cross_entropy, dice])
@pytest.mark.parametrize("classes", [1, 3])
def test_gradients(function, classes):
    logits, targets, _ = example(classes, (3, 2))
    logits = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: function(z, targets), (logits,))


def test_parts_add_up():
    logits, targets, weights = example()
    total = Loss(LossConfig(cross_entropy=2, dice=0.5))(logits, targets, weights)
    torch.testing.assert_close(total, 2 * cross_entropy(logits, targets, weights) + 0.5 * dice(logits, targets))


def test_wrong_shape_says_what_it_got():
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 4\), not \(1, 4, 5\)"):
        cross_entropy(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 5, dtype=torch.long))


def test_sparse_strokes_are_balanced_and_complete_annotations_are_not():
    targets = torch.full((2, 100, 100), IGNORE)
    targets[0, 0, :4] = torch.tensor([0, 1, 0, 2])
    targets[1] = 0
    targets[1, :2] = 1
    weights = class_weights(targets, torch.tensor([800, 100, 100, 0]))
    torch.testing.assert_close(weights[0, 0, [0, 1, 3]], torch.tensor([10 / 24, 10 / 3, 10 / 3]), rtol=1e-3, atol=0)
    assert (weights[1] == 1).all()
