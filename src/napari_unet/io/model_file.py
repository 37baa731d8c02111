"""The model file: one safetensors file with the weights and, in its JSON header, all that is needed to use them.

A SHA-256 over every byte of the file (its own 64 digits counted as zeros) stands in the header, for safetensors itself
loads flipped bits without a word. Nothing in a file is executed. Reading the header needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from errno import ENOENT
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from pydantic import Field, JsonValue, ValidationError

from napari_unet.config import Config, ModelConfig
from napari_unet.errors import ConfigError, ModelFileError
from napari_unet.io.atomic import replacing

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
#: Header size that safetensors itself allows, bytes.
LARGEST_HEADER = 100_000_000
_KEY = "napari_unet"
_NO_HASH = "0" * 64
_HASH = re.compile("[0-9a-f]{64}")


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
        return cls(versions=_versions(), created=datetime.now(UTC).isoformat(timespec="seconds"), **fields)


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
    from safetensors.torch import save

    about = {_KEY: json.dumps(header.model_dump(mode="json")), "sha256": _NO_HASH}
    payload = save({name: _plain(tensor) for name, tensor in state.items()}, about)
    end = 8 + int.from_bytes(payload[:8], "little")
    head, rest = payload[:end], memoryview(payload)[end:]
    signed = head.replace(_field(_NO_HASH), _field(_digest(head, rest)), 1)
    try:
        with replacing(path) as temporary, temporary.open("xb") as file:
            file.write(signed)
            file.write(rest)
    except OSError as error:
        reason = error.strerror or "the disk did not take it"
        raise ModelFileError(
            f"save the model elsewhere or free some space: '{path}' could not be written ({reason}), and is as before"
        ) from error


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
    from safetensors import SafetensorError
    from safetensors.torch import load

    payload, header = _read(path)
    try:
        return load(payload), header
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _damaged(path) from error


def read_header(path: str | os.PathLike[str]) -> ModelHeader:
    """Read and verify a model file, but give its header only; torch is not needed.

    Raises
    ------
    ModelFileError
        As for `load_model`.
    """
    return _read(path)[1]


def _plain(tensor: Tensor) -> Tensor:
    """A contiguous tensor on the CPU that shares its memory with no other."""
    return tensor.detach().cpu().clone().contiguous()


def _read(path: str | os.PathLike[str]) -> tuple[bytes, ModelHeader]:
    """The bytes and the header of a file whose hash is right; a foreign file is not read to its end."""
    try:
        if not Path(path).is_file():
            raise FileNotFoundError(ENOENT, "no such file")
        with Path(path).open("rb") as file:
            head = _read_head(file, path)
            text, digest = _about(head, path)
            payload = head + file.read()
    except (OSError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        reason = getattr(error, "strerror", None) or "no such file"
        raise ModelFileError(f"choose another model file: '{path}' cannot be read ({reason})") from error
    blank = head.replace(_field(digest), _field(_NO_HASH), 1)
    if _digest(blank, memoryview(payload)[len(head) :]) != digest:
        raise _damaged(path)
    return payload, _validate(text, path)


def _read_head(file: BinaryIO, path: str | os.PathLike[str]) -> bytes:
    """Length and JSON header as they lie in the file."""
    first = file.read(8)
    size = int.from_bytes(first, "little")
    if len(first) != 8 or not 2 <= size <= LARGEST_HEADER:
        raise _foreign(path)
    head = first + file.read(size)
    if len(head) != 8 + size:
        raise _foreign(path)
    return head


def _about(head: bytes, path: str | os.PathLike[str]) -> tuple[str, str]:
    """Our header text and the hash."""
    try:
        about = json.loads(head[8:])["__metadata__"]
        text, digest = about[_KEY], about["sha256"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _foreign(path) from error
    if not (isinstance(text, str) and isinstance(digest, str) and _HASH.fullmatch(digest)):
        raise _foreign(path)
    return text, digest


def _validate(text: str, path: str | os.PathLike[str]) -> ModelHeader:
    try:
        fields = json.loads(text)
        if fields["format"] > FORMAT:
            raise ModelFileError(f"update napari-unet to use '{path}': a newer version of it wrote this file")
        return ModelHeader(**fields)
    except (ConfigError, ValidationError, ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise _damaged(path) from error


def _field(digest: str) -> bytes:
    """The hash as it stands in the header; quotes inside our own text are escaped there."""
    return f'"sha256":"{digest}"'.encode()


def _digest(head: bytes, rest: memoryview) -> str:
    digest = hashlib.sha256(head)
    digest.update(rest)
    return digest.hexdigest()


def _foreign(path: str | os.PathLike[str]) -> ModelFileError:
    return ModelFileError(f"choose another model file: '{path}' was not written by napari-unet")


def _damaged(path: str | os.PathLike[str]) -> ModelFileError:
    return ModelFileError(f"choose another copy of the model: '{path}' is damaged")


def _versions() -> dict[str, str]:
    """Versions of what makes and runs a model."""
    known = {"python": platform.python_version()}
    for name in ("napari-unet", "torch", "safetensors", "numpy"):
        try:
            known[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return known
