"""Policy and critic read the same tokens: the critic is given the policy's token ids, prompt and reply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aflow_verl.checks.finding import Finding, error, warning
from aflow_verl.checks.machine import Machine
from aflow_verl.checks.model_size import expanded, read_config
from aflow_verl.models.smollm2 import NAME as SMOLLM2
from aflow_verl.models.smollm2 import default_cache_dir
from aflow_verl.recipe.load import Recipe

POLICY, CRITIC = "actor_rollout_ref.model", "critic.model"


def one_tokenizer(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Every model reads the ids that the policy's tokenizer writes."""
    policy, critic = recipe.get(f"{POLICY}.path"), recipe.get(f"{CRITIC}.path")
    writer = recipe.get(f"{POLICY}.tokenizer_path") or policy
    yield from _compare(policy, writer, f"{POLICY}.tokenizer_path", "the policy reads", "leave it out")
    if recipe.get("critic.enable"):
        todo = "name a critic of the policy's family, or leave it out"
        yield from _compare(critic, writer, f"{CRITIC}.path", "the critic reads", todo)


def _compare(model: str | None, writer: str | None, key: str, who: str, todo: str) -> Iterator[Finding]:
    if model is None or writer is None or _place(model) == _place(writer):
        return
    read, written = _vocabulary(model), _vocabulary(writer)
    if read is not None and written is not None:
        if read != written:
            yield error(key, f"{who} another vocabulary than the policy's tokenizer ({writer}) writes", todo)
        return
    size, needed = _size(model), _size(writer)
    if size is not None and needed is not None and size < needed:
        yield error(key, f"{who} {size} tokens, and the policy's tokenizer ({writer}) writes {needed}", todo)
        return
    effect = f"nobody has checked that {who} the tokens that the policy's tokenizer writes"
    yield warning(key, effect, f"is {model}, and the tokens are those of {writer}", "make sure that they are the same")


def tokenizer_file(path: str | None) -> Path | None:
    """``tokenizer.json`` of a model that lies here."""
    file = _place(path) / "tokenizer.json" if path is not None else None
    return file if file is not None and file.is_file() else None


def _place(path: str) -> Path:
    directory = default_cache_dir() / "smollm2" if path == SMOLLM2 else expanded(path)
    return Path(directory).resolve()


def _vocabulary(path: str) -> tuple[Any, Any] | None:
    """Tokens with their ids, special ones apart; None where they can't be read here."""
    file = tokenizer_file(path)
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file is not None else None
        return None if found is None else (found["model"]["vocab"], _special(found))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _special(tokenizer: dict[str, Any]) -> dict[str, int]:
    return {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}


def _size(path: str) -> int | None:
    config = read_config(_place(path)) if _place(path).is_dir() else None
    size = (config or {}).get("vocab_size")
    return size if isinstance(size, int) else None
