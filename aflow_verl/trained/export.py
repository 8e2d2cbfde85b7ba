"""Checkpoint -> directories that transformers, vLLM and others load: ``policy`` and ``critic``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aflow_verl.checkpoints import CRITIC, POLICY
from aflow_verl.errors import UserError
from aflow_verl.trained.training import CARD, Trained, find_trained, write_card

POLICY_OUT, CRITIC_OUT = "policy", "critic"
"""Folders of an export."""
BEGUN = ".source"
"""In an export that has begun: the checkpoint that it is of."""
_WEIGHTS = ("*.safetensors", "*.bin", "*.index.json")

Say = Callable[[str], None]


def export_checkpoint(trained: Trained, out: Path, *, critic: bool = True, say: Say = lambda line: None) -> Trained:
    """Write the policy, and the critic where there is one and it is wanted; what is there already is used again.

    Each folder appears whole or not at all, and the card last. Weights keep their bits and their dtype.

    Raises ``UserError`` where ``out`` holds something else, or the checkpoint is not of the kind that is known here.
    """
    if trained.exported:
        raise UserError(f"{trained.folder} is exported already; copy it")
    wanted = replace(trained, has_critic=trained.has_critic and critic)
    if (out / CARD).is_file():
        return _known(out, wanted)
    parts = [(POLICY, POLICY_OUT)] + ([(CRITIC, CRITIC_OUT)] if wanted.has_critic else [])
    try:
        _begin(out, wanted.source)
        for source, target in parts:
            say(f"converting the {target} of {trained.source}")
            _export(trained.folder / source, out / target, value=target == CRITIC_OUT)
        write_card(out, wanted)
    except OSError as closed:
        raise UserError(f"{out} can't be written: {closed.strerror or closed}") from None
    return find_trained(out)


def _known(out: Path, wanted: Trained) -> Trained:
    found = find_trained(out)
    if (found.source, found.step) != (wanted.source, wanted.step) or found.has_critic < wanted.has_critic:
        raise UserError(f"{out} holds the weights of {found.source}; name a new directory")
    return found


def _begin(out: Path, source: str) -> None:
    """An empty folder, or one with what an export of the same checkpoint has finished before it was cut short."""
    note = out / BEGUN
    begun = note.read_text(encoding="utf-8") if note.is_file() else None
    if begun is None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} holds other files; name a new directory")
    if begun == source:
        return
    out.mkdir(parents=True, exist_ok=True)
    for half in filter(Path.is_dir, out.iterdir()):
        shutil.rmtree(half)
    note.write_text(source, encoding="utf-8")


def _export(folder: Path, target: Path, *, value: bool) -> None:
    if target.is_dir():
        return
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    # Tokenizer and generation settings as they are; configuration and weights are written anew.
    shutil.copytree(folder / "huggingface", partial, ignore=shutil.ignore_patterns(*_WEIGHTS))
    write_model(folder, partial, value=value)
    partial.rename(target)


def write_model(folder: Path, target: Path, *, value: bool) -> None:
    """Weights and configuration of verl's ``folder``; ``value``: as a token classifier with one label."""
    import torch  # seconds to import, and a search that goes on needs none of this
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification

    from aflow_verl.trained.quiet import quietly
    from aflow_verl.trained.shards import merge_shards

    with quietly():
        weights = merge_shards(folder)
    dtype = next(iter(weights.values())).dtype
    try:
        config = AutoConfig.from_pretrained(folder / "huggingface")
        with torch.device("meta"):
            kind = AutoModelForTokenClassification if value else AutoModelForCausalLM
            module = kind.from_config(config, dtype=dtype)
    except (OSError, ValueError) as unknown:
        raise UserError(f"{folder / 'huggingface'}: {str(unknown).splitlines()[0]}") from None
    _check_names(module.state_dict(), weights, folder)
    for name in _aliases(module):
        del weights[name]  # written twice, transformers would not tie them again
    with quietly():
        module.save_pretrained(target, state_dict=weights)


def _check_names(expected: Mapping[str, Any], found: Mapping[str, Any], folder: Path) -> None:
    wrong = sorted(expected.keys() ^ found.keys())
    wrong += [name for name in expected.keys() & found.keys() if expected[name].shape != found[name].shape]
    if wrong:
        raise UserError(f"{folder}: its weights are not those of its configuration ({wrong[0]}, {len(wrong)} in all)")


def _aliases(module: Any) -> list[str]:
    """Second names of tied parameters, such as ``lm_head.weight`` for the input embeddings."""
    module.tie_weights()
    first: dict[int, str] = {}
    named = module.named_parameters(remove_duplicate=False)
    return [name for name, parameter in named if first.setdefault(id(parameter), name) != name]
