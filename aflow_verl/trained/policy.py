"""A trained policy, asked as in its training: the same prompts, the same legal replies, the same prior."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from aflow_verl.env.actions import Offer, Reply
from aflow_verl.env.seeds import derive_seed
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.errors import UserError
from aflow_verl.models.decoding import BatchDecoder, Row
from aflow_verl.models.decoding_thread import DecodingThread
from aflow_verl.models.local import plain_attention


class Policy:
    """Its replies are drawn, each with a seed of its own; ``temperature`` is what log-probabilities are taken at."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_prompt_tokens: int,
        max_response_tokens: int,
        temperature: float,
        seed: int = 0,
        max_batch: int = 8,
    ) -> None:
        self.tokens = PolicyTokens(tokenizer, max_prompt_tokens=max_prompt_tokens)
        self.calls = 0
        """Replies so far."""
        self._max_response_tokens = max_response_tokens
        self._temperature = temperature
        self._seed = seed
        decoder = BatchDecoder(model, tokenizer, share_prefixes=plain_attention(model))
        self._thread = DecodingThread(decoder, max_batch=max_batch)

    async def reply(self, offer: Offer, draw: int) -> Reply:
        """``draw``: the how-manieth reply to this offer; another number is another seed.

        Raises ModelUnavailable where the model fails, RecipeError where labels aren't single tokens of this policy.
        """
        prompt_ids = self.tokens.prompt_ids(offer.messages, offer.shorter)
        legal: dict[int, str] = {}
        if offer.replies is not None:
            legal = {token: label for label, token in self.tokens.label_ids(offer.replies).items()}
        row = self._row(prompt_ids, tuple(sorted(legal)), draw)
        await self._thread.decode(row)
        self.calls += 1
        if not legal:
            ids = tuple(row.token_ids) if row.end_id is None else (*row.token_ids, row.end_id)
            return Reply(self.tokens.text(ids), mean_log_prob(row.log_probs), ids)
        label = row.token_ids[0]
        # As in training the end of turn after a label is certain, so it is not drawn and doesn't count; nor does a
        # label without an alternative.
        chosen = row.log_probs if len(legal) > 1 else []
        return Reply(legal[label], mean_log_prob(chosen), (label, self.tokens.end_id))

    def _row(self, prompt_ids: tuple[int, ...], legal_ids: tuple[int, ...], draw: int) -> Row:
        seed = derive_seed(self._seed, "sample", str(prompt_ids), draw)
        return Row(
            prompt_ids=prompt_ids,
            temperature=self._temperature,
            top_p=1.0,
            max_tokens=1 if legal_ids else self._max_response_tokens,
            generator=torch.Generator().manual_seed(seed),
            allowed_ids=legal_ids or None,
            record_log_probs=True,
        )

    async def close(self) -> None:
        """Replies in flight fail."""
        await self._thread.close()


def mean_log_prob(log_probs: list[float]) -> float | None:
    """Length-normalised log-probability; None for an empty reply."""
    return math.fsum(log_probs) / len(log_probs) if log_probs else None


def load_policy(directory: Path, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    """(model, tokenizer) of an exported policy. Raises ``UserError`` where they can't be loaded."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(directory)
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype)
    except (OSError, ValueError) as broken:
        raise UserError(f"{directory} can't be loaded as a policy: {str(broken).splitlines()[0]}") from None
    return torch.nn.Module.to(model, device).eval(), tokenizer
