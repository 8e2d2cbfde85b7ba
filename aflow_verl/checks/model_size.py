"""How many parameters a model has, without loading or fetching it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_IN_NAME = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([bm])(?![a-z])", re.IGNORECASE)
"""``7B`` in ``Qwen2.5-7B-Instruct``, ``135m`` in ``smollm2-135m``."""


def parameters(path: str | None) -> float | None:
    """From the directory's ``config.json``, else from the size in the name, else None.

    The count from a config is that of a decoder with grouped attention and a gated feed-forward layer, norms left out.
    """
    if path is None:
        return None
    if (directory := expanded(path)).is_dir():
        config = read_config(directory)
        return _from_config(config) if config is not None else None
    match = _IN_NAME.search(path.rstrip("/").rpartition("/")[2].replace("-", " ").replace("_", " "))
    if match is None:
        return None
    return float(match[1]) * (1e9 if match[2].lower() == "b" else 1e6)


def expanded(path: str) -> Path:
    """``~`` replaced by the home directory; a home that doesn't exist stays as it is written."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def read_config(directory: Path) -> dict[str, Any] | None:
    """The directory's ``config.json``; None where there is none, or none that can be read."""
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # ValueError: neither JSON nor UTF-8
        return None
    return config if isinstance(config, dict) else None


def _from_config(config: dict[str, Any]) -> float | None:
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    if not all(isinstance(config.get(name), int) and config[name] > 0 for name in names):
        return None
    hidden, layers, heads, inner, vocabulary = (config[name] for name in names)
    given = (config.get("head_dim"), config.get("num_key_value_heads"))
    head, key_value_heads = (
        v if isinstance(v, int) else d for v, d in zip(given, (hidden // heads, heads), strict=True)
    )
    key_value = key_value_heads * head
    layer = 2 * hidden * heads * head + 2 * hidden * key_value + 3 * hidden * inner
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings", False) else 2)
    return float(layers * layer + embeddings)
