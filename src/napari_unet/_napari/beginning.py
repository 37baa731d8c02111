"""What a dock begins with: the preferences, put into force, also when they are changed meanwhile."""

from __future__ import annotations

from pathlib import Path

from napari_unet._napari.controller import Controller
from napari_unet._napari.preferences import NAMES, Preferences, PreferencesWatch, preferences
from napari_unet.presets import TRAININGS
from napari_unet.session.projects import keep_in


class Beginning:
    """Puts preferences into force.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        now = preferences()
        for name in NAMES:
            if getattr(now, name) != getattr(Preferences(), name) or name == "projects":
                self._use(name, now)
        self._watch = PreferencesWatch(self._use)

    def close(self) -> None:
        """Listen no more to what is changed in Preferences."""
        self._watch.close()

    def _use(self, name: str, now: Preferences) -> None:
        controller = self._controller
        match name:
            case "device":
                controller.teaching.machine.use(device=now.device)
            case "threads":
                controller.teaching.machine.use(threads=now.threads)
            case "projects":
                keep_in(Path(now.projects).expanduser() if now.projects.strip() else None)
            case "live":
                controller.set_live(now.live)
            case "preset":
                settings = controller.settings()
                model, training = TRAININGS[now.preset].apply(settings.model, settings.training)
                controller.use(settings.replace(model=model, training=training))
