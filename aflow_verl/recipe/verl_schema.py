"""verl's keys, read from its files without importing it (importing verl takes seconds and loads every plug-in).

Three things say that verl knows a key: its YAML files, the fields of the dataclass that a node's ``_target_`` names
(read from the source with ``ast``), and the few nodes that verl hands on as plain dictionaries.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from aflow_verl.errors import UserError

SOURCE_DIRS = ("base_config.py", "trainer/config", "workers/config", "utils/profiler", "utils/skip")
"""Where verl's config dataclasses live, relative to the package (0.9.1)."""

FREE_FORM = (
    r"ray_kwargs\.ray_init(\.runtime_env)?",  # keyword arguments of ray.init
    r"trainer\.v1\.\w+",  # the settings of a trainer mode, registered ones included
    r".*\.wrap_policy",  # transformers' layer class names and the like
    r".*\.override_optimizer_config",
    r"reward\.custom_reward_function\.reward_kwargs",
    r"data\.(apply_chat_template_kwargs|mm_processor_kwargs)",
)
"""Nodes below which any key goes, besides those that are ``{}`` in verl's YAML or ``dict`` in its dataclasses."""


@dataclass(frozen=True)
class VerlSchema:
    """Field names and annotations of verl's config dataclasses, by class name, inherited ones included."""

    fields: Mapping[str, Mapping[str, str]]

    def knows(self, node: DictConfig, key: str) -> bool:
        """True if the node's dataclass has a field of this name, though verl's YAML doesn't list it."""
        return key in self._fields_of(node)

    def is_free(self, path: str, node: object, parent: DictConfig | None) -> bool:
        """True if any key may be added below the dotted ``path``."""
        if any(re.fullmatch(pattern, path) for pattern in FREE_FORM):
            return True
        if isinstance(node, DictConfig):
            return len(node) == 0
        annotation = self._fields_of(parent).get(path.rpartition(".")[2], "") if parent is not None else ""
        return node is None and "dict" in annotation.lower()

    def annotation(self, node: Mapping[Any, Any] | DictConfig, key: str) -> str:
        """The type that the node's dataclass gives the key, as it is written there; empty where there is none."""
        return self._fields_of(node).get(key, "")

    def _fields_of(self, node: Mapping[Any, Any] | DictConfig) -> Mapping[str, str]:
        target = str(node.get("_target_", ""))
        return self.fields.get(target.rpartition(".")[2], {})


def verl_root() -> Path:
    """verl's package directory, found without importing it. Raises ``UserError`` where verl is not installed."""
    spec = find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("verl is not installed in this environment; run: pip install -e .")
    return Path(spec.submodule_search_locations[0])


def config_dir() -> Path:
    """The directory of ``ppo_trainer.yaml``."""
    return verl_root() / "trainer" / "config"


@lru_cache(maxsize=1)
def read_schema() -> VerlSchema:
    """The schema of the installed verl."""
    own: dict[str, dict[str, str]] = {}
    bases: dict[str, list[str]] = {}
    for path in SOURCE_DIRS:
        for file in _python_files(verl_root() / path):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    own[node.name] = _annotations(node)
                    bases[node.name] = [b.id for b in node.bases if isinstance(b, ast.Name)]
    return VerlSchema({name: _with_inherited(name, own, bases) for name in own})


def _python_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.glob("*.py"))


def _annotations(node: ast.ClassDef) -> dict[str, str]:
    statements = [s for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
    return {s.target.id: ast.unparse(s.annotation) for s in statements if isinstance(s.target, ast.Name)}


def _with_inherited(name: str, own: Mapping[str, dict[str, str]], bases: Mapping[str, list[str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in bases.get(name, []):
        found |= _with_inherited(base, own, bases)
    return found | own.get(name, {})
