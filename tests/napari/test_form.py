"""Forms: what goes in comes out, and what is typed arrives."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qtpy.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget

from napari_unet._napari.widgets.budget import Budget
from napari_unet._napari.widgets.class_list import ClassList, rule
from napari_unet._napari.widgets.folded import FoldedForm
from napari_unet._napari.widgets.form import ConfigForm
from napari_unet._napari.widgets.paragraph import Paragraph
from napari_unet._napari.widgets.tab import scrolled
from napari_unet.config import (
    AugmentConfig,
    BoundaryConfig,
    LossConfig,
    ModelConfig,
    NormalizationConfig,
    PredictConfig,
    TrainConfig,
)
from napari_unet.standard import standard_model

CONFIGS = [
    TrainConfig(),
    TrainConfig(seconds=12.3456789, steps=7, learning_rate=1.23456789e-5, threads=3),
    TrainConfig(augment=AugmentConfig(enabled=False, elastic=0), loss=LossConfig(boundary=BoundaryConfig(w0=0))),
    ModelConfig(),
    ModelConfig(architecture="unetpp", ndim=3, classes=("background", "a", "b"), colors=("#000000",) * 3, width=48),
    ModelConfig(encoder="resnet50", dropout=0.123, padding="valid", norm="group", spacing=(0.5, 0.25)),
    ModelConfig(normalization=NormalizationConfig(low=0.125, high=99.9999)),
    PredictConfig(tile=512, output="instances", background_zero=True),
    PredictConfig(),
]


@pytest.fixture
def form(qtbot):
    def make(config, *leave_out):
        made = ConfigForm(config, leave_out)
        qtbot.addWidget(made)
        return made

    return make


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_round_trip(form, config):
    made = form(type(config)())
    made.setValue(config)
    assert made.value() == config


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_round_trip_of_any_numbers(form, data):
    config = BoundaryConfig(
        w0=data.draw(st.floats(0, 1000)), sigma=data.draw(st.floats(1e-6, 200)), class_balance=data.draw(st.booleans())
    )
    made = form(BoundaryConfig())
    made.setValue(config)
    assert made.value() == config


def test_some_settings_from_a_mapping(form):
    made = form(TrainConfig())
    made.setValue({"batch_size": 3})
    assert made.value() == TrainConfig(batch_size=3)


def test_what_is_typed_is_told(form):
    made = form(TrainConfig())
    told = []
    made.valueChanged.connect(told.append)
    made._fields["batch_size"]._input.value = 5
    assert told == [TrainConfig(batch_size=5)]
    made._fields["loss"]._fields["boundary"]._fields["w0"]._input.value = 3
    assert told[-1].loss.boundary.w0 == 3


def test_settings_that_do_not_go_together_are_refused_in_a_sentence(form):
    made = form(LossConfig())
    refused, told = [], []
    made.refused.connect(refused.append)
    made.valueChanged.connect(told.append)
    made._fields["dice"]._input.value = 0
    made._fields["cross_entropy"]._input.value = 0
    assert len(told) == 1
    assert "above 0" in refused[0]


def test_an_optional_number_can_be_switched_off_and_on(form):
    made = form(PredictConfig(tile=256))
    switch = made._fields["tile"]._switch
    switch.setChecked(False)
    assert made.value().tile is None
    switch.setChecked(True)
    assert made.value().tile == 256


def test_every_input_has_a_tooltip_and_left_out_ones_are_kept(form):
    made = form(ModelConfig(in_channels=3), "in_channels")
    assert "in_channels" not in made._fields
    assert made.value().in_channels == 3
    fields = [field for field in made._fields.values() if not isinstance(field, ConfigForm)]
    assert all(field._input.native.toolTip() for field in fields)


def test_bounds_come_from_the_config(form):
    made = form(ModelConfig())
    made._fields["depth"]._input.native.setValue(99)
    made._fields["dropout"]._input.native.setValue(99)
    assert made.value().depth == 7
    assert made.value().dropout < 1


def test_a_folded_form_is_built_when_unfolded(qtbot):
    folded = FoldedForm("Network", ModelConfig(width=24))
    qtbot.addWidget(folded)
    assert folded.form is None
    assert folded.value() == ModelConfig(width=24)
    told = []
    folded.valueChanged.connect(told.append)
    folded.unfold()
    folded.form._fields["width"]._input.value = 12
    assert told == [folded.value()] == [ModelConfig(width=12)]
    folded.setValue(ModelConfig(depth=2))
    assert folded.form.value().depth == 2


def test_budget(qtbot):
    budget = Budget()
    qtbot.addWidget(budget)
    told = []
    budget.valueChanged.connect(told.append)
    assert budget.value() is None
    budget.setValue(30.0)
    assert budget.value() == 30.0
    budget.setValue(None)
    assert told[-1] is None


# ---------------------------------------------------------------------- classes


@pytest.fixture
def classes(qtbot):
    made = ClassList()
    qtbot.addWidget(made)
    return made


def test_the_rule_is_on_screen(classes):
    assert "Not painted = unknown" in classes._rule.text()
    assert "1 = background, 2 = cell" in rule(ModelConfig().classes)


def test_classes_are_added_renamed_and_removed(classes):
    told = []
    classes.valueChanged.connect(told.append)
    classes._add.click()
    classes._table.item(2, 1).setText("nucleus")
    assert told[-1].classes == ("background", "cell", "nucleus")
    assert "3 = nucleus" in classes._rule.text()
    classes._remove.click()
    assert classes.value() == standard_model()


def test_two_classes_of_one_name_are_refused(classes):
    refused = []
    classes.refused.connect(refused.append)
    classes._table.item(1, 1).setText("background")
    classes._table.item(1, 1).setText(" ")
    assert "name of its own" in refused[0]
    assert classes.value() == standard_model()
    assert classes._table.item(1, 1).text() == "cell"


def test_painted_pixels_and_the_brush_are_shown(classes):
    classes.show_painted((1234, 0))
    assert classes._table.item(0, 2).text() == "1,234 px"
    assert classes._table.item(1, 2).text() == "none yet"
    classes.select(2)
    assert classes._table.currentRow() == 1
    picked = []
    classes.picked.connect(picked.append)
    classes._table.cellClicked.emit(0, 1)
    classes._table.selectRow(0)
    assert picked == [1, 1]


def test_many_classes_scroll(classes):
    names = ("background", *(f"class {number}" for number in range(2, 61)))
    classes.setValue(ModelConfig(classes=names))
    assert classes._table.rowCount() == 60
    assert classes._table.height() < 300


def shown_in(form):
    """Every input of a form and of the forms in it."""
    for field in form._fields.values():
        yield from shown_in(field) if isinstance(field, ConfigForm) else [field]


@pytest.mark.parametrize("config", [ModelConfig(), TrainConfig(), PredictConfig()])
def test_settings_and_choices_are_in_plain_words_with_the_exact_name_in_the_tooltip(form, config):
    for field in shown_in(form(config)):
        assert field.label[0].isupper()
        assert "_" not in field.label
        assert field._input.native.toolTip().endswith(f"({field._input.label})")
        for word in getattr(field._input, "_choices", None) or ():
            assert isinstance(word, tuple)


def test_a_choice_is_made_by_its_words_and_keeps_its_value(form, qtbot):
    made = form(ModelConfig())
    box = made._fields["ndim"]._input.native
    assert made._fields["ndim"].label == "Looks at"
    assert [box.itemText(row) for row in range(box.count())] == ["slices (2D)", "volumes (3D)"]
    box.setCurrentIndex(1)
    assert made.value().ndim == 3
    assert "ndim=3" in box.itemData(1, 3)  # Qt.ToolTipRole


def test_text_in_a_narrow_dock_lies_over_nothing(qtbot):
    page = QWidget()
    qtbot.addWidget(page)
    inner, text, picture = QWidget(), Paragraph("many words " * 20), QLabel("picture")
    picture.setFixedHeight(100)
    for widget, children in ((inner, (picture, text)), (page, (inner,))):
        layout = QVBoxLayout(widget)
        for child in children:
            layout.addWidget(child)
    scroll = scrolled(page)
    qtbot.addWidget(scroll)
    scroll.resize(200, 90)
    scroll.show()
    QApplication.processEvents()
    assert text.height() >= text.heightForWidth(text.width())
    assert text.y() >= picture.y() + picture.height()
    assert inner.height() >= text.y() + text.height()
