"""Options are made from the configs and make the same configs again."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest

from napari_unet.cli.options import add_config, read_config, read_model
from napari_unet.config import AugmentConfig, ModelConfig, NormalizationConfig, PredictConfig, TrainConfig
from napari_unet.errors import ConfigError
from napari_unet.session.recipe import Training, command_line
from napari_unet.standard import standard_model


def parsed(config: type, words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_config(parser, config)
    return parser.parse_args(words)


@pytest.mark.parametrize("config", [ModelConfig, TrainConfig, PredictConfig])
def test_without_options_the_defaults_hold(config):
    assert read_config(parsed(config, []), config) == config()


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(seconds=12.5, augment=AugmentConfig(enabled=False, rotation=30), device="cuda:1"),
        TrainConfig(steps=7, threads=3),
        ModelConfig(
            ndim=3,
            classes=("ground", "tree", "bird"),
            spacing=(2.0, 0.5, 0.5),
            normalization=NormalizationConfig(low=0, high=100),
            deep_supervision=True,
            encoder="resnet50",
        ),
        PredictConfig(output="instances", tile=64, background_zero=True),
        PredictConfig(channels=("DAPI", "2"), rescale=True, spacing=(2.0, 0.5, 0.5), memory=1.5),
    ],
)
def test_a_config_survives_its_command_line(config):
    words = command_line(config)
    assert read_config(parsed(type(config), words), type(config)) == config


@pytest.mark.parametrize(
    "model",
    [
        standard_model(classes=("ground", "tree")),
        standard_model(architecture="unetpp"),
        standard_model(architecture="unetpp", stem="scale_space"),
        standard_model(ndim=3, stem="scale_space"),
        ModelConfig(in_channels=2),
    ],
)
def test_a_copied_training_makes_the_same_network(model):
    here = Path()
    words = shlex.split(Training((here,), (here,), here, "YX", model, TrainConfig()).command())
    parser = argparse.ArgumentParser()
    add_config(parser, ModelConfig, skip=("colors",))
    options, _ = parser.parse_known_args(words)
    assert read_model(options) == model


def test_only_what_differs_is_written():
    assert command_line(TrainConfig()) == []
    assert command_line(TrainConfig(steps=3)) == ["--steps", "3"]


def test_options_go_over_a_base():
    base = ModelConfig(in_channels=3, normalization=NormalizationConfig(low=2))
    config = read_config(parsed(ModelConfig, ["--normalization-high", "99"]), ModelConfig, base)
    assert (config.in_channels, config.normalization.low, config.normalization.high) == (3, 2, 99)


@pytest.mark.parametrize("words", [["--width", "0"], ["--width", "many"], ["--classes", "a,a"]])
def test_bad_values_are_refused_in_one_sentence(words):
    with pytest.raises(ConfigError) as caught:
        read_config(parsed(ModelConfig, words), ModelConfig)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", [ModelConfig, TrainConfig, PredictConfig])
def test_every_option_has_help(config):
    parser = argparse.ArgumentParser()
    add_config(parser, config)
    assert all(action.help and "None [" not in action.help for action in parser._actions)
    assert parser.format_help()
