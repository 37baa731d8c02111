import pytest
import torch

from napari_unet.config import PseudoConfig
from napari_unet.training.losses import cross_entropy
from napari_unet.training.pseudo import pseudo_labels, pseudo_loss, ramp


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_strokes_are_never_overruled_and_doubts_are_left_out(classes):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 20, 20, generator=generator) * 3
    targets = torch.randint(-1, 2, (2, 20, 20), generator=generator)
    labels = pseudo_labels(logits, targets, 0.9)
    assert (labels[targets >= 0] == -1).all()
    two = torch.cat([torch.zeros_like(logits), logits], 1) if classes == 1 else logits
    sure = two.softmax(1).amax(1) >= 0.9
    assert torch.equal(labels >= 0, sure & (targets < 0))
    assert torch.equal(labels[labels >= 0], two.argmax(1)[labels >= 0])
    assert 0 < (labels >= 0).float().mean() < 1


def test_loss_learns_from_the_teacher_and_not_the_other_way():
    teacher = torch.nn.Conv2d(1, 2, 1).eval()
    images, targets = torch.randn(2, 1, 8, 8) * 9, torch.full((2, 8, 8), -1)
    logits = torch.zeros(2, 2, 8, 8, requires_grad=True)
    config = PseudoConfig(weight=0.5, warmup=10)
    loss = pseudo_loss(logits, images, targets, teacher, config, 10)
    loss.backward()
    expected = 0.5 * cross_entropy(logits, pseudo_labels(teacher(images), targets, 0.8))
    torch.testing.assert_close(loss, expected)
    assert teacher.weight.grad is None
    assert logits.grad.any()
    torch.testing.assert_close(pseudo_loss(logits, images, targets, teacher, config, 0), expected * ramp(0, 10))


def test_everything_annotated_adds_nothing():
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    loss = pseudo_loss(logits, logits, torch.ones(1, 4, 4, dtype=torch.long), torch.nn.Identity(), PseudoConfig(), 0)
    assert loss == 0


def test_ramp_rises_to_1():
    values = [ramp(step, 100) for step in range(0, 120, 10)]
    assert values == sorted(values)
    assert values[0] < 0.01
    assert values[-1] == ramp(0, 0) == 1
