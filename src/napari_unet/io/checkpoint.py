"""The checkpoint file: all that a training needs to go on as if it had never been interrupted. Nothing is executed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, JsonValue, ValidationError

from napari_unet.config import Config, ModelConfig
from napari_unet.errors import ConfigError, ModelFileError
from napari_unet.io.atomic import sweep
from napari_unet.io.model_file import versions_in_use
from napari_unet.io.tensor_file import Kind, damaged, load_tensors, read_payload, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
_CHECKPOINT = Kind("napari_unet_checkpoint", "checkpoint", "checkpoint")


class CheckpointHeader(Config):
    """What a checkpoint says besides its tensors."""

    format: int = Field(FORMAT, ge=1, description="Version of the file's layout.")
    model: ModelConfig = Field(description="The network.")
    facts: dict[str, JsonValue] = Field(description="State of the training as plain values.")
    history: tuple[dict[str, JsonValue], ...] = Field((), description="One entry per finished training.")
    versions: dict[str, str] = Field({}, description="Packages that wrote the file.")
    created: str = Field("", description="When it was written, ISO 8601 in UTC.")

    @classmethod
    def now(cls, **fields: Any) -> Self:
        """A header with the versions in use and the time of day."""
        return cls(versions=versions_in_use(), created=datetime.now(UTC).isoformat(timespec="seconds"), **fields)


def save_checkpoint(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], header: CheckpointHeader) -> None:
    """Write a checkpoint; an interrupted or failed write leaves an older one as it was.

    Raises
    ------
    ModelFileError
        When the file cannot be written.
    """
    write_tensors(path, _CHECKPOINT, tensors, json.dumps(header.model_dump(mode="json")))


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
    payload, text = read_payload(path, _CHECKPOINT)
    try:
        fields = json.loads(text)
        if fields["format"] > FORMAT:
            raise ModelFileError(f"update napari-unet to use '{path}': a newer version of it wrote this file")
        header = CheckpointHeader(**fields)
    except (ConfigError, ValidationError, ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise damaged(path, _CHECKPOINT) from error
    return load_tensors(payload, path, _CHECKPOINT), header
