import torch

from napari_unet.config import BoundaryConfig
from napari_unet.data.annotations import IGNORE
from napari_unet.training.weights import class_weights, pixel_weights


def test_sparse_strokes_are_balanced_and_complete_annotations_are_not():
    targets = torch.full((2, 100, 100), IGNORE)
    targets[0, 0, :4] = torch.tensor([0, 1, 0, 2])
    targets[1] = 0
    targets[1, :2] = 1
    weights = class_weights(targets, torch.tensor([800, 100, 100, 0]))
    torch.testing.assert_close(weights[0, 0, [0, 1, 3]], torch.tensor([10 / 24, 10 / 3, 10 / 3]), rtol=1e-3, atol=0)
    assert (weights[1] == 1).all()


def test_class_and_boundary_weights_add_up():
    targets, boundary = torch.tensor([[0, 1, -1, 2]]), torch.tensor([[0.0, 0.5, 0.0, 0.0]])
    counts = torch.tensor([90, 10, 5])
    balanced = pixel_weights(targets, boundary, counts, BoundaryConfig())
    assert torch.equal(balanced, class_weights(targets, counts) + boundary)
    assert torch.equal(pixel_weights(targets, boundary, counts, BoundaryConfig(class_balance=False)), boundary + 1)


def test_falks_weights_of_objects_and_far_background():
    targets = torch.tensor([[0, 1, 2]])
    weights = pixel_weights(targets, torch.zeros(1, 3), torch.ones(3), BoundaryConfig(method="falk"))
    torch.testing.assert_close(weights, torch.tensor([[0.1, 1.0, 1.0]]))
