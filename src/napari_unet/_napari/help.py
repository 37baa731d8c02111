"""Where the docs are."""

from __future__ import annotations

#: The folder of the docs on the web; `pyproject.toml` has the same.
DOCS = "https://github.com/napari-unet/napari-unet/blob/main/docs"


def docs_url(page: str) -> str:
    """The address of a page, with a heading after ``#``.

    Examples
    --------
    >>> docs_url("training.md#memory")
    'https://github.com/napari-unet/napari-unet/blob/main/docs/training.md#memory'
    """
    return f"{DOCS}/{page}"
