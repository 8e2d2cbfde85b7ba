"""V and Q of workflows and edits by a critic held in this process.

The same values as the export of a training gives (``trainer.critic_export``), for the same weights: both read prompts
with ``shared_prompt``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from aflow_verl.critic.shared_prompt import SharedPromptGroup, score_groups
from aflow_verl.search.qvalues import ScoreGroup

Ids = tuple[int, ...]

MAX_ROWS = 16
"""Prompts, or replies, of one forward."""
MAX_TOKENS = 16_384
"""Tokens of one forward, padding included: bounds its activations and its key-value cache."""


Read = tuple[float, tuple[float, ...]]
"""V of a group's prompt, and Q of its actions in order."""


@dataclass(frozen=True)
class Scores:
    """What the critic says of the groups that it was given."""

    weights_step: int
    v: Mapping[str, float]
    """Node id -> V, of the groups that name a node."""
    q: Mapping[str, float]
    """Name of the action -> Q."""

    @classmethod
    def of(cls, weights_step: int, groups: Sequence[ScoreGroup], read: Sequence[Read]) -> Scores:
        """``read``: one a group."""
        v_of: dict[str, float] = {}
        q_of: dict[str, float] = {}
        for group, (v, q_A) in zip(groups, read, strict=True):
            if group.node_id is not None:
                v_of[group.node_id] = v
            q_of.update((name, q) for (name, _), q in zip(group.actions, q_A, strict=True))
        return cls(weights_step, v_of, q_of)


class CriticScorer:
    """One critic on one device. Blocking, and one call at a time."""

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        weights_step: int,
        device: str = "cpu",
        max_rows: int = MAX_ROWS,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        """``module``: see ``loading``. ``weights_step``: the training step of its weights; written on the scores."""
        self.module = module
        self.weights_step = weights_step
        self._device = device
        self._max_rows = max_rows
        self._max_tokens = max_tokens

    def score(self, groups: Sequence[ScoreGroup]) -> Scores:
        """``read``, by node."""
        return Scores.of(self.weights_step, groups, self.read(groups))

    @torch.no_grad()
    def read(self, groups: Sequence[ScoreGroup]) -> list[Read]:
        """Any number of groups; equal prompts are read once, and those of similar length share a forward."""
        v_of: dict[Ids, float] = {}
        q_of: dict[tuple[Ids, Ids], float] = {}
        for batch in batches(merged(groups), self._max_rows, self._max_tokens):
            for group, (v, q_A) in zip(batch, score_groups(self.module, batch, device=self._device), strict=True):
                v_of.setdefault(group.prompt_ids, v)
                q_of.update(((group.prompt_ids, ids), q) for ids, q in zip(group.action_ids, q_A, strict=True))
        return [(v_of[g.prompt_ids], tuple(q_of[g.prompt_ids, ids] for _, ids in g.actions)) for g in groups]


def merged(groups: Sequence[ScoreGroup]) -> list[SharedPromptGroup]:
    """The different prompts among the groups, in order of first appearance, each with its different actions."""
    actions_of: dict[Ids, dict[Ids, None]] = {}
    for group in groups:
        actions_of.setdefault(group.prompt_ids, {}).update(dict.fromkeys(ids for _, ids in group.actions))
    return [SharedPromptGroup(prompt_ids, tuple(actions)) for prompt_ids, actions in actions_of.items()]


def batches(groups: Sequence[SharedPromptGroup], max_rows: int, max_tokens: int) -> Iterator[list[SharedPromptGroup]]:
    """The groups in batches of similar length, none over the limits, except a single reply that is longer by itself.

    A group with many replies is cut up, and its prompt is read again with each part.
    """
    batch: list[SharedPromptGroup] = []
    parts = (part for group in groups for part in _parts(group, max_rows, max_tokens))
    for part in sorted(parts, key=lambda part: len(part.prompt_ids)):
        if batch and not _fits([*batch, part], max_rows, max_tokens):
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch


def _parts(group: SharedPromptGroup, max_rows: int, max_tokens: int) -> Iterator[SharedPromptGroup]:
    longest = len(group.prompt_ids) + max(map(len, group.action_ids), default=0)
    rows = max(1, min(max_rows, max_tokens // longest))
    for k in range(0, max(1, len(group.action_ids)), rows):
        yield SharedPromptGroup(group.prompt_ids, group.action_ids[k : k + rows])


def _fits(batch: Sequence[SharedPromptGroup], max_rows: int, max_tokens: int) -> bool:
    """The forward over the prompts and the one over their replies, whose cache holds the padded prompt for each."""
    prompt = max(len(group.prompt_ids) for group in batch)
    reply = max((len(ids) for group in batch for ids in group.action_ids), default=0)
    rows = max(len(batch), sum(len(group.action_ids) for group in batch))
    return rows <= max_rows and rows * (prompt + reply) <= max_tokens
