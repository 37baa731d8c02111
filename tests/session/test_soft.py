"""Class and certainty in one byte."""

import numpy as np
import pytest

from napari_unet.session.soft import code, hard_codes, levels, soften


@pytest.mark.parametrize("classes", [2, 3, 5, 20, 255])
def test_every_code_is_a_byte_of_its_own(classes):
    codes = [code(value, level, classes) for value in range(2, classes + 1) for level in range(levels(classes))]
    assert len(set(codes)) == len(codes)
    assert min(codes) > 0
    assert max(codes) <= 255


def test_labels_are_the_likeliest_class_and_codes_its_certainty():
    probabilities = np.array([[0.9, 0.4, 0.0], [0.1, 0.2, 0.0], [0.0, 0.4, 1.0]], np.float32)[..., None]
    labels, codes = soften(probabilities, 3)
    assert labels.ravel().tolist() == [1, 1, 3]
    steps = levels(3)
    assert codes.ravel().tolist() == [code(2, int(0.1 * steps), 3), code(3, int(0.6 * steps), 3), code(3, steps - 1, 3)]


def test_one_plane_is_the_foreground():
    labels, codes = soften(np.array([[[0.2, 0.8]]], np.float32), 2)
    assert labels.tolist() == [[1, 2]]
    assert codes[0, 0] < codes[0, 1]


def test_a_boundary_belongs_to_the_object():
    labels, _ = soften(np.array([[[0.4]], [[0.3]], [[0.3]]], np.float32), 2)
    assert labels.tolist() == [[2]]


def test_known_classes_are_certain():
    table = hard_codes(3)
    assert table[0] == 0
    assert table[1] == code(2, 0, 3)
    assert table[3] == code(3, levels(3) - 1, 3)
