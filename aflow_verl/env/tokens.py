"""Prompts and replies as the policy's tokens: the one place where chat messages become ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aflow_verl.errors import RecipeError
from aflow_verl.types import Message


class PolicyTokens:
    """A chat tokenizer, seen from the environment."""

    def __init__(self, tokenizer: Any, *, max_prompt_tokens: int) -> None:
        """``max_prompt_tokens``: verl's ``data.max_prompt_length``; longer prompts lose their middle."""
        self._tokenizer = tokenizer
        self._max_prompt_tokens = max_prompt_tokens
        self.truncated = 0
        """Prompts so far that were too long and lost their middle."""
        self.end_id = int(tokenizer.eos_token_id)

    def prompt_ids(self, messages: Sequence[Message], shorter: Sequence[Sequence[Message]] = ()) -> tuple[int, ...]:
        """The chat up to and including the header of the policy's turn.

        Too long a chat gives way to the first of ``shorter`` that fits; if none does, the last loses its middle.
        """
        ids: list[int] = []
        for chat in (messages, *shorter):
            ids = self._chat_ids(chat)
            if len(ids) <= self._max_prompt_tokens:
                return tuple(ids)
        self.truncated += 1
        # Both ends matter: the rules stand at the start, the turn's header at the end.
        head = self._max_prompt_tokens // 2
        return tuple(ids[:head] + ids[len(ids) - (self._max_prompt_tokens - head) :])

    def _chat_ids(self, messages: Sequence[Message]) -> list[int]:
        text = self._tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def label_ids(self, labels: Sequence[str]) -> Mapping[str, int]:
        """Token id of each label.

        Raises:
            RecipeError: a label is more than one token of this policy, so that decoding can't be restricted to it.
        """
        ids = {}
        for label in labels:
            encoded = self._tokenizer.encode(label, add_special_tokens=False)
            if len(encoded) != 1:
                raise RecipeError(
                    f"env.action_format=edit needs one-token labels, but {label!r} is {len(encoded)} tokens of this "
                    "policy's tokenizer; use another policy or env.action_format=code"
                )
            ids[label] = int(encoded[0])
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """A reply as text, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))
