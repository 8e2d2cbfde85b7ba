"""Composition by Hydra: verl's ``ppo_trainer``, then ``recipes/base.yaml``, then the recipe, then the overrides."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aflow_verl.errors import RecipeError, UserError
from aflow_verl.recipe.verl_schema import config_dir

_STORED = "aflow_verl_recipe"


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


def compose_over_verl(layers: list[DictConfig], overrides: list[str], shown: str) -> DictConfig:
    """verl's configuration, the layers in order on top, then the overrides. The result is in struct mode.

    Raises ``RecipeError`` with the first line of Hydra's complaint; ``shown`` is the file it is about.
    """
    node = _raw(reduce(_over, layers))
    ConfigStore.instance().store(name=_STORED, node={"defaults": ["ppo_trainer", "_self_"], **node})
    try:
        with initialize_config_dir(str(config_dir()), version_base=None):
            return compose(_STORED, overrides=overrides)
    except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
        given = f" with {' '.join(overrides)}" if overrides else ""
        raise RecipeError(f"{shown}{given}: {first_line(error)}") from error


def _over(lower: DictConfig, upper: DictConfig) -> DictConfig:
    """``upper`` on ``lower``; a list may replace a mapping (``benchmark``), which OmegaConf alone refuses."""
    kept = {key: lower._get_node(key) for key in lower if not OmegaConf.is_list(upper._get_node(key))}
    merged = OmegaConf.merge(kept, upper)
    assert isinstance(merged, DictConfig)
    return merged


def _raw(config: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def first_line(error: Exception) -> str:
    """The first line of a message, for one-line reports."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
