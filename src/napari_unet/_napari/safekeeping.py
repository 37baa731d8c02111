"""Nothing is lost: the project of this session, and the offers to go on with earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from psygnal import Signal

from napari_unet._napari.offers import Offers
from napari_unet._napari.project import OpenProject
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.errors import NapariUnetError
from napari_unet.session.commands import Command
from napari_unet.session.projects import Offer, Settings, recent_offers


class Safekeeping:
    """What the controller holds of it.

    Parameters
    ----------
    link : ViewerLink
    send : callable
        Takes commands to the session.
    settings : callable
        Gives what the forms say.
    use : callable
        Puts settings into force.
    load : callable
        Loads the model in a file.
    clock : callable
        Seconds that only grow.

    Attributes
    ----------
    project : OpenProject
        What this session keeps, and where.
    offers : Offers
        What can be gone on with.
    """

    told = Signal(str)  #: something the user should know; one sentence
    failed = Signal(str)  #: what could not be done; one sentence

    def __init__(
        self,
        link: ViewerLink,
        send: Callable[[Command], None],
        settings: Callable[[], Settings],
        use: Callable[[Settings], None],
        load: Callable[[Path], None],
        clock: Callable[[], float],
    ) -> None:
        self.project = OpenProject(link, send, settings, clock)
        self.offers = Offers(link, self.project, use, load)
        self.project.told.connect(self.failed.emit)
        self.offers.told.connect(self.told.emit)
        self.offers.warned.connect(self.failed.emit)

    def tick(self) -> None:
        """Hand over what was painted since; look for earlier work on a new image."""
        self.project.tick()
        self.offers.tick()

    def go_on(self) -> None:
        """Go on with what is offered."""
        if self.offers.offer is not None:
            self.open(self.offers.offer.folder)

    def open(self, folder: str | Path) -> None:
        """Work on the project in `folder`."""
        try:
            self.offers.open(Path(folder))
        except NapariUnetError as error:
            self.failed.emit(str(error))

    def save_as(self, folder: str | Path) -> None:
        """Give the project a place of the user's choice."""
        if self.project.keeping.folder is None:
            self.failed.emit("Paint a stroke first: there is nothing to save yet.")
        else:
            self.project.save_as(Path(folder))

    def recent(self) -> Iterator[Offer]:
        """The projects that were worked on, the latest first."""
        return recent_offers()

    def close(self, step: int) -> None:
        """Write what is left, and let go of the project, whose model was trained for `step` steps."""
        if step:
            self.project.learnt(step)
        self.project.close()
