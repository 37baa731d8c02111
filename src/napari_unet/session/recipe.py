"""What was done, as a command line and as Python: exact, and ready to run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from napari_unet.config import Config, ModelConfig, PredictConfig, TrainConfig
from napari_unet.session.part import Part
from napari_unet.standard import standard_model


@dataclass(frozen=True, slots=True)
class Prediction:
    """An image file segmented with a model file.

    Attributes
    ----------
    image, model, out : Path
    axes : str
        Of the image.
    config : PredictConfig
    part : Part or None
        None for the whole image.
    """

    image: Path
    model: Path
    out: Path
    axes: str
    config: PredictConfig
    part: Part | None = None

    def command(self) -> str:
        """For a terminal."""
        words = ["napari-unet", "predict", self.image, self.out, "--model", self.model, "--axes", self.axes]
        part = ["--part", str(self.part)] if self.part else []
        return _joined([*words, "--overwrite", *part, *command_line(self.config)])

    def python(self) -> str:
        """A script."""
        return predictions_python([self])


@dataclass(frozen=True, slots=True)
class FolderPrediction:
    """All images of a folder segmented with a model file.

    Attributes
    ----------
    folder, model, out : Path
    ending : str
        What results are written as.
    config : PredictConfig
    """

    folder: Path
    model: Path
    out: Path
    ending: str
    config: PredictConfig

    def command(self) -> str:
        """For a terminal."""
        words = ["napari-unet", "predict", self.folder, self.out, "--model", self.model, "--ending", self.ending]
        return _joined([*words, "--overwrite", *command_line(self.config)])

    def python(self) -> str:
        """A script."""
        return _script(
            f"model = nu.Model.load({str(self.model)!r})",
            f"config = {as_python(self.config)}",
            f"done = predict_folder(model, {str(self.folder)!r}, {str(self.out)!r}, config=config, "
            f"ending={self.ending!r}, overwrite=True)",
            "problems = [file.problem for file in done if file.problem]",
            names="",
            more=_config_names(self.config),
            also="from napari_unet.session.folder_run import predict_folder",
        )


def predictions_command(all_of: Sequence[Prediction]) -> str:
    """Several images, one after the other, for a terminal."""
    return "\n".join(one.command() for one in all_of)


def predictions_python(all_of: Sequence[Prediction]) -> str:
    """A script for several images with one model file and the same settings."""
    config = all_of[0].config
    plain = config == PredictConfig()
    lines = [f"model = nu.Model.load({str(all_of[0].model)!r})"]
    lines += [] if plain else [f"config = {as_python(config)}"]
    for one in all_of:
        options = ("" if plain else ", config=config") + (one.part.python() if one.part else "")
        lines += [
            f"image = read_image({str(one.image)!r}).array",
            f"result = model.predict(image, axes={one.axes!r}{options})",
            f"write_labels({str(one.out)!r}, result, {_result_axes(one)!r}, overwrite=True)",
        ]
    return _script(*lines, names="read_image, write_labels", more=[] if plain else _config_names(config))


@dataclass(frozen=True, slots=True)
class Training:
    """A model trained from files.

    Attributes
    ----------
    images, strokes : tuple of Path
        One file of strokes for each image.
    out : Path
        The model file.
    axes : str
        Of all images.
    model : ModelConfig
    config : TrainConfig
        With a budget in steps, and on the same device, it gives the same weights each time.
    """

    images: tuple[Path, ...]
    strokes: tuple[Path, ...]
    out: Path
    axes: str
    model: ModelConfig
    config: TrainConfig

    def command(self) -> str:
        """For a terminal."""
        plain = self.model.replace(colors=())
        # What the command would choose by itself is told all the same.
        told = ["--in-channels", str(plain.in_channels), "--classes", ",".join(plain.classes), "--stem", plain.stem]
        base = standard_model(in_channels=plain.in_channels, classes=plain.classes, stem=plain.stem)
        rest = command_line(plain, base)
        words = ["napari-unet", "train", *self.images, "--strokes", *self.strokes, "--model", self.out]
        return _joined([*words, "--axes", self.axes, "--overwrite", *told, *rest, *command_line(self.config)])

    def python(self) -> str:
        """A script."""
        images, strokes = (
            "[" + ", ".join(f"read_image({str(path)!r}).array" for path in paths) + "]"
            for paths in (self.images, self.strokes)
        )
        return _script(
            f"images = {images}",
            f"strokes = {strokes}",
            f"config = {as_python(self.model)}",
            f"training = {as_python(self.config)}",
            f"model = nu.fit(images, strokes, model=config, training=training, axes={self.axes!r})",
            f"model.save({str(self.out)!r})",
            names="read_image",
            more=_config_names(self.model, self.config),
        )


def command_line(config: Config, base: Config | None = None) -> list[str]:
    """The options that make `config` out of `base` (the defaults if not given): for "Copy as command"."""
    start = base if base is not None else type(config)()
    words: list[str] = []
    for path, field in config_fields(type(config)):
        value, before = _value(config, path), _value(start, path)
        if value != before:
            words += _words(path, field, value)
    return words


def as_python(config: Config) -> str:
    """The expression that makes `config`, with what differs from the defaults.

    Examples
    --------
    >>> as_python(TrainConfig(steps=3))
    'TrainConfig(steps=3)'
    """
    start = type(config)()
    parts = []
    for name in type(config).model_fields:
        value = getattr(config, name)
        if value != getattr(start, name):
            parts.append(f"{name}={as_python(value) if isinstance(value, Config) else repr(value)}")
    return f"{type(config).__name__}({', '.join(parts)})"


def config_fields(config: type[Config], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """All fields with their paths, those of nested configs included."""
    for name, field in config.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Config):
            yield from config_fields(kind, (*path, name))
        else:
            yield (*path, name), field


def option_text(value: Any) -> str:
    """A value as the command line takes it."""
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return "none" if value is None else str(value)


def _config_names(*configs: Config) -> list[str]:
    """Classes that `as_python` of the configs speaks of."""
    names = {type(config).__name__ for config in configs}
    for config in configs:
        for name in type(config).model_fields:
            value = getattr(config, name)
            if isinstance(value, Config) and value != type(value)():
                names.update(_config_names(value))
    return sorted(names)


def _script(*lines: str, names: str, more: Sequence[str] = (), also: str = "") -> str:
    imports = [f"from napari_unet.config import {', '.join(more)}"] if more else []
    imports += [f"from napari_unet.io.images import {names}"] if names else []
    imports += [also] if also else []
    return "\n".join(["import napari_unet as nu", *imports, "", *lines, ""])


def _joined(words: Sequence[object]) -> str:
    """Words as the shell of this system reads them."""
    return shlex.join([str(word) for word in words])


def _result_axes(one: Prediction) -> str:
    """Axes of the result: those of the image, and C for one plane for each class."""
    return "C" * (one.config.output == "probabilities") + one.axes.replace("S", "").replace("C", "")


def _value(config: Config, path: tuple[str, ...]) -> Any:
    value: Any = config
    for part in path:
        value = getattr(value, part)
    return value


def _words(path: tuple[str, ...], field: FieldInfo, value: Any) -> list[str]:
    flag = "-".join(path).replace("_", "-")
    if field.annotation is bool:
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", option_text(value)]
