"""Restricted decoding seen from the training side: log-probabilities renormalised over the legal tokens.

A row whose reply was drawn from a restricted set carries ``legal_token_ids`` in its ``extra_fields``: one list of token
ids for each response position (an empty list: unrestricted). Actor, reference and old log-probabilities are all
computed on logits in which everything else is masked, so ratio, KL and entropy are those of the policy that acted.

Everything here is independent of verl's engines; shapes: N tokens of a packed micro batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

FIELD = "legal_token_ids"
"""Key of a row's ``extra_fields``."""

LEGAL_MASS = "legal_mass"
"""Model output [prompt + response]: unrestricted probability of the legal set where restricted, NaN elsewhere."""

ILLEGAL_LOGIT = -1e9
"""Finite: an entropy multiplies it by a probability of exactly 0, and 0 * inf would be NaN."""


@dataclass(frozen=True)
class LegalPositions:
    """The restricted positions of a micro batch, aligned with one another."""

    row: list[int]
    column: list[int]
    """Index within the row's sequence of the logits that predict the response token."""
    token_ids: list[list[int]]


def legal_positions(
    extra_fields_B: Sequence[dict[str, Any]], prompt_lengths_B: Sequence[int], response_lengths_B: Sequence[int]
) -> LegalPositions:
    """Where a micro batch is restricted; the logits at position p predict token p + 1."""
    row, column, token_ids = [], [], []
    lengths_B = zip(prompt_lengths_B, response_lengths_B, strict=True)
    for b, (fields, (prompt, response)) in enumerate(zip(extra_fields_B, lengths_B, strict=True)):
        for t, legal in enumerate((fields.get(FIELD) or [])[:response]):
            if legal:
                row.append(b)
                column.append(prompt - 1 + t)
                token_ids.append(list(legal))
    return LegalPositions(row, column, token_ids)


def restrict_(logits_NV: torch.Tensor, index_K: torch.Tensor, token_ids: Sequence[Sequence[int]]) -> torch.Tensor:
    """Mask in place all but the legal tokens at the K positions ``index_K`` of ``logits_NV``; gradients flow as usual.

    Returns:
        [K] log of the probability that the unrestricted softmax gives to the legal set (detached).
    """
    rows_KV = logits_NV[index_K]
    legal_KV = torch.zeros(rows_KV.shape, dtype=torch.bool, device=rows_KV.device)
    for k, legal in enumerate(token_ids):
        legal_KV[k, torch.tensor(legal, device=rows_KV.device)] = True
    masked_KV = rows_KV.masked_fill(~legal_KV, ILLEGAL_LOGIT)
    with torch.no_grad():
        log_mass_K = masked_KV.float().logsumexp(-1) - rows_KV.float().logsumexp(-1)
    logits_NV.index_copy_(0, index_K, masked_KV)
    return log_mass_K
