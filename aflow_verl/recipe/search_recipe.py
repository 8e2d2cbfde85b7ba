"""Recipes of ``kind: search``: our keys alone, over those of ``recipes/base.yaml``, without verl's configuration."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from aflow_verl.config import ROOT_KEYS, from_config
from aflow_verl.errors import RecipeError, UserError
from aflow_verl.recipe import load
from aflow_verl.recipe.compose import compose_alone, parse_overrides, read_yaml
from aflow_verl.recipe.load import Recipe, by_key, check_overrides, check_references, run_dir_of
from aflow_verl.recipe.names import known_names
from aflow_verl.recipe.origins import Origins, key_lines
from aflow_verl.recipe.strict import check_keys
from aflow_verl.recipe.verl_schema import VerlSchema

NOTHING_ELSE = VerlSchema({})
"""No key goes that the reference lacks."""


def is_search(path: str | Path) -> bool:
    """Whether a recipe file says ``kind: search``. Raises ``RecipeError`` for a file that is no recipe."""
    return bool(read_yaml(Path(path), str(path))[0].get("kind") == "search")


def load_search_recipe(path: str | Path, overrides: list[str], *, now: datetime | None = None) -> Recipe:
    """Read, compose and type a recipe. ``now`` names the default run directory, ``runs/<recipe>/<time>``.

    Raises ``UserError`` (mostly ``RecipeError``), one line each, for whatever is wrong with file or overrides.
    """
    shown = str(path)
    given, text = read_yaml(Path(path), shown)
    if given.get("kind") != "search":
        raise RecipeError(
            f"{shown}: kind is not search; 'aflow-verl train' runs it, or set kind: search and leave verl's keys out"
        )
    base, base_text = _base()
    parsed = parse_overrides(overrides)
    origins = Origins(shown, key_lines(text), os.path.relpath(load.BASE), key_lines(base_text), by_key(parsed))
    ours, verls = _parted(base)
    _refuse_training(verls, [*map(str, given), *(o.key_or_group for o in parsed)], origins)
    plain = OmegaConf.to_container(given, resolve=False)
    assert isinstance(plain, dict)
    check_keys(plain, ours, NOTHING_ELSE, origins.locate)
    check_overrides(parsed, ours, given, origins, NOTHING_ELSE)
    lists = [o for o in parsed if o.key_or_group == "benchmark" and isinstance(o.value(), list)]
    layers = [ours, given, *(OmegaConf.create({"benchmark": o.value()}) for o in lists)]
    config = compose_alone(layers, [o for o in parsed if o not in lists], shown)
    return _finish(Path(path), overrides, config, origins, now or datetime.now())


def _base() -> tuple[DictConfig, str]:
    if not load.BASE.is_file():
        raise UserError(
            f"{load.BASE}: the defaults under every recipe are missing; install anew: pip install -e . in a clone"
        )
    return read_yaml(load.BASE, os.path.relpath(load.BASE))


def _parted(base: DictConfig) -> tuple[DictConfig, frozenset[str]]:
    """(our part of the defaults, root keys of the rest)."""
    ours = {key: base._get_node(key) for key in ROOT_KEYS}
    return OmegaConf.create(ours), frozenset(str(key) for key in base if key not in ROOT_KEYS)


def _refuse_training(verls: frozenset[str], used: list[str], origins: Origins) -> None:
    for key in used:
        if key.split(".")[0] in verls:
            raise RecipeError(f"{origins.locate(key)}: {key}: is verl's, and a search without training has no such key")


def _finish(path: Path, overrides: list[str], config: DictConfig, origins: Origins, now: datetime) -> Recipe:
    check_references(config, origins)
    name = path.stem
    run_dir = run_dir_of(OmegaConf.select(config, "run_dir"), f"runs/{name}/{now:%Y-%m-%d_%H-%M-%S}", origins)
    with open_dict(config):
        config.run_dir = str(run_dir)
    return Recipe(
        path,
        name,
        tuple(overrides),
        config,
        known_names(from_config(config, origins.locate), origins.locate),
        run_dir,
        origins,
    )
