"""Offers to go on where the work stopped, and does so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_unet._napari.project import OpenProject
from napari_unet._napari.project_layers import wanted
from napari_unet._napari.restoring import Restored, restore
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.errors import NapariUnetError
from napari_unet.session.projects import (
    Offer,
    Project,
    ProjectStore,
    Settings,
    discard,
    offer_for,
    read_project,
)

log = logging.getLogger(__name__)


class Offers:
    """Looks for earlier work on each image that is chosen.

    Parameters
    ----------
    link : ViewerLink
    project : OpenProject
    use : callable
        Puts settings into force.
    load : callable
        Loads the model in a file.

    Attributes
    ----------
    offer : Offer or None
        What the user can go on with.
    """

    offered = Signal(object)  #: another `Offer`, or None
    told = Signal(str)  #: something the user should know; one sentence
    warned = Signal(str)  #: what could not be brought back; one sentence

    def __init__(
        self,
        link: ViewerLink,
        project: OpenProject,
        use: Callable[[Settings], None],
        load: Callable[[Path], None],
    ) -> None:
        self._link, self._project, self._use, self._load = link, project, use, load
        self._declined: set[Path] = set()
        self._looked_at: Any = self  # no image
        self.offer: Offer | None = None

    def tick(self) -> None:
        """Look for earlier work when another image is in use."""
        image = self._link.image
        if image is self._looked_at:
            return
        self._looked_at = image
        if self._project.knows(image) or (image is None and self._project.keeping.folder is not None):
            self._show(None)
            return
        self._show(offer_for(wanted(image) if image is not None else None, self._declined | self._own()))

    # ------------------------------------------------------------------ answers

    def later(self) -> None:
        """Leave it as it is; it is offered again next time."""
        if self.offer is not None:
            self._declined.add(self.offer.folder.resolve())
            self._show(None)

    def discard(self) -> None:
        """Do not offer it any more."""
        offer = self.offer
        self.later()
        try:
            if offer is not None:
                discard(offer.folder)
        except NapariUnetError as error:
            self.told.emit(str(error))
        else:
            self.told.emit("Discarded; it can be opened again from the recent projects until tomorrow.")

    def open(self, folder: Path) -> None:
        """Work on the project in `folder`; the one before stays where it is.

        Raises
        ------
        ProjectError
            When it cannot be read, or is open elsewhere.
        """
        if folder.resolve() in self._own():
            self.told.emit("You are working on this project.")
            return
        store = ProjectStore.reopened(folder)
        project = read_project(folder)
        self._take_over(store, project)
        self._show(None)

    # ------------------------------------------------------------------ parts

    def _take_over(self, store: ProjectStore, project: Project) -> None:
        state = project.state
        self._project.go_on(store, project.folder, state.strokes)
        self._use(state.settings)
        restored = restore(self._link, project)
        self._adopt(project, restored)
        self._looked_at = self._link.image
        if project.model is not None:
            self._load(project.model)
        self._project.adopt_model()
        damage = [f"{project.damaged} damaged place(s) of the journal were left out"] if project.damaged else []
        remarks = [*restored.remarks, *damage]
        if remarks:
            self.warned.emit("; ".join(remarks))

    def _adopt(self, project: Project, restored: Restored) -> None:
        for layer, key in restored.images.items():
            self._project.adopt_image(layer, key)
        for layer, (key, image) in restored.strokes.items():
            self._project.adopt_strokes(layer, key, image)
        self._project.adopt_settings(project.state.settings, project.state.regions)

    def _own(self) -> set[Path]:
        folder = self._project.keeping.folder
        return {folder.resolve()} if folder is not None else set()

    def _show(self, offer: Offer | None) -> None:
        if offer != self.offer:
            self.offer = offer
            self.offered.emit(offer)
