"""Command-line options made from the configs: same names, same bounds, same help text."""

from __future__ import annotations

import argparse
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from napari_unet.config import Config, ModelConfig
from napari_unet.session.recipe import config_fields, option_text
from napari_unet.standard import standard_model, suited

C = TypeVar("C", bound=Config)


def add_config(parser: argparse.ArgumentParser, config: type[Config], *, skip: tuple[str, ...] = ()) -> None:
    """Add one option for each field of `config`, nested configs as ``--outer-inner``."""
    group = parser.add_argument_group(f"settings ({config.__name__})")
    for path, field in config_fields(config):
        if path[0] not in skip:
            _add(group, path, field)


def read_config(options: argparse.Namespace, config: type[C], base: C | None = None) -> C:
    """The config with what was given on the command line, over `base`.

    Raises
    ------
    ConfigError
        When a value is out of bounds.
    """
    values: dict[str, Any] = base.model_dump() if base is not None else {}
    for path, _ in config_fields(config):
        name = _name(path)
        if not hasattr(options, name):
            continue
        place = values
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = getattr(options, name)
    return config(**values)


def read_model(options: argparse.Namespace, base: ModelConfig | None = None) -> ModelConfig:
    """A new model as asked for on the command line, over `base`, which is the standard one by default."""
    base = base or standard_model()
    found = read_config(options, ModelConfig, base)
    return found if hasattr(options, "stem") else suited(found, base)


def _add(group: argparse._ArgumentGroup, path: tuple[str, ...], field: FieldInfo) -> None:
    flag = "--" + "-".join(path).replace("_", "-")
    text = f"{field.description} [{option_text(field.default)}]".replace("%", "%%")
    if field.annotation is bool:
        group.add_argument(
            flag, dest=_name(path), action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text
        )
        return
    group.add_argument(
        flag,
        dest=_name(path),
        default=argparse.SUPPRESS,
        help=text,
        type=_parser_of(field),
        choices=_choices(field),
        metavar=None if _choices(field) else "VALUE",
    )


def _parser_of(field: FieldInfo) -> Any:
    """How the text of an option becomes a value; bounds and types are checked by the config."""
    kinds = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    is_tuple = any(get_origin(kind) is tuple for kind in kinds)
    optional = type(None) in kinds

    def parse(text: str) -> Any:
        if optional and text == "none":
            return None
        if is_tuple:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return int(text) if _choices(field) and text.isdigit() else text

    return parse


def _choices(field: FieldInfo) -> tuple[Any, ...] | None:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else None


def _name(path: tuple[str, ...]) -> str:
    return "__".join(path)
