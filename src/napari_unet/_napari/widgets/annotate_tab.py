"""*Annotate*: which image, which strokes, and the classes to paint."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton

from napari_unet._napari.board import State
from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Button
from napari_unet._napari.widgets.class_list import ClassList
from napari_unet._napari.widgets.layer_combo import LayerCombo
from napari_unet._napari.widgets.tab import Tab, button, call, column, labelled
from napari_unet._napari.widgets.tool_box import ToolBox
from napari_unet.config import ModelConfig


class AnnotateTab(Tab):
    """Choose an image, paint strokes on it."""

    title = "&Annotate"
    purpose = "Choose an image and paint strokes on it."
    help = "tutorials/image.md#2-paint-some-cells"

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.image = LayerCombo("no image", self)
        self.image.setToolTip("The image to segment.")
        self.strokes = LayerCombo("no strokes yet", self)
        self.strokes.setToolTip("The labels layer the network learns from.")
        self.new_strokes = button("New strokes", "Add a layer to paint on, and take the brush.")
        self.suggest = button(
            "Suggest",
            "Show what the network that comes along takes for cells, before any stroke. Keep it, correct it by "
            "painting, or press again to dismiss it.",
        )
        self.suggest.setCheckable(True)
        self.more = button("More", "Complete regions, and masks from elsewhere.")
        self.menu = QMenu(self.more)
        self.more.setMenu(self.menu)
        self.classes = ClassList(self)
        self.tools = ToolBox(controller)
        self._arrange()
        self._connect()
        self._show_layers()

    def show_state(self, state: State) -> None:
        """Show how much is painted."""
        self.classes.show_painted(state.painted, state.made)
        self.suggest.setChecked(state.suggested)
        self.suggest.setVisible(not state.step)

    def buttons(self) -> Mapping[Button, QPushButton]:
        return {"new_strokes": self.new_strokes}

    # ------------------------------------------------------------------ building

    def _arrange(self) -> None:
        layout = column(self)
        layout.addLayout(labelled(("I&mage", self.image), ("Stro&kes", self.strokes)))
        buttons = QHBoxLayout()
        buttons.addWidget(self.new_strokes, 2)
        buttons.addWidget(self.suggest, 1)
        buttons.addWidget(self.more, 1)
        layout.addLayout(buttons)
        layout.addWidget(self.classes)
        layout.addWidget(self.tools)
        layout.addStretch(1)

    def _connect(self) -> None:
        controller, link = self.controller, self.controller.link
        self.image.chosen.connect(controller.choose_image)
        self.strokes.chosen.connect(controller.choose_strokes)
        self.new_strokes.clicked.connect(partial(call, controller.new_strokes))
        self.suggest.clicked.connect(lambda on: call(partial(controller.suggest, on)))
        self.classes.picked.connect(controller.tools.pick_class)
        self.classes.valueChanged.connect(self._on_classes)
        self.classes.hidden.connect(self._on_hidden)
        self.classes.refused.connect(controller.board.complain)
        self.menu.aboutToShow.connect(self._fill_menu)
        link.picked.connect(self.classes.select)
        for signal in (link.layers_changed, link.roles_changed):
            signal.connect(self._show_layers)
        controller.model_changed.connect(self._show_model)

    def _fill_menu(self) -> None:
        """Offer regions, the prediction, and each labels layer as a mask, by its two possible meanings."""
        controller = self.controller
        self.menu.clear()
        self.menu.addAction(
            "Draw a complete region (all unpainted in it is background)", partial(call, controller.new_regions)
        )
        self.menu.addAction(
            "Copy the prediction in view into strokes (to correct it)", partial(call, controller.copy_prediction)
        )
        for layer in controller.link.labels:
            if layer is not controller.link.strokes:
                for objects, meaning in ((True, "objects"), (False, "classes")):
                    text = f"Import '{layer.name}' as mask of {meaning} (0 = background)"
                    self.menu.addAction(text, partial(call, partial(controller.import_mask, layer, objects=objects)))

    # ------------------------------------------------------------------ events

    def _show_layers(self) -> None:
        link = self.controller.link
        self.image.show_layers(link.images, link.image)
        self.strokes.show_layers(link.labels, link.strokes)

    def _show_model(self, model: ModelConfig) -> None:
        if model != self.classes.value():
            self.classes.setValue(model)

    def _on_hidden(self, hidden: frozenset[int]) -> None:
        self.controller.link.hide_classes(hidden, self.controller.model.class_colors)

    def _on_classes(self, named: ModelConfig) -> None:
        model = self.controller.model
        self.controller.set_model(model.replace(classes=named.classes, colors=named.colors))
