"""One safetensors file with tensors and, in its JSON header, all that is needed to use them.

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
from dataclasses import dataclass
from datetime import UTC, datetime
from errno import ENOENT
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar

from pydantic import Field, JsonValue, ValidationError

from napari_unet.config import Config, ModelConfig
from napari_unet.errors import ConfigError, ModelFileError
from napari_unet.io.atomic import replacing

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
#: Header size that safetensors itself allows, bytes.
LARGEST_HEADER = 100_000_000
_NO_HASH = "0" * 64
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is: the name of its header, and what to call it and its content."""

    key: str
    noun: str
    content: str


class FileHeader(Config):
    """What every file says besides its tensors."""

    format: int = Field(FORMAT, ge=1, description="Version of the file's layout.")
    model: ModelConfig = Field(description="Architecture, classes, normalisation, pixel size.")
    history: tuple[dict[str, JsonValue], ...] = Field((), description="One entry per finished training.")
    versions: dict[str, str] = Field({}, description="Packages that wrote the file.")
    created: str = Field("", description="When it was written, ISO 8601 in UTC.")

    @classmethod
    def now(cls, **fields: Any) -> Self:
        """A header with the versions in use and the time of day."""
        return cls(versions=_versions(), created=datetime.now(UTC).isoformat(timespec="seconds"), **fields)


H = TypeVar("H", bound=FileHeader)


def write_tensors(path: str | os.PathLike[str], kind: Kind, tensors: Mapping[str, Tensor], header: FileHeader) -> None:
    """Write a file; an interrupted or failed write leaves an older one as it was.

    Parameters
    ----------
    path : path-like
        The file.
    kind : Kind
        What it is.
    tensors : mapping of str to Tensor
        From any device.
    header : FileHeader
        The rest.

    Raises
    ------
    ModelFileError
        When the file cannot be written.
    """
    from safetensors.torch import save

    text = json.dumps(header.model_dump(mode="json"))
    payload = save({name: _plain(tensor) for name, tensor in tensors.items()}, {kind.key: text, "sha256": _NO_HASH})
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
            f"save the {kind.content} elsewhere or free some space: '{path}' could not be written ({reason}), and is "
            "as before"
        ) from error


def read_header(path: str | os.PathLike[str], kind: Kind, header: type[H]) -> tuple[bytes, H]:
    """The bytes of a file whose hash is right, and its header.

    Parameters
    ----------
    path : path-like
        The file.
    kind : Kind
        What it must be.
    header : type
        What its header must be.

    Raises
    ------
    ModelFileError
        When the file is missing, damaged, of another kind, or written by a newer version.
    """
    payload, text = _read_payload(path, kind)
    try:
        fields = json.loads(text)
        newer = fields["format"] > FORMAT
        found = None if newer else header(**fields)
    except (ConfigError, ValidationError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise _damaged(path, kind) from error
    if found is None:
        raise ModelFileError(f"update napari-unet to use '{path}': a newer version of it wrote this file")
    return payload, found


def load_tensors(payload: bytes, path: str | os.PathLike[str], kind: Kind) -> dict[str, Tensor]:
    """The tensors of what `read_header` gave, on the CPU.

    Raises
    ------
    ModelFileError
        When they are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(payload)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _damaged(path, kind) from error


def _read_payload(path: str | os.PathLike[str], kind: Kind) -> tuple[bytes, str]:
    """The bytes and the header text of a file whose hash is right; a foreign file is not read to its end."""
    try:
        if not Path(path).is_file():
            raise FileNotFoundError(ENOENT, "no such file")
        with Path(path).open("rb") as file:
            head = _read_head(file, path, kind)
            text, digest = _about(head, path, kind)
            payload = head + file.read()
    except (OSError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        reason = getattr(error, "strerror", None) or "no such file"
        raise ModelFileError(f"choose another {kind.noun}: '{path}' cannot be read ({reason})") from error
    blank = head.replace(_field(digest), _field(_NO_HASH), 1)
    if _digest(blank, memoryview(payload)[len(head) :]) != digest:
        raise _damaged(path, kind)
    return payload, text


def _damaged(path: str | os.PathLike[str], kind: Kind) -> ModelFileError:
    """The error of a file that is not what was written."""
    return ModelFileError(f"choose another copy of the {kind.content}: '{path}' is damaged")


def _versions() -> dict[str, str]:
    """Versions of what makes and runs a model."""
    known = {"python": platform.python_version()}
    for name in ("napari-unet", "torch", "safetensors", "numpy"):
        try:
            known[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return known


def _plain(tensor: Tensor) -> Tensor:
    """A contiguous tensor on the CPU that shares its memory with no other."""
    return tensor.detach().cpu().clone().contiguous()


def _read_head(file: BinaryIO, path: str | os.PathLike[str], kind: Kind) -> bytes:
    """Length and JSON header as they lie in the file."""
    first = file.read(8)
    size = int.from_bytes(first, "little")
    if len(first) != 8 or not 2 <= size <= LARGEST_HEADER:
        raise _foreign(path, kind)
    head = first + file.read(size)
    if len(head) != 8 + size:
        raise _foreign(path, kind)
    return head


def _about(head: bytes, path: str | os.PathLike[str], kind: Kind) -> tuple[str, str]:
    """Our header text and the hash."""
    try:
        about = json.loads(head[8:])["__metadata__"]
        text, digest = about[kind.key], about["sha256"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _foreign(path, kind) from error
    if not (isinstance(text, str) and isinstance(digest, str) and _HASH.fullmatch(digest)):
        raise _foreign(path, kind)
    return text, digest


def _field(digest: str) -> bytes:
    """The hash as it stands in the header; quotes inside our own text are escaped there."""
    return f'"sha256":"{digest}"'.encode()


def _digest(head: bytes, rest: memoryview) -> str:
    digest = hashlib.sha256(head)
    digest.update(rest)
    return digest.hexdigest()


def _foreign(path: str | os.PathLike[str], kind: Kind) -> ModelFileError:
    return ModelFileError(f"choose another {kind.noun}: '{path}' was not written by napari-unet")
