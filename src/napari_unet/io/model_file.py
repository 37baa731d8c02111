"""The model file: the weights and, in the header, all that is needed to use them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from napari_unet.io import tensor_file
from napari_unet.io.tensor_file import FileHeader, Kind, load_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

_MODEL = Kind("napari_unet", "model file", "model")


class ModelHeader(FileHeader):
    """What a model file says about its weights."""

    step: int = Field(0, ge=0, description="Optimiser steps trained.")
    seconds: float = Field(0.0, ge=0, allow_inf_nan=False, description="Time trained.")


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
    write_tensors(path, _MODEL, state, header)


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
    payload, header = tensor_file.read_header(path, _MODEL, ModelHeader)
    return load_tensors(payload, path, _MODEL), header


def read_header(path: str | os.PathLike[str]) -> ModelHeader:
    """Read and verify a model file, but give its header only; torch is not needed.

    Raises
    ------
    ModelFileError
        As for `load_model`.
    """
    return tensor_file.read_header(path, _MODEL, ModelHeader)[1]
