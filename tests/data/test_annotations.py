import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_unet.config import BoundaryConfig, ModelConfig
from napari_unet.data.annotations import check_annotated, import_mask, objects_of, rims, targets_of
from napari_unet.data.source import ImageSource
from napari_unet.data.strokes import NEGLIGIBLE, Annotation
from napari_unet.data.weightmap import boundary_term, falk_weight_map
from napari_unet.errors import AnnotationError, ConfigError

CELLS = ModelConfig(task="instances")
RIMS = ModelConfig(task="instances", instance_target="boundary")


def annotation(shape, axes="YX", model=None, **settings):
    model = model or ModelConfig()
    return Annotation(ImageSource(np.zeros(shape, np.uint8), axes, model.ndim), model, BoundaryConfig(**settings))


# ---------------------------------------------------------------------- the rule


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.uint64])
def test_semantic_rule(dtype):
    assert targets_of(np.array([0, 1, 2, 3], dtype), "semantic").tolist() == [-1, 0, 1, 2]


def test_instances_with_huge_values_do_not_overflow():
    strokes = np.array([0, 1, 2, 0, 70_000, 0, 2**40], np.int64)
    assert targets_of(strokes, "instances").tolist() == [-1, 0, 1, -1, 1, -1, 1]


@settings(deadline=None)
@given(hnp.arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 1, 2, 3, 200])))
def test_objects_are_apart_after_the_forced_gap(strokes):
    kept = np.where(targets_of(strokes, "instances") == 1, strokes, 0)
    pieces, count = ndimage.label(kept, np.ones((3, 3)))
    assert all(np.unique(kept[pieces == i]).size == 1 for i in range(1, count + 1))
    changed = (targets_of(strokes, "instances") == 0) & (strokes != 1)
    assert ((targets_of(strokes, "instances") == -1) == (strokes == 0)).all()
    assert not changed[strokes == 200].any()


@settings(deadline=None)
@given(hnp.arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 1, 2, 3, 200])))
def test_interior_and_boundary_together_are_the_object(strokes):
    targets = targets_of(strokes, "instances", "boundary")
    np.testing.assert_array_equal(targets == -1, strokes == 0)
    np.testing.assert_array_equal(targets == 0, strokes == 1)
    for at in zip(*np.nonzero(strokes > 1), strict=True):
        near = strokes[tuple(slice(max(i - 1, 0), i + 2) for i in at)]
        assert targets[at] == (2 if np.any((near != strokes[at]) & (near != 0)) else 1)


def test_flat_objects_keep_an_interior():
    strokes = np.ones((5, 9, 9), np.uint8)
    strokes[2, 2:7, 2:7] = 2
    assert not (targets_of(strokes, "instances", "boundary") == 1).any()
    flat = targets_of(strokes, "instances", "boundary", (3.0, 1.0, 1.0))
    assert (flat == 1).sum() == 9
    assert (flat == 2).sum() == 16
    strokes[3, 4, 4] = 3
    assert rims(strokes, (3.0, 1.0, 1.0))[2, 4, 4]


def test_semantic_objects_are_connected_pieces_of_one_class():
    strokes = np.array([[2, 2, 0, 3, 2], [0, 0, 1, 0, 2]])
    objects = objects_of(strokes, "semantic")
    assert len(np.unique(objects)) - 1 == 3
    assert (objects[strokes < 2] == 0).all()


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.int16, 32767), (np.uint8, 3)])
def test_imported_masks_do_not_overflow(dtype, top):
    strokes = import_mask(np.array([0, 1, top], dtype))
    assert strokes.tolist() == [1, 2, top + 1]


def test_imported_mask_of_bool():
    assert import_mask(np.array([False, True])).tolist() == [1, 2]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_imported_mask_with_pixels_to_ignore(dtype):
    strokes = import_mask(np.array([0, 1, 254, 255], dtype), ignore=255)
    assert strokes.dtype == np.uint8
    assert strokes.tolist() == [1, 2, 255, 0]


def test_imported_masks_must_be_integers():
    with pytest.raises(AnnotationError, match="integers"):
        import_mask(np.zeros((3, 3)))


# ---------------------------------------------------------------------- errors in one sentence


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"background": 0, "cell": 0}, "at least two classes first"),
        ({"background": 0, "cell": 5}, "a little background too"),
        ({"background": 5, "cell": 0}, "a little cell too"),
        ({"background": 0, "cell": 0, "edge": 1}, "a little background too"),
    ],
)
def test_too_few_strokes(counts, sentence):
    with pytest.raises(AnnotationError, match=sentence):
        check_annotated(counts)


def test_two_classes_are_enough():
    check_annotated({"background": 0, "cell": 3, "edge": 1})


def test_other_shape_than_the_image():
    with pytest.raises(AnnotationError, match=r"strokes have \(4, 5\) pixels, the image \(4, 6\)"):
        annotation((4, 6)).update(np.ones((4, 5), np.uint8))


def test_value_without_a_class_keeps_the_old_strokes():
    a = annotation((8, 8))
    a.update(np.ones((8, 8), np.uint8))
    with pytest.raises(AnnotationError, match="value 3, and with 2 classes the largest is 2"):
        a.update(np.full((8, 8), 3, np.uint8))
    assert a.counts.tolist() == [64, 0]


@pytest.mark.parametrize("strokes", [np.ones((8, 8)), np.full((8, 8), -1)])
def test_strokes_must_be_integers_of_0_and_up(strokes):
    with pytest.raises(AnnotationError, match="give the strokes"):
        annotation((8, 8)).update(strokes)


# ---------------------------------------------------------------------- the sparse snapshot


def random_strokes(shape, seed=0, top=2, share=0.02):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.integers(1, top + 1, shape), 0).astype(np.uint16)


def whole(a, lead=()):
    return lead, [0] * a.source.ndim, list(a.source.spatial)


@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (65, 200), (130, 7)])
@pytest.mark.parametrize("model", [ModelConfig(), CELLS, RIMS])
def test_snapshot_equals_the_rule_on_the_whole(shape, model):
    a, strokes = annotation(shape, model=model), random_strokes(shape, share=0.3)
    a.update(strokes)
    expected = targets_of(strokes, model.task, model.instance_target)
    np.testing.assert_array_equal(a.targets(*whole(a)), expected)
    assert a.counts.tolist() == [(expected == i).sum() for i in range(3 if model.has_boundary else 2)]


def test_objects_touching_across_blocks_are_parted():
    a, strokes = annotation((20, 200), model=CELLS), np.zeros((20, 200), np.uint8)
    strokes[5:15, 40:64], strokes[5:15, 64:90] = 2, 3
    a.update(strokes)
    np.testing.assert_array_equal(a.targets(*whole(a)), targets_of(strokes, "instances"))
    assert (a.targets(*whole(a))[5:15, 63] == 0).all()


def test_outside_the_image_is_ignored():
    a = annotation((10, 10))
    a.update(np.ones((10, 10), np.uint8))
    targets = a.targets((), (-5, 3), (5, 13))
    assert (targets[:5] == -1).all()
    assert (targets[5:, :7] == 0).all()
    assert (targets[5:, 7:] == -1).all()


def test_memory_follows_the_strokes():
    shape = (40, 2048, 2048)
    a, strokes = annotation(shape, "TYX"), np.zeros(shape, np.uint8)
    strokes[7, 100:110, 100:110] = 2
    strokes[30, 2000:2010, 5] = 1
    a.update(strokes)
    assert sum(block.values.nbytes + block.targets.nbytes for block in a.blocks.values()) < 50_000
    assert a.counts.tolist() == [10, 100]
    assert {lead for lead, _ in a.blocks} == {(7,), (30,)}


def test_the_snapshot_does_not_follow_the_array():
    a, strokes = annotation((8, 8)), np.ones((8, 8), np.uint8)
    a.update(strokes)
    strokes[:] = 2
    assert a.counts.tolist() == [64, 0]


@pytest.mark.parametrize("model", [ModelConfig(), CELLS, RIMS])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_an_update_of_the_changed_box_equals_a_full_one(model, data):
    shape = (3, 100, 150)
    part, full = annotation(shape, "TYX", model), annotation(shape, "TYX", model)
    strokes = random_strokes(shape, share=0.01, top=2 if model.task == "semantic" else 5)
    part.update(strokes)
    part.boundary((1,), (0, 0), (100, 150))
    box = tuple(tuple(sorted(data.draw(st.tuples(*[st.integers(-3, n + 3)] * 2)))) for n in shape)
    inside = tuple(slice(max(a, 0), max(b, 0)) for a, b in box)
    strokes[inside] = data.draw(st.sampled_from([0, 1, 2]))
    part.update(strokes, changed=box)
    full.update(strokes)
    for lead in part.source.planes():
        np.testing.assert_array_equal(part.targets(*whole(part, lead)), full.targets(*whole(full, lead)))
        np.testing.assert_array_equal(part.boundary(*whole(part, lead)), full.boundary(*whole(full, lead)))
    assert part.counts.tolist() == full.counts.tolist()
    assert set(part.blocks) == set(full.blocks)


def test_complete_regions_turn_0_into_background():
    a, strokes = annotation((4, 100, 100), "ZYX"), np.zeros((4, 100, 100), np.uint8)
    strokes[2, 50, 50] = 2
    a.update(strokes, complete=[((2, 3), (40, 90), (-5, 60))])
    expected = np.full((100, 100), -1)
    expected[40:90, :60] = 0
    expected[50, 50] = 1
    np.testing.assert_array_equal(a.targets(*whole(a, (2,))), expected)
    assert (a.targets(*whole(a, (1,))) == -1).all()


@pytest.mark.parametrize("task", ["semantic", "instances"])
def test_the_ignore_value_is_not_annotated_even_in_a_complete_region(task):
    a, strokes = annotation((20, 20), model=ModelConfig(task=task, ignore_value=255)), np.zeros((20, 20), np.uint8)
    strokes[5, 5], strokes[8, 8], strokes[:, 19] = 2, 255, 255
    a.update(strokes, complete=[((0, 10), (0, 20))])
    targets = a.targets(*whole(a))
    assert (targets[8, 8], targets[5, 5], targets[3, 3]) == (-1, 1, 0)
    assert (targets[:, 19] == -1).all()
    assert a.counts.tolist() == [10 * 19 - 2, 1]


def test_an_ignore_value_that_is_a_class_is_refused():
    with pytest.raises(ConfigError, match="ignore_value above 2"):
        ModelConfig(ignore_value=2)


def test_complete_region_needs_every_axis():
    with pytest.raises(AnnotationError, match="2 axes"):
        annotation((9, 9)).update(np.zeros((9, 9), np.uint8), complete=[((0, 4),)])


def test_lead_axes_anywhere():
    a, strokes = annotation((30, 40, 3), "YXT"), np.zeros((30, 40, 3), np.uint8)
    strokes[4, 5, 2] = 2
    a.update(strokes)
    assert a.targets((2,), (4, 5), (5, 6)).item() == 1
    assert (a.targets(*whole(a, (1,))) == -1).all()


# ---------------------------------------------------------------------- boundary weights of the snapshot


@pytest.mark.parametrize("sigma", [2.0, 5.0, 30.0])
@pytest.mark.parametrize("model", [ModelConfig(), CELLS, RIMS])
def test_boundary_equals_the_whole_map(sigma, model):
    shape = (150, 300)
    a, strokes = annotation(shape, model=model, sigma=sigma), np.zeros(shape, np.uint8)
    rng = np.random.default_rng(0)
    for value, (y, x) in enumerate(rng.integers(0, [140, 290], (15, 2)), start=2):
        strokes[y : y + 9, x : x + 7] = 2 if model.task == "semantic" else value
    strokes[70:90][strokes[70:90] == 0] = 1
    a.update(strokes)
    objects = objects_of(strokes, model.task)
    objects[a.targets(*whole(a)) < 1] = 0
    expected = boundary_term(objects, 10, sigma, None, NEGLIGIBLE)
    inside = strokes > 0
    np.testing.assert_allclose(a.boundary(*whole(a))[inside], expected[inside], atol=1e-5)
    assert expected[inside].max() > 1


@pytest.mark.parametrize("model", [CELLS, RIMS])
def test_falks_boundary_equals_the_whole_map(model):
    shape = (100, 220)
    a, strokes = annotation(shape, model=model, method="falk", w0=50, sigma=6), np.ones(shape, np.uint8)
    rng = np.random.default_rng(0)
    for value, (y, x) in enumerate(rng.integers(0, [90, 210], (9, 2)), start=2):
        strokes[y : y + 9, x : x + 7] = value
    a.update(strokes)
    objects = np.where(a.targets(*whole(a)) >= 1, strokes, 0)
    expected = np.where(objects > 0, 0, falk_weight_map(objects) - np.float32(0.1))
    np.testing.assert_allclose(a.boundary(*whole(a)), expected, atol=2 * NEGLIGIBLE)


def test_falks_weights_are_a_sum_over_classes():
    a = annotation((5, 40), model=ModelConfig(classes=("background", "a", "b")), method="falk", w0=50, sigma=6)
    strokes = np.ones((5, 40), np.uint8)
    strokes[:, :10], strokes[:, 30:] = 2, 3
    a.update(strokes)
    expected = sum(falk_weight_map(np.where(strokes == value, 1, 0)) - 0.1 for value in (2, 3))
    np.testing.assert_allclose(a.boundary(*whole(a))[:, 10:30], expected[:, 10:30], atol=2 * NEGLIGIBLE)
    assert not a.boundary(*whole(a))[:, :10].any()


def test_boundary_settings_can_change():
    a, strokes = annotation((9, 9)), np.ones((9, 9), np.uint8)
    strokes[4, 2] = strokes[4, 6] = 2
    a.update(strokes)
    strong = a.boundary(*whole(a)).max()
    a.use(BoundaryConfig(w0=1.0))
    assert a.boundary(*whole(a)).max() == pytest.approx(strong / 10, rel=1e-4)
