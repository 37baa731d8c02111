"""What was done, as a command line and as Python: exact, and ready to run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from napari_unet.config import Config, ModelConfig, PredictConfig, TrainConfig


@dataclass(frozen=True, slots=True)
class Prediction:
    """An image file segmented with a model file.

    Attributes
    ----------
    image, model, out : Path
    axes : str
        Of the image.
    config : PredictConfig
    """

    image: Path
    model: Path
    out: Path
    axes: str
    config: PredictConfig

    def command(self) -> str:
        """For a terminal."""
        words = ["napari-unet", "predict", self.image, self.out, "--model", self.model, "--axes", self.axes]
        return _joined([*words, "--overwrite", *command_line(self.config)])

    def python(self) -> str:
        """A script."""
        options = "".join(
            f", {name}={getattr(self.config, name)!r}"
            for name in ("output", "tile", "device")
            if getattr(self.config, name) != getattr(PredictConfig(), name)
        )
        return _script(
            f"image = read_image({str(self.image)!r}).array",
            f"model = nu.Model.load({str(self.model)!r})",
            f"labels = model.predict(image, axes={self.axes!r}{options})",
            f"write_labels({str(self.out)!r}, labels, {_label_axes(self.axes)!r}, overwrite=True)",
            names="read_image, write_labels",
        )


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
        told = ["--in-channels", str(plain.in_channels), "--classes", ",".join(plain.classes)]
        rest = command_line(plain, ModelConfig(in_channels=plain.in_channels, classes=plain.classes))
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


def _script(*lines: str, names: str, more: Sequence[str] = ()) -> str:
    configs = [f"from napari_unet.config import {', '.join(more)}"] if more else []
    return "\n".join(
        ["import napari_unet as nu", *configs, f"from napari_unet.io.images import {names}", "", *lines, ""]
    )


def _joined(words: Sequence[object]) -> str:
    """Words as the shell of this system reads them."""
    return shlex.join([str(word) for word in words])


def _label_axes(axes: str) -> str:
    return axes.replace("S", "").replace("C", "")


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
