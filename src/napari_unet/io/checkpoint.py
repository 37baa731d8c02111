"""The checkpoint file: all that a training needs to go on as if it had never been interrupted. Nothing is executed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, JsonValue

from napari_unet.io.atomic import sweep
from napari_unet.io.tensor_file import FileHeader, Kind, load_tensors, read_header, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

_CHECKPOINT = Kind("napari_unet_checkpoint", "checkpoint", "checkpoint")


class CheckpointHeader(FileHeader):
    """What a checkpoint says besides its tensors."""

    facts: dict[str, JsonValue] = Field(description="State of the training as plain values.")


def save_checkpoint(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], header: CheckpointHeader) -> None:
    """Write a checkpoint; an interrupted or failed write leaves an older one as it was.

    Raises
    ------
    ModelFileError
        When the file cannot be written.
    """
    write_tensors(path, _CHECKPOINT, tensors, header)


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], CheckpointHeader]:
    """Read and verify a checkpoint; what killed processes left beside it is removed.

    Returns
    -------
    tensors : dict of str to Tensor
        On the CPU.
    header : CheckpointHeader
        The rest.

    Raises
    ------
    ModelFileError
        When the file is missing, damaged, or no checkpoint.
    """
    sweep(Path(os.path.realpath(path)).parent)
    payload, header = read_header(path, _CHECKPOINT, CheckpointHeader)
    return load_tensors(payload, path, _CHECKPOINT), header
