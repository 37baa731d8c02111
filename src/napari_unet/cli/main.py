"""Parses the command line and turns errors into one sentence."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from napari_unet import __version__
from napari_unet.errors import NapariUnetError
from napari_unet.session.threads import PATIENT_THREADS

#: Subcommands, in the order of ``--help``; each is a module with `add_arguments` and `run`.
COMMANDS = {
    "demo": "Paint, train and predict on data that comes with the installation, and show it in napari.",
    "train": "Learn from images and strokes in files.",
    "predict": "Segment image files with a model.",
    "evaluate": "Score a segmentation against the truth.",
    "info": "Say what is in a model file.",
    "doctor": "Check this installation and say how to mend it.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        As typed after ``napari-unet``; ``sys.argv`` by default.

    Returns
    -------
    int
        0 if all went well, 1 if the work could not be done, 2 if the command line is wrong.
    """
    options = _parser(arguments).parse_args(arguments)
    for name, value in PATIENT_THREADS.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s %(message)s")
    try:
        return int(import_module(f"napari_unet.cli.{options.command}").run(options))
    except NapariUnetError as error:
        sys.stderr.write(f"napari-unet: {error}\n")
        return 1


def _parser(arguments: Sequence[str] | None) -> argparse.ArgumentParser:
    """The whole parser; only the command in use loads its module."""
    parser = argparse.ArgumentParser(
        prog="napari-unet", description="Interactive U-Net segmentation of microscopy images."
    )
    parser.add_argument("--version", action="version", version=f"napari-unet {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="Say more.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    given = set(sys.argv[1:] if arguments is None else arguments)
    for name, help_text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=help_text, description=help_text)
        if name in given:
            import_module(f"napari_unet.cli.{name}").add_arguments(subparser)
    return parser
