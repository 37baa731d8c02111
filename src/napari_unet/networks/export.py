"""Networks in the form of other programs: ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from napari_unet.config import ModelConfig
from napari_unet.errors import MissingDependencyError
from napari_unet.networks.encoders import EncoderNetwork, exportable
from napari_unet.networks.geometry import geometry
from napari_unet.networks.inference import inference_form

OPSET = 18
METADATA = "napari_unet_model"


def export_onnx(network: nn.Module, config: ModelConfig, path: str | Path) -> None:
    """Write a network as one ONNX file that takes any batch and any image size.

    Input ``image``, shape ``(N, C, *spatial)``, normalised float32; output ``logits``, shape ``(N, K, *spatial)``.
    The config is in the file's metadata, as JSON, under ``napari_unet_model``.

    Parameters
    ----------
    network : nn.Module
        Network of `config`; it is not changed.
    config : ModelConfig
        Its config.
    path : str or Path
        File to write; it is replaced when the export has succeeded.

    Raises
    ------
    MissingDependencyError
        Without the packages of the extra ``onnx``.
    """
    form = inference_form(network).cpu()
    if isinstance(form, EncoderNetwork):
        form = exportable(form)
    size = torch.export.Dim.DYNAMIC
    dynamic = {0: size} | dict.fromkeys(range(2, config.ndim + 2), size)
    try:
        with warnings.catch_warnings():
            # torch's own use of a name it has deprecated.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            program = torch.onnx.export(
                form,
                (_example(config),),
                dynamo=True,
                dynamic_shapes=(dynamic,),
                input_names=["image"],
                output_names=["logits"],
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
    except ImportError as error:
        raise MissingDependencyError("run: pip install 'napari-unet[onnx]', to export to ONNX") from error
    if program is None:
        raise MissingDependencyError("run: pip install -U 'napari-unet[onnx]', to export to ONNX")
    program.model.metadata_props[METADATA] = config.model_dump_json()
    _save(program, Path(path))


def _example(config: ModelConfig) -> torch.Tensor:
    """An image of a legal size that is no special case, so that nothing is taken for constant."""
    shape = geometry(config)
    axes = zip(shape.stride, shape.margin, shape.residue, strict=True)
    sizes = [r + s * (-(-(2 * m - r) // s) + 3 + axis) for axis, (s, m, r) in enumerate(axes)]
    if config.padding == "same":
        sizes = [n + 1 for n in sizes]
    return torch.rand(2, config.in_channels, *sizes)


def _save(program: torch.onnx.ONNXProgram, path: Path) -> None:
    with TemporaryDirectory(dir=path.parent, prefix=".onnx-") as folder:
        written = Path(folder) / path.name
        program.save(written)
        written.replace(path)
