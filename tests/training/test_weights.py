import torch

from napari_unet.config import BoundaryConfig
from napari_unet.data.annotations import IGNORE
from napari_unet.training.weights import LARGEST, class_weights, pixel_weights


def test_sparse_strokes_are_balanced_and_complete_annotations_are_not():
    targets = torch.full((2, 100, 100), IGNORE)
    targets[0, 0, :4] = torch.tensor([0, 1, 0, 2])
    weights = class_weights(targets, 4)
    torch.testing.assert_close(weights[0, 0, [0, 1, 3]], torch.tensor([2 / 3, 4 / 3, 4 / 3]), rtol=1e-3, atol=0)
    targets[1] = 0
    targets[1, :2] = 1
    assert (class_weights(targets, 4)[1] == 1).all()


def test_each_class_weighs_the_same_in_a_batch_however_often_it_is_painted():
    targets = torch.full((2, 200, 200), IGNORE)
    targets[0, 0, :100], targets[1, 0, :40] = 0, 1
    weights = class_weights(targets, 2)
    shares = [float(weights[targets == k].sum()) for k in (0, 1)]
    assert abs(shares[0] / sum(shares) - 0.5) < 0.01


def test_a_class_with_next_to_no_pixels_does_not_drown_the_others():
    targets = torch.full((1, 300, 300), IGNORE)
    targets[0, 0, :200], targets[0, 1, 0] = 0, 1
    assert float(class_weights(targets, 2).max()) <= LARGEST


def test_class_and_boundary_weights_add_up():
    targets, boundary = torch.tensor([[0, 1, -1, 2]]), torch.tensor([[0.0, 0.5, 0.0, 0.0]])
    balanced = pixel_weights(targets, boundary, 3, BoundaryConfig())
    assert torch.equal(balanced, class_weights(targets, 3) + boundary)
    assert torch.equal(pixel_weights(targets, boundary, 3, BoundaryConfig(class_balance=False)), boundary + 1)


def test_falks_weights_of_objects_and_far_background():
    targets = torch.tensor([[0, 1, 2]])
    weights = pixel_weights(targets, torch.zeros(1, 3), 3, BoundaryConfig(method="falk"))
    torch.testing.assert_close(weights, torch.tensor([[0.1, 1.0, 1.0]]))
