"""A recipe as the run receives it: composed, typed, with its run directory and its derived values."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from aflow_verl.config import ROOT_KEYS, AflowConfig, from_config
from aflow_verl.errors import RecipeError, UserError
from aflow_verl.recipe.base import find_base
from aflow_verl.recipe.compose import compose_over_verl, first_line, is_group, parse_overrides, read_yaml
from aflow_verl.recipe.names import known_names
from aflow_verl.recipe.origins import Origins, key_lines
from aflow_verl.recipe.strict import all_keys, check_keys, check_kinds
from aflow_verl.recipe.verl_schema import VerlSchema, read_schema
from aflow_verl.recipe.verl_values import check_values

BASE = find_base()

LOGICAL_CPUS_PER_RANK = 3
"""CPUs in a bundle of verl's resource pool (``max_colocate_count``), reserved for every rank."""
LOGICAL_CPUS_BESIDE = 8
"""For the task runner, the agent loop and reward workers, the data queue and the search server."""


@dataclass(frozen=True)
class Recipe:
    """Everything a run needs to know. ``config`` is what verl gets, ``ours`` the typed part that verl ignores."""

    path: Path
    name: str
    """The file's stem."""
    overrides: tuple[str, ...]
    config: DictConfig
    ours: AflowConfig
    run_dir: Path
    """Absolute; not made yet."""
    origins: Origins

    def locate(self, key: str) -> str:
        """Where the dotted key was set, for messages."""
        return self.origins.locate(key)

    def get(self, key: str) -> Any:
        """The resolved value of a dotted key; None where it is missing or null."""
        return OmegaConf.select(self.config, key, default=None, throw_on_missing=False)

    @property
    def ranks(self) -> int:
        """Data-parallel training processes."""
        return int(self.get("trainer.n_gpus_per_node")) * int(self.get("trainer.nnodes"))

    def to_yaml(self) -> str:
        """The whole recipe with every reference resolved: ``--print`` and ``recipe.resolved.yaml``."""
        return OmegaConf.to_yaml(self.config, resolve=True)


def load_recipe(path: str | Path, overrides: list[str], *, now: datetime | None = None) -> Recipe:
    """Read, compose and type a recipe. ``now`` names the default run directory, ``runs/<recipe>/<time>``.

    Raises ``UserError`` (mostly ``RecipeError``), one line each, for whatever is wrong with file or overrides.
    """
    shown = str(path)
    given, text = read_yaml(Path(path), shown)
    if given.get("kind") == "search":
        raise RecipeError(f"{shown}: kind is search: a search without training; run: aflow-verl search {shown}")
    base, base_text, reference = _reference()
    parsed = parse_overrides(overrides)
    base_shown = os.path.relpath(BASE)
    origins = Origins(shown, key_lines(text), base_shown, key_lines(base_text), by_key(parsed))
    plain = OmegaConf.to_container(given, resolve=False)
    assert isinstance(plain, dict)
    check_keys(plain, reference, read_schema(), origins.locate)
    check_overrides(parsed, reference, given, origins, read_schema())
    lists = [o for o in parsed if o.key_or_group == "benchmark" and isinstance(o.value(), list)]
    layers = [base, given, *(OmegaConf.create({"benchmark": o.value()}) for o in lists)]
    config = compose_over_verl(layers, [o for o in parsed if o not in lists], shown)
    check_kinds(config, reference, read_schema(), ROOT_KEYS, origins.locate)
    return _finish(Path(path), overrides, config, origins, now or datetime.now())


def usual(key: str) -> Any:
    """The value of a dotted key where no recipe sets it; None where there is none."""
    return OmegaConf.select(_reference()[2], key, default=None, throw_on_missing=False)


def is_base(path: str | Path) -> bool:
    """True for ``recipes/base.yaml``, which no run can be made from."""
    return Path(path).resolve() == BASE.resolve()


@lru_cache(maxsize=1)
def _reference() -> tuple[DictConfig, str, DictConfig]:
    """``recipes/base.yaml``, its text, and verl's configuration with it on top."""
    if not BASE.is_file():
        raise UserError(
            f"{BASE}: the defaults under every recipe are missing; install anew: pip install -e . in a clone"
        )
    base, text = read_yaml(BASE, os.path.relpath(BASE))
    reference = compose_over_verl([base], [], os.path.relpath(BASE))
    OmegaConf.set_struct(reference, False)
    return base, text, reference


def by_key(parsed: list[Override]) -> dict[str, str]:
    return {override.key_or_group: override.input_line or "" for override in parsed}


def check_overrides(
    parsed: list[Override], reference: DictConfig, given: DictConfig, origins: Origins, schema: VerlSchema
) -> None:
    """What Hydra would accept or refuse without a hint: additions nobody reads, typing errors, removed keys of ours."""
    for override in parsed:
        key = override.key_or_group
        if key == "kind":
            raise UserError(f"{origins.locate(key)}: kind: stands in the recipe's file only")
        if schema.fields and is_group(key):
            continue
        if override.type is OverrideType.DEL:
            if key.split(".")[0] in ROOT_KEYS:
                raise UserError(f"{origins.locate(key)}: {key}: can't be removed; set another value instead")
        elif override.type is OverrideType.CHANGE and _exists(given, key):
            continue
        elif key.startswith("benchmark.") and OmegaConf.is_list(given.get("benchmark")):
            raise UserError(
                f"{origins.locate(key)}: {key}: benchmark is a list here; write benchmark=[{{...}},{{...}}]"
            )
        elif override.type is OverrideType.CHANGE and not _exists(reference, key):
            raise _unknown_override(key, reference, origins, schema)
        else:
            check_keys(_nested(key, override.value()), reference, schema, origins.locate)


def _unknown_override(key: str, reference: DictConfig, origins: Origins, schema: VerlSchema) -> UserError:
    longer = [k for k in all_keys(reference) if k.endswith(f".{key}")]
    if longer:
        return RecipeError(f"{origins.locate(key)}: {key}: unknown key; did you mean {min(longer, key=len)}?")
    try:
        check_keys(_nested(key, None), reference, schema, origins.locate)
    except RecipeError as error:
        return error
    return UserError(f"{origins.locate(key)}: {key}: not in the recipe yet; to add it write +{key}=...")


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def _exists(config: DictConfig, key: str) -> bool:
    node: Any = config
    for part in key.split("."):
        index: Any = int(part) if isinstance(node, ListConfig) and part.isdigit() else part
        known = index < len(node) if isinstance(index, int) else isinstance(node, DictConfig) and index in node
        if not known:
            return False
        node = node._get_node(index)
    return True


def _finish(path: Path, overrides: list[str], config: DictConfig, origins: Origins, now: datetime) -> Recipe:
    check_references(config, origins)
    check_values(config, origins.locate)
    name = path.stem
    run_dir = run_dir_of(OmegaConf.select(config, "run_dir"), f"runs/{name}/{now:%Y-%m-%d_%H-%M-%S}", origins)
    with open_dict(config):
        config.run_dir = str(run_dir)
        _derive_ray(config)
    ours = known_names(from_config(config, origins.locate), origins.locate)
    return Recipe(path, name, tuple(overrides), config, ours, run_dir, origins)


def run_dir_of(given: Any, default: str, origins: Origins) -> Path:
    try:
        return Path(str(given) if given else default).expanduser().absolute()
    except RuntimeError as error:  # ~somebody
        raise RecipeError(f"{origins.locate('run_dir')}: run_dir: {given!r}: {first_line(error)}") from error


def check_references(config: DictConfig, origins: Origins) -> None:
    try:
        OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        key = str(getattr(error, "full_key", "") or "")
        raise RecipeError(f"{origins.locate(key)}: {key}: {first_line(error)}") from error


def _derive_ray(config: DictConfig) -> None:
    """Ray's CPUs and, on a CPU, its GPUs are logical: they only have to satisfy verl's placement groups."""
    ranks = OmegaConf.select(config, "trainer.n_gpus_per_node") * OmegaConf.select(config, "trainer.nnodes")
    init = config.ray_kwargs.get("ray_init")
    if init is None:
        init = config.ray_kwargs.ray_init = OmegaConf.create({})
    if init.get("num_cpus") is None and OmegaConf.select(config, "trainer.nnodes") == 1:
        init.num_cpus = max(os.cpu_count() or 1, LOGICAL_CPUS_PER_RANK * ranks + LOGICAL_CPUS_BESIDE)
    if config.trainer.device == "cpu" and init.get("num_gpus") is None:
        init.num_gpus = ranks
