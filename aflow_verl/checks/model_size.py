"""How many parameters a model has, without loading or fetching it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_IN_NAME = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([bm])(?![a-z])", re.IGNORECASE)
"""``7B`` in ``Qwen2.5-7B-Instruct``, ``135m`` in ``smollm2-135m``."""


def parameters(path: str) -> float | None:
    """From the directory's ``config.json``, else from the size in the name, else None.

    The count from a config is that of a decoder with grouped attention and a gated feed-forward layer, norms left out.
    """
    config = Path(path).expanduser() / "config.json"
    if config.is_file():
        return _from_config(json.loads(config.read_text(encoding="utf-8")))
    match = _IN_NAME.search(path.rstrip("/").rpartition("/")[2].replace("-", " ").replace("_", " "))
    if match is None:
        return None
    return float(match[1]) * (1e9 if match[2].lower() == "b" else 1e6)


def _from_config(config: dict[str, Any]) -> float | None:
    try:
        hidden, layers, heads = config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"]
        inner, vocabulary = config["intermediate_size"], config["vocab_size"]
    except KeyError:
        return None
    head = config.get("head_dim") or hidden // heads
    key_value = config.get("num_key_value_heads", heads) * head
    layer = 2 * hidden * heads * head + 2 * hidden * key_value + 3 * hidden * inner
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings", False) else 2)
    return float(layers * layer + embeddings)
