"""Where each value of a recipe was written, so that every complaint can name file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml


@dataclass(frozen=True)
class Origins:
    """Dotted keys -> places. List items are written ``benchmark[0].name``."""

    recipe: str
    """The recipe's path as the user gave it."""
    recipe_lines: Mapping[str, int]
    base: str
    base_lines: Mapping[str, int]
    overrides: Mapping[str, str]
    """Dotted key -> the override as it was typed; the last one wins."""

    def locate(self, key: str) -> str:
        """``override 'a.b=1'``, ``recipes/x.yaml:12``, or the recipe's path for a value nobody wrote."""
        for prefix in _prefixes(key):
            if prefix in self.overrides:
                return f"override '{self.overrides[prefix]}'"
        for path, lines in ((self.recipe, self.recipe_lines), (self.base, self.base_lines)):
            if key in lines:
                return f"{path}:{lines[key]}"
        below = [text for name, text in self.overrides.items() if name.startswith(f"{key}.")]
        return f"override '{below[-1]}'" if below else self.recipe


def key_lines(text: str) -> dict[str, int]:
    """Line (from 1) of every key and list item in a YAML text. Raises ``yaml.YAMLError`` for bad syntax."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return dict(_walk(root, "")) if root is not None else {}


def _walk(node: yaml.Node, prefix: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key = f"{prefix}.{key_node.value}" if prefix else str(key_node.value)
            yield key, key_node.start_mark.line + 1
            yield from _walk(value_node, key)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield f"{prefix}[{i}]", item.start_mark.line + 1
            yield from _walk(item, f"{prefix}[{i}]")


def _prefixes(key: str) -> Iterator[str]:
    """The key itself and then its ancestors: ``a[0].b``, ``a[0]``, ``a``."""
    while key:
        yield key
        cut = max(key.rfind("."), key.rfind("["))
        key = key[:cut] if cut > 0 else ""
