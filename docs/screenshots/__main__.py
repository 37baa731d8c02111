"""Drive napari through the tutorials, and save a picture of each step.

    python -m docs.screenshots docs/images/tutorials

makes all pictures; names of stories after the folder make only theirs. Without a screen it starts one (``xvfb-run``).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

SCREEN = "-screen 0 1400x900x24"


def main() -> int:
    """Make the pictures."""
    options = _options()
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return _under_xvfb()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("NAPARI_UNET_PROJECTS", folder)
        os.environ.setdefault("NAPARI_CONFIG", str(Path(folder) / "settings.yaml"))
        _play(options)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("stories", nargs="*", help="Which ones; all if none is named.")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    return parser.parse_args()


def _under_xvfb() -> int:
    """The same in a screen that nobody sees."""
    found = shutil.which("xvfb-run")
    if found is None:
        sys.exit("There is no screen: install xvfb (apt-get install xvfb), or run this in a desktop.")
    os.execv(found, [found, "-a", "-s", SCREEN, sys.executable, "-m", "docs.screenshots", *sys.argv[1:]])


def _play(options: argparse.Namespace) -> None:
    from docs.screenshots.film import Film
    from docs.screenshots.stories import STORIES

    for name in options.stories or STORIES:
        film = Film(options.folder, name, options.theme)
        try:
            STORIES[name](film)
        finally:
            film.close()


if __name__ == "__main__":
    raise SystemExit(main())
