"""Nothing in a recipe goes unread: unknown keys and values of the wrong kind are refused.

Our own keys get their exact types in ``aflow_verl.config``; here verl's keys are compared with verl's defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aflow_verl.errors import RecipeError
from aflow_verl.recipe.verl_schema import VerlSchema
from aflow_verl.schema import Locate


def check_keys(given: Mapping[Any, Any], reference: DictConfig, schema: VerlSchema, locate: Locate) -> None:
    """Raise ``RecipeError`` for the first key of ``given`` that neither verl nor we know.

    ``reference`` is verl's configuration with our base on top, nothing of the recipe in it.
    """
    _check_below(given, reference, "", schema, reference, locate)


def _check_below(
    given: Mapping[Any, Any], node: DictConfig, prefix: str, schema: VerlSchema, root: DictConfig, locate: Locate
) -> None:
    for name, value in given.items():
        path = f"{prefix}.{name}" if prefix else str(name)
        if name not in node:
            if schema.is_free(prefix, node, None) or schema.knows(node, str(name)):
                continue
            raise RecipeError(f"{locate(path)}: {path}: unknown key{suggest_key(path, root)}")
        child = _child(node, name)
        if not isinstance(child, DictConfig) or schema.is_free(path, child, node):
            continue
        if isinstance(value, Mapping):
            _check_below(value, child, path, schema, root, locate)
        elif path != "benchmark" and (not prefix or value is not None) and not _is_reference(value):
            raise RecipeError(f"{locate(path)}: {path}: expected a mapping, found {value!r}")


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def suggest_key(key: str, reference: DictConfig) -> str:
    """``; did you mean X?``: a sibling with a similar name, else a key elsewhere that ends alike, else nothing."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(reference, parent) if parent else reference
    siblings = [str(k) for k in node] if isinstance(node, DictConfig) else []
    close = get_close_matches(name, siblings, n=1)
    if close:
        return f"; did you mean {f'{parent}.' if parent else ''}{close[0]}?"
    elsewhere = [k for k in all_keys(reference) if k.endswith(f".{key}") or k.endswith(f".{name}")]
    best = min(elsewhere, key=lambda k: (not k.endswith(f".{key}"), len(k)), default=None)
    return f"; did you mean {best}?" if best else ""


def all_keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a configuration, mappings before their contents."""
    for name in node:
        path = f"{prefix}.{name!s}" if prefix else str(name)
        yield path
        child = _child(node, name)
        if isinstance(child, DictConfig):
            yield from all_keys(child, path)


def check_kinds(
    config: DictConfig, reference: DictConfig, schema: VerlSchema, skip: tuple[str, ...], locate: Locate
) -> None:
    """Raise ``RecipeError`` where a value's kind differs from the default's (a text for a number and so on).

    ``skip`` names root keys that are checked elsewhere. A default of null says nothing about the kind, and a reference
    to another key is checked where that key stands.
    """
    values, defaults = OmegaConf.to_container(config), OmegaConf.to_container(reference)
    assert isinstance(values, dict)
    assert isinstance(defaults, dict)
    for name in values.keys() & defaults.keys() - set(skip):
        _check_kind(values[name], defaults[name], str(name), schema, locate)


def _check_kind(value: Any, default: Any, path: str, schema: VerlSchema, locate: Locate) -> None:
    if isinstance(default, dict) and isinstance(value, dict):
        for name in value.keys() & default.keys():
            # verl writes 0 or 1 for some defaults of fractions; the dataclass of the node knows better
            fraction = "float" in schema.annotation(default, str(name)) or f"{path}.{name}" in FRACTIONS
            child = float(default[name]) if type(default[name]) is int and fraction else default[name]
            _check_kind(value[name], child, f"{path}.{name}", schema, locate)
        return
    expected, found = _kind(default), _kind(value)
    if expected is None or found is None or found in _ACCEPTED[expected]:
        return
    raise RecipeError(f"{locate(path)}: {path}: expected {expected}, found {value!r} (verl's default: {default!r})")


FRACTIONS = ("actor_rollout_ref.model.lora.alpha", "critic.model.lora.alpha", "trainer.esi_redundant_time")
"""Numbers with a whole default, and no dataclass that would say that they may be fractions."""

_ACCEPTED = {
    "true or false": ("true or false",),
    "a whole number": ("a whole number",),
    "a number": ("a number", "a whole number"),
    # verl takes a list wherever it takes one file, module or logger name.
    "a text": ("a text", "a list", "a number", "a whole number"),
    "a list": ("a list", "a text"),
    "a mapping": ("a mapping",),
}


def _kind(value: Any) -> str | None:
    """None for values that say nothing: null, missing (``???``), a reference."""
    if value is None or value == "???" or _is_reference(value):
        return None
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "a mapping"


def _child(node: DictConfig, name: Any) -> Any:
    """The value below ``name``; None where it is missing (``???``) or can't be resolved."""
    try:
        return None if OmegaConf.is_missing(node, name) else node[name]
    except OmegaConfBaseException:
        return None
