"""The model file: the weights and, in the header, all that is needed to use them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, JsonValue, ValidationError

from napari_unet.config import Config, ModelConfig
from napari_unet.errors import ConfigError, ModelFileError
from napari_unet.io.tensor_file import Kind, damaged, load_tensors, read_payload, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
_MODEL = Kind("napari_unet", "model file", "model")


class ModelHeader(Config):
    """What a model file says about its weights."""

    format: int = Field(FORMAT, ge=1, description="Version of the file's layout.")
    model: ModelConfig = Field(description="Architecture, classes, normalisation, pixel size.")
    step: int = Field(0, ge=0, description="Optimiser steps trained.")
    seconds: float = Field(0.0, ge=0, allow_inf_nan=False, description="Time trained.")
    history: tuple[dict[str, JsonValue], ...] = Field((), description="One entry per training.")
    versions: dict[str, str] = Field({}, description="Packages that wrote the file.")
    created: str = Field("", description="When it was written, ISO 8601 in UTC.")

    @classmethod
    def now(cls, **fields: Any) -> Self:
        """A header with the versions in use and the time of day."""
        return cls(versions=versions_in_use(), created=datetime.now(UTC).isoformat(timespec="seconds"), **fields)


def save_model(path: str | os.PathLike[str], state: Mapping[str, Tensor], header: ModelHeader) -> None:
    """Write a model; an interrupted or failed write leaves an older file as it was.

    Parameters
    ----------
    path : path-like
        The file.
    state : mapping of str to Tensor
        Weights, as of ``network.state_dict()``.
    header : ModelHeader
        What they are.

    Raises
    ------
    ModelFileError
        When the file cannot be written.
    """
    write_tensors(path, _MODEL, state, json.dumps(header.model_dump(mode="json")))


def load_model(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], ModelHeader]:
    """Read and verify a model file.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    state : dict of str to Tensor
        Weights on the CPU.
    header : ModelHeader
        What they are.

    Raises
    ------
    ModelFileError
        When the file is missing, damaged, or not a napari-unet model.
    """
    payload, text = read_payload(path, _MODEL)
    header = _validate(text, path)
    return load_tensors(payload, path, _MODEL), header


def read_header(path: str | os.PathLike[str]) -> ModelHeader:
    """Read and verify a model file, but give its header only; torch is not needed.

    Raises
    ------
    ModelFileError
        As for `load_model`.
    """
    return _validate(read_payload(path, _MODEL)[1], path)


def _validate(text: str, path: str | os.PathLike[str]) -> ModelHeader:
    try:
        fields = json.loads(text)
        if fields["format"] > FORMAT:
            raise ModelFileError(f"update napari-unet to use '{path}': a newer version of it wrote this file")
        return ModelHeader(**fields)
    except (ConfigError, ValidationError, ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise damaged(path, _MODEL) from error


def versions_in_use() -> dict[str, str]:
    """Versions of what makes and runs a model."""
    known = {"python": platform.python_version()}
    for name in ("napari-unet", "torch", "safetensors", "numpy"):
        try:
            known[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return known
