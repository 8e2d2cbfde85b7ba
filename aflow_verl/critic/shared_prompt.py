"""Critic values of many actions on few prompts: each prompt is read once, its siblings share the key-value cache.

V(s) is the value at the last prompt token; Q(s, a) the value at the last trained response position, that is after the
whole action was read and before its end-of-turn token (verl's value loss covers positions ``prompt_len - 1`` to
``seq_len - 2``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache


@dataclass(frozen=True, slots=True)
class SharedPromptGroup:
    """A prompt and the actions taken on it."""

    prompt_ids: tuple[int, ...]
    action_ids: tuple[tuple[int, ...], ...] = ()
    """Response tokens of each action, the end-of-turn token included."""


def prompt_values(module: torch.nn.Module, prompts: Sequence[Sequence[int]], *, device: Any) -> list[float]:
    """V of each prompt, by one forward; prompts have at least one token.

    Args:
        module: a token-classification model with one label, in eval mode; ``logits`` are values [B, T, 1].
    """
    return _read_prompts(module, prompts, device).values_G


def score_groups(
    module: torch.nn.Module, groups: Sequence[SharedPromptGroup], *, device: Any
) -> list[tuple[float, list[float]]]:
    """One forward over the G prompts and, where there are any, one over all their actions.

    Args:
        module: as for ``prompt_values``.
        groups: at least one; prompts have at least one token.

    Returns:
        For each group V and the Q of its actions, in order.
    """
    cache = DynamicCache()
    prompts = _read_prompts(module, [group.prompt_ids for group in groups], device, cache)

    # What is read of an action: everything but the end-of-turn token. An empty action is read off the prompt.
    owners = [(g, a) for g, group in enumerate(groups) for a, ids in enumerate(group.action_ids) if len(ids) > 1]
    q_of: dict[tuple[int, int], float] = {}
    if owners:
        read_A = [groups[g].action_ids[a][:-1] for g, a in owners]
        owner_A = torch.tensor([g for g, _ in owners], device=device)
        cache.batch_select_indices(owner_A)
        action_mask_AT = _mask(read_A, left=False).to(device)
        prompt_mask_AP = prompts.mask_GP[owner_A]
        values_AT = module(
            input_ids=_padded(read_A, left=False).to(device),
            attention_mask=torch.cat([prompt_mask_AP, action_mask_AT], dim=-1),
            position_ids=prompt_mask_AP.sum(-1)[:, None]
            + torch.arange(action_mask_AT.shape[1], device=device)[None, :],
            past_key_values=cache,
            use_cache=True,
        ).logits.squeeze(-1)
        last_A = action_mask_AT.sum(-1, keepdim=True) - 1
        q_of = dict(zip(owners, values_AT.gather(-1, last_A).squeeze(-1).float().tolist(), strict=True))
    return [
        (v, [q_of.get((g, a), v) for a in range(len(group.action_ids))])
        for g, (v, group) in enumerate(zip(prompts.values_G, groups, strict=True))
    ]


@dataclass(frozen=True)
class _Prompts:
    values_G: list[float]
    """At the last token of each."""
    mask_GP: torch.Tensor
    """Left-padded."""


def _read_prompts(
    module: torch.nn.Module, prompts: Sequence[Sequence[int]], device: Any, cache: DynamicCache | None = None
) -> _Prompts:
    """One forward; its keys and values go to ``cache``."""
    mask_GP = _mask(prompts, left=True).to(device)
    values_GP = module(
        input_ids=_padded(prompts, left=True).to(device),
        attention_mask=mask_GP,
        position_ids=(mask_GP.cumsum(-1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=cache is not None,
    ).logits.squeeze(-1)
    return _Prompts(values_GP[:, -1].float().tolist(), mask_GP)


def _padded(rows: Sequence[Sequence[int]], *, left: bool) -> torch.Tensor:
    """[B, longest] token ids, padded with 0 (masked)."""
    width = max(map(len, rows))
    return torch.tensor([_pad(list(row), 0, width, left) for row in rows])


def _mask(rows: Sequence[Sequence[int]], *, left: bool) -> torch.Tensor:
    """[B, longest] 1 for tokens, 0 for padding."""
    width = max(map(len, rows))
    return torch.tensor([_pad([1] * len(row), 0, width, left) for row in rows])


def _pad(row: list[int], value: int, width: int, left: bool) -> list[int]:
    padding = [value] * (width - len(row))
    return padding + row if left else row + padding
