"""Composition by Hydra: verl's ``ppo_trainer``, then ``recipes/base.yaml``, then the recipe, then the overrides."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aflow_verl.errors import RecipeError, UserError
from aflow_verl.recipe.verl_schema import config_dir


def read_yaml(path: Path, shown: str) -> tuple[DictConfig, str]:
    """A recipe file as a configuration, and its text. Raises ``RecipeError`` for anything but a YAML mapping."""
    if not path.is_file():
        raise RecipeError(f"{shown}: no such recipe file; the first argument is the path of a YAML file")
    try:
        text = path.read_text(encoding="utf-8")
        # yaml's own reader first: it knows the lines. OmegaConf's then refuses duplicate keys.
        plain = yaml.safe_load(text)
        config = OmegaConf.create(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise RecipeError(f"{shown}{line}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise RecipeError(f"{shown}: not valid YAML: {first_line(error)}") from error
    except OSError as error:
        raise RecipeError(f"{shown}: can't be read: {error.strerror}") from error
    if plain is not None and not isinstance(plain, dict):
        raise RecipeError(f"{shown}: a recipe is a YAML mapping of keys, found {type(plain).__name__}")
    assert isinstance(config, DictConfig)
    return config, text


def parse_overrides(overrides: list[str]) -> list[Override]:
    """Hydra's grammar (``a.b=c``, ``+a=1``, ``++a=1``, ``~a``). Raises ``UserError`` for what it doesn't accept."""
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(f"override '{text}': {first_line(error)}; write key=value (Hydra's grammar)") from error
        if override.is_sweep_override():
            raise UserError(f"override '{text}': one value a run; for a list write key=[a,b]")
        parsed.append(override)
    return parsed


def compose_over_verl(layers: list[DictConfig], overrides: list[Override], shown: str) -> DictConfig:
    """verl's configuration, the layers in order on top, then the overrides. The result is in struct mode.

    Raises ``RecipeError`` with the first line of Hydra's complaint; ``shown`` is the file it is about.
    """
    groups = tuple(o.input_line or "" for o in overrides if is_group(o.key_or_group))
    values = [o for o in overrides if not is_group(o.key_or_group)]
    return _compose(lambda: copy.deepcopy(_verl(groups)), layers, values, shown)


def compose_alone(layers: list[DictConfig], overrides: list[Override], shown: str) -> DictConfig:
    """The layers in order, then the overrides, without verl. Otherwise as ``compose_over_verl``."""
    return _compose(lambda: OmegaConf.create({}), layers, overrides, shown)


def _compose(
    bottom: Callable[[], DictConfig], layers: list[DictConfig], overrides: list[Override], shown: str
) -> DictConfig:
    try:
        config = bottom()
        for layer in layers:
            _lay_over(config, layer)
        OmegaConf.set_struct(config, True)
        # What hydra.compose does last; called alone, so that verl's files are read once a process.
        ConfigLoaderImpl._apply_overrides_to_config(overrides, config)
    except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
        given = f" with {' '.join(o.input_line or '' for o in overrides)}" if overrides else ""
        raise RecipeError(f"{shown}{given}: {first_line(error)}") from error
    return config


def is_group(key: str) -> bool:
    """True for a choice among verl's files (``model_engine=dp``) rather than a value."""
    return "@" in key or (config_dir() / key).is_dir()


@lru_cache(maxsize=4)
def _verl(groups: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base=None):
        config = compose("ppo_trainer", overrides=list(groups))
    OmegaConf.set_struct(config, False)
    return config


def _lay_over(config: DictConfig, layer: DictConfig) -> None:
    """Merge in place; a list may replace a mapping (``benchmark``), which OmegaConf alone refuses."""
    for key in layer:
        if OmegaConf.is_list(layer._get_node(key)) and key in config:
            del config[key]
    config.merge_with(layer)


def first_line(error: Exception) -> str:
    """The first line of a message, for one-line reports."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
