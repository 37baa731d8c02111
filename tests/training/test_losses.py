import math

import pytest
import torch
import torch.nn.functional as F

from napari_unet.config import LossConfig
from napari_unet.errors import ConfigError
from napari_unet.training.losses import Loss, cross_entropy, dice, focal, patch_losses, tversky

#: Every part by itself, and some of them together.
CONFIGS = [
    LossConfig(),
    LossConfig(dice=0),
    LossConfig(cross_entropy=0),
    LossConfig(cross_entropy=0, weighted_overlap=True),
    LossConfig(cross_entropy=0, dice=0, focal=1),
    LossConfig(cross_entropy=0, dice=0, focal=1, focal_gamma=0.5),
    LossConfig(cross_entropy=0, dice=0, tversky=1),
    LossConfig(cross_entropy=0, dice=0, tversky=1, tversky_gamma=4 / 3, weighted_overlap=True),
    LossConfig(focal=0.5, tversky=2, weighted_overlap=True),
]


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


class BaseTester:
    """What holds for every loss; see `TestCrossEntropy` and the others."""

    @staticmethod
    def loss(logits, targets, weights=None):
        raise NotImplementedError

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_smoke(self, dtype):
        logits, targets, weights = example()
        loss = self.loss(logits.to(dtype), targets, weights)
        assert torch.isfinite(loss)
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)

    @pytest.mark.parametrize("shape", [(1,), (9,), (9, 8), (3, 4, 5)])
    @pytest.mark.parametrize("classes", [1, 2, 5])
    def test_cardinality(self, classes, shape):
        logits, targets, weights = example(classes, shape)
        loss = self.loss(logits, targets, weights)
        assert loss.shape == ()
        assert loss >= 0

    def test_exception(self):
        with pytest.raises(ValueError, match=r"\(1, 2, 4, 4\), not \(1, 4, 5\)"):
            self.loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 5, dtype=torch.long))

    @pytest.mark.parametrize("classes", [1, 3])
    def test_gradcheck(self, classes):
        logits, targets, weights = example(classes, (3, 2))
        logits, weights = logits.double().requires_grad_(), weights.double()
        assert torch.autograd.gradcheck(lambda z: self.loss(z, targets, weights), (logits,))

    def test_weights_of_1_change_nothing(self):
        logits, targets, weights = example()
        torch.testing.assert_close(self.loss(logits, targets, torch.ones_like(weights)), self.loss(logits, targets))

    def test_a_better_answer_costs_less(self):
        targets = torch.tensor([[0, 1, 2, 1, -1, 0]])
        right = F.one_hot(targets.clamp(min=0), 3).movedim(-1, 1).float()
        losses = [float(self.loss(right * scale, targets)) for scale in (-4, 0, 1, 4, 30)]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] == pytest.approx(0, abs=1e-4)

    def test_the_order_of_pixels_does_not_matter(self):
        logits, targets, weights = example()
        flipped = self.loss(logits.flip(2), targets.flip(1), weights.flip(1))
        torch.testing.assert_close(flipped, self.loss(logits, targets, weights))


class TestCrossEntropy(BaseTester):
    loss = staticmethod(cross_entropy)


class TestDice(BaseTester):
    loss = staticmethod(dice)


class TestFocal(BaseTester):
    loss = staticmethod(focal)

    def test_known_value_and_cross_entropy_at_gamma_0(self):
        logits, targets, weights = example()
        p = logits.softmax(1).gather(1, targets.clamp(min=0)[:, None])[:, 0]
        expected = (weights * (1 - p) ** 2 * -p.log())[targets >= 0].sum() / weights[targets >= 0].sum()
        torch.testing.assert_close(focal(logits, targets, weights), expected)
        torch.testing.assert_close(focal(logits, targets, weights, 0), cross_entropy(logits, targets, weights))

    def test_gradient_is_finite_where_a_pixel_is_surely_right(self):
        logits = torch.tensor([[[200.0], [-200.0]]], requires_grad=True)
        focal(logits, torch.tensor([[0]]), gamma=0.5).backward()
        assert torch.isfinite(logits.grad).all()


class TestTversky(BaseTester):
    loss = staticmethod(tversky)

    def test_equal_costs_are_dice(self):
        logits, targets, _ = example(2)
        p, known = logits.softmax(1)[:, 1], targets >= 0
        t = (targets == 1).float()
        expected = 1 - (2 * (p * t)[known].sum() + 1) / (p[known].sum() + t[known].sum() + 1)
        torch.testing.assert_close(tversky(logits, targets, None, 0.5, 0.5), expected)
        only = torch.where(targets == 1, -1, targets)
        torch.testing.assert_close(tversky(logits, only, None, 0.5, 0.5), dice(logits, only))

    def test_a_missed_pixel_costs_more_than_a_false_one(self):
        sure = 50.0
        targets = torch.tensor([[1] * 10 + [0] * 10])

        def index(found):
            logits = torch.where(torch.arange(20) < found, sure, -sure)[None, None]
            return float(tversky(logits, targets, alpha=0.0, beta=1.0))

        assert index(6) > index(14)


class TestFocalTversky(BaseTester):
    loss = staticmethod(lambda z, t, w=None: tversky(z, t, w, gamma=4 / 3))

    def test_is_a_root(self):
        logits, targets, _ = example(2)
        plain, bent = (float(tversky(logits, targets, gamma=gamma)) for gamma in (1, 4 / 3))
        assert bent == pytest.approx(plain**0.75, rel=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("rubbish", [1e4, math.inf, math.nan])
def test_unannotated_pixels_have_no_influence_at_all(config, classes, rubbish):
    logits, targets, weights = example(classes)
    outside = targets < 0
    other = torch.where(outside[:, None], torch.full_like(logits, rubbish), logits)
    results = []
    for values, w in ((logits, weights), (other, torch.where(outside, rubbish, weights))):
        values = values.clone().requires_grad_()
        loss = Loss(config)(values, targets, w)
        loss.backward()
        results.append((loss.detach(), values.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not results[1][1].movedim(1, -1)[outside].any()
    assert results[1][1].movedim(1, -1)[~outside].all()


@pytest.mark.parametrize("config", CONFIGS)
def test_nothing_annotated_is_0_with_a_zero_gradient(config):
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = Loss(config)(logits, torch.full((1, 4, 4), -1), torch.ones(1, 4, 4))
    loss.backward()
    assert loss.detach() == 0
    assert not logits.grad.any()


def test_parts_add_up():
    logits, targets, weights = example()
    total = Loss(LossConfig(cross_entropy=2, dice=0.5, focal=3, tversky=0.1))(logits, targets, weights)
    expected = 2 * cross_entropy(logits, targets, weights) + 0.5 * dice(logits, targets)
    expected += 3 * focal(logits, targets, weights) + 0.1 * tversky(logits, targets)
    torch.testing.assert_close(total, expected)


def test_a_loss_of_no_part_is_refused():
    with pytest.raises(ConfigError, match="at least one part"):
        LossConfig(cross_entropy=0, dice=0)


@pytest.mark.parametrize(("decay", "shares"), [(1.0, (1, 1, 1)), (0.5, (4, 2, 1)), (0.0, (1, 0, 0))])
def test_deep_supervision_weighs_the_outputs(decay, shares):
    logits, targets, weights = example()
    loss = Loss(LossConfig(deep_decay=decay))
    each = [loss(logits * scale, targets, weights) for scale in (1, 2, 3)]
    expected = sum(share * part for share, part in zip(shares, each, strict=True)) / sum(shares)
    torch.testing.assert_close(loss.deep([logits * scale for scale in (1, 2, 3)], targets, weights), expected)


def test_patch_losses_are_those_of_each_patch_alone():
    logits, targets, _ = example()
    targets[1] = -1
    found = patch_losses(logits.requires_grad_(), targets)
    torch.testing.assert_close(found[0], cross_entropy(logits[:1], targets[:1]).detach())
    assert torch.isnan(found[1])
    assert not found.requires_grad
