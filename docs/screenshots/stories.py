"""What each tutorial tells, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from docs.screenshots.film import Film, wait
from qtpy.QtCore import Qt

from napari_unet.data.movie import moving_cells
from napari_unet.data.scenes import tissue as painted_tissue
from napari_unet.data.simulate import correct_strokes, paint_strokes
from napari_unet.data.synthetic import touching_cells

CELLS = touching_cells((512, 512), seed=1)
BRUSH = 5
SMALLEST_CELL = 150  # pixels


def image(film: Film) -> None:
    """One 2D image."""
    film.open_sample("cells")
    menu = film.menu("Plugins")
    film.shoot("menu", film.entry(menu, "U-Net"))
    film.close_menus()
    film.open_dock()
    film.quick()
    film.shoot("dock", film.dock.annotate.new_strokes)
    film.new_strokes()
    painted = paint_strokes(CELLS.labels, seed=0, fraction=0.012, brush=BRUSH)
    film.paint(painted, values=(2,))
    film.hover(0.55, 0.62)
    film.shoot("cells", film.dock.status)
    film.press(Qt.Key.Key_1)
    film.paint(painted, values=(1,))
    film.learn(30)
    wait(3)
    film.shoot("learning")
    _correct(film, CELLS.labels, painted)
    film.learn(90)
    wait(3)
    film.page(film.dock.train)
    film.shoot("train", film.dock.train.toggle, film.dock.train.timeline)
    film.stop()
    film.segment()
    film.shoot("segmented", film.dock.segment.start, film.dock.segment.result, film.dock.segment.model)


def stack(film: Film) -> None:
    """A z-stack."""
    truth = touching_cells((24, 192, 192), seed=1, spacing=(2.0, 1.0, 1.0)).labels
    film.open_sample("stack")
    film.open_dock()
    film.quick()
    film.new_strokes()
    for z in (8, 16):
        film.slide(z)
        film.paint(paint_strokes(truth[z], seed=z, fraction=0.03), at=(z,))
    film.learn(30)
    wait(2)
    film.shoot("painted", film.sliders())
    film.learn(70)
    film.slide(12)
    wait(4)
    film.shoot("between")
    film.stop()
    film.page(film.dock.segment)
    film.objects(link=0.3)
    film.segment("Objects")
    film.hide("Strokes", "Probability", "Touching cells, stack")
    film.turn()
    film.shoot("objects")


def movie(film: Film) -> None:
    """A movie."""
    frames = moving_cells((12, 256, 256), seed=1)
    film.open_sample("movie")
    film.open_dock()
    film.quick()
    film.new_strokes()
    for frame in (0, 11):
        film.slide(frame)
        film.paint(paint_strokes(frames.labels[frame], seed=frame, fraction=0.02), at=(frame,))
    film.learn(25)
    wait(2)
    film.shoot("painted", film.sliders())
    film.learn(60)
    film.stop()
    film.page(film.dock.segment)
    film.shoot("link", film.objects(link=0.3))
    film.segment("Objects")
    film.hide("Strokes", "Probability")
    for name, frame in (("first", 0), ("last", 11)):
        film.slide(frame)
        film.shoot(name)


def touching(film: Film) -> None:
    """Touching cells."""
    cells = touching_cells((256, 256), seed=1)
    film.add_image(cells.image, "Cells that touch")
    film.open_dock()
    film.quick()
    film.page(film.dock.train)
    form = film.dock.train.network.unfold()
    form.setValue({"task": "instances"})
    film.shoot("task", film.field(form, "Strokes are"))
    film.dock.train.network.collapse(animate=False)
    film.new_strokes()
    part = (slice(0, 120), slice(0, 140))
    values = np.zeros_like(cells.labels)
    values[part] = np.where(cells.labels[part] > 0, cells.labels[part] + 1, 1)
    film.paint_objects(values)
    film.learn(20)
    wait(2)
    film.shoot("painted")
    film.learn(120)
    film.stop()
    film.page(film.dock.segment)
    film.objects(split=9.0)
    split = film.field(film.dock.segment.objects, "Split at necks")
    film.segment("Objects")
    film.hide("Strokes", "Probability")
    film.show(split)
    film.shoot("objects", film.dock.segment.output, split)


def tissue(film: Film) -> None:
    """Tissue in colour."""
    film.open_sample("tissue")
    film.open_dock()
    film.quick()
    film.set_model(classes=("background", "gland"), colors=("#56B4E9", "#009E73"))
    film.shoot("classes", film.dock.annotate.classes)
    film.new_strokes()
    film.paint(painted_tissue().strokes)
    film.learn(30)
    wait(3)
    film.shoot("learning")
    film.learn(70)
    film.stop()
    film.choose(film.dock.state_bar.mode, "Classes, outlined")
    film.segment()
    film.hide("Strokes")
    film.shoot("outlined", film.dock.state_bar.mode)


def correcting(film: Film) -> None:
    """Correcting."""
    film.open_sample("cells")
    film.open_dock()
    film.quick()
    film.new_strokes()
    painted = paint_strokes(CELLS.labels, seed=0, fraction=0.008, brush=BRUSH)
    film.paint(painted)
    film.learn(60)
    film.stop()
    review = film.dock.review
    film.page(review)
    film.press(Qt.Key.Key_N)
    film.until(lambda: "In the middle of the view" in film.state.message)
    film.hover(0.5, 0.5)
    film.shoot("next", film.dock.status, review.next)
    film.segment()
    film.page(review)
    film.click(review.objects.list)
    film.until(lambda: review.objects.model.rowCount() > 0)
    _choose_a_cell(film)
    film.shoot("objects", review.objects.view, review.objects.actions["accept"])
    _paint_wrongly(film, painted)
    film.click(review.checks.check)
    film.until(lambda: review.checks.list.count() > 0)
    review.checks.list.setCurrentRow(0)
    film.show(review.checks.list)
    film.shoot("check", review.checks.list)


def cluster(film: Film) -> None:
    """Going to a cluster: the command that does what was clicked."""
    film.open_sample("cells")
    film.open_dock()
    film.quick()
    film.new_strokes()
    film.paint(paint_strokes(CELLS.labels, seed=0, fraction=0.012, brush=BRUSH))
    film.learn(30)
    film.stop()
    film.segment()
    film.show(film.dock.segment.copy)
    menu = film.pop_up(film.dock.segment.copy)
    film.shoot("copy", film.entry(menu, "Command"))
    film.close_menus()


def _correct(film: Film, truth: npt.NDArray[Any], painted: npt.NDArray[Any], count: int = 12) -> None:
    """Paint where the prediction in view is wrong, the largest error first."""
    prediction = film.dock.controller.link.prediction.data
    film.paint(correct_strokes(prediction, truth, painted, count=count, brush=BRUSH) * (painted == 0))


def _choose_a_cell(film: Film) -> None:
    """Click the most doubtful object that is as large as a cell."""
    table, rows = film.dock.review.objects, film.dock.controller.reviewing.objects.rows
    line = next(line for line in range(len(rows.sizes)) if rows.sizes[table.model.object_at(line)] > SMALLEST_CELL)
    table.view.selectRow(line)
    table.view.scrollTo(table.model.index(line, 0))


def _paint_wrongly(film: Film, painted: npt.NDArray[Any]) -> None:
    """A stroke of background on a bright cell, as it happens when the class was not changed."""
    strokes = film.dock.controller.link.strokes
    free = np.where(strokes.data == 0, CELLS.image * (CELLS.labels > 0), 0)
    row, column = np.unravel_index(int(free[20:-20, 20:-20].argmax()), (472, 472))
    place = np.indices((5, 16)).reshape(2, -1) + np.array([[row + 18], [column + 12]])
    strokes.data_setitem(tuple(place), 1)
    wait(1)
    film.stop()


STORIES: Mapping[str, Callable[[Film], None]] = {
    "image": image,
    "stack": stack,
    "movie": movie,
    "touching": touching,
    "tissue": tissue,
    "correcting": correcting,
    "cluster": cluster,
}
