"""Continuous batching for a causal language model: rows join and leave a running batch between two tokens.

A batch is a key-value cache with an attention mask beside it. Keys carry their rotary positions, so a row may be padded
on the left at any time: joining is "pad both to one length, then concatenate", leaving is an index over rows. Requests
that begin with the same tokens (a system prompt, few-shot examples) compute that prefix once.

Dimension letters: B rows, T cached tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

MIN_SHARED_PREFIX = 16
"""Shorter common prefixes are not worth a forward pass of their own."""

KeyValues = list[tuple[torch.Tensor, torch.Tensor]]
"""One (keys, values) pair a layer, each [B, heads, T, head size]."""


@dataclass(slots=True)
class Row:
    """One reply being written."""

    prompt_ids: tuple[int, ...]
    temperature: float
    top_p: float
    max_tokens: int
    generator: torch.Generator
    """The row's own source of randomness (CPU), so that a draw doesn't depend on the other rows."""
    stop: tuple[str, ...] = ()
    allowed_ids: tuple[int, ...] | None = None
    """Decoding is restricted to these tokens, and log-probabilities are renormalised over them."""
    record_log_probs: bool = False
    token_ids: list[int] = field(default_factory=list)
    """The reply so far, without the end-of-sequence token."""
    end_id: int | None = None
    """The end-of-sequence token that was drawn, if one was."""
    log_probs: list[float] = field(default_factory=list)
    """Of the drawn tokens, the end included, under softmax(logits / temperature) over the allowed tokens (temperature 1
    where decoding is greedy), before top-p; only where recorded."""
    finish_reason: str | None = None
    text: str = ""
    """The finished reply, cut before a stop string; set with ``finish_reason``."""


@dataclass(frozen=True, slots=True)
class _Running:
    rows: list[Row]
    key_values: KeyValues
    mask_BT: torch.Tensor
    last_B: torch.Tensor
    """The token that each row feeds next."""


class BatchDecoder:
    """The running batch. Not thread-safe: one thread admits rows and steps."""

    def __init__(self, model: Any, tokenizer: Any, *, share_prefixes: bool = True) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._eos_ids = _eos_ids(model, tokenizer)
        self._share_prefixes = share_prefixes
        self._running: _Running | None = None

    @property
    def size(self) -> int:
        """Rows that are not finished."""
        return len(self._running.rows) if self._running else 0

    def reset(self) -> None:
        """Drop all rows, unfinished."""
        self._running = None

    def run(self, rows: Sequence[Row]) -> None:
        """Decode ``rows`` from start to end."""
        self.admit(rows)
        while self.size:
            self.step()

    @torch.inference_mode()
    def admit(self, rows: Sequence[Row]) -> list[Row]:
        """Prefill ``rows``, draw their first tokens and join them; returns those that are finished already."""
        for group in shared_prefix_groups(rows) if self._share_prefixes else [list(rows)]:
            self._join(self._prefill(group))
        return self._retire()

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """One more token for every row; returns the rows that are finished, which leave the batch."""
        running = self._running
        if running is None:
            return []
        mask_BT = _append_ones(running.mask_BT, 1)
        output = self._model(
            input_ids=running.last_B[:, None],
            attention_mask=mask_BT,
            position_ids=running.mask_BT.sum(dim=1, keepdim=True),
            past_key_values=_to_cache(running.key_values),
            use_cache=True,
        )
        self._running = self._draw(running.rows, _from_cache(output.past_key_values), mask_BT, output.logits[:, -1])
        return self._retire()

    def _prefill(self, rows: list[Row]) -> _Running:
        """Run the prompts of ``rows``: their common prefix once, then the rest, padded on the left."""
        shared = common_prefix_length([row.prompt_ids for row in rows]) if self._share_prefixes else 0
        if len(rows) < 2 or shared < MIN_SHARED_PREFIX:
            shared = 0
        device = self._model.device
        rest = [row.prompt_ids[shared:] for row in rows]
        width = max(len(ids) for ids in rest)
        ids_BT = torch.zeros(len(rows), width, dtype=torch.long)
        rest_mask_BT = torch.zeros(len(rows), width, dtype=torch.long)
        for b, ids in enumerate(rest):
            ids_BT[b, width - len(ids) :] = torch.tensor(ids)
            rest_mask_BT[b, width - len(ids) :] = 1
        positions_BT = (rest_mask_BT.cumsum(dim=1) - 1).clamp(min=0) + shared
        mask_BT = torch.cat([torch.ones(len(rows), shared, dtype=torch.long), rest_mask_BT], dim=1).to(device)
        output = self._model(
            input_ids=ids_BT.to(device),
            attention_mask=mask_BT,
            position_ids=positions_BT.to(device),
            past_key_values=self._prefix_cache(rows[0].prompt_ids[:shared], len(rows)),
            use_cache=True,
            logits_to_keep=1,
        )
        return self._draw(rows, _from_cache(output.past_key_values), mask_BT, output.logits[:, -1])

    def _prefix_cache(self, prefix: tuple[int, ...], copies: int) -> DynamicCache:
        if not prefix:
            return DynamicCache()
        ids_BT = torch.tensor([prefix], device=self._model.device)
        output = self._model(input_ids=ids_BT, past_key_values=DynamicCache(), use_cache=True, logits_to_keep=1)
        one = _from_cache(output.past_key_values)
        return _to_cache([(k.expand(copies, -1, -1, -1), v.expand(copies, -1, -1, -1)) for k, v in one])

    def _draw(self, rows: list[Row], key_values: KeyValues, mask_BT: torch.Tensor, logits_BV: torch.Tensor) -> _Running:
        """Draw each row's next token from ``logits_BV`` and note which rows end with it."""
        logits_BV = logits_BV.float().cpu()
        drawn = [draw_token(logits_V, row) for logits_V, row in zip(logits_BV, rows, strict=True)]
        for row, token in zip(rows, drawn, strict=True):
            self._extend(row, token)
        return _Running(rows, key_values, mask_BT, torch.tensor(drawn, device=mask_BT.device))

    def _extend(self, row: Row, token: int) -> None:
        if token in self._eos_ids:
            row.finish_reason, row.end_id = "stop", token
        else:
            row.token_ids.append(token)
            if row.stop and (cut := _first_stop(self._decode(row), row.stop)) is not None:
                row.finish_reason, row.text = "stop", self._decode(row)[:cut]
                return
            if len(row.token_ids) >= row.max_tokens:
                row.finish_reason = "length"
        if row.finish_reason:
            row.text = self._decode(row)

    def _decode(self, row: Row) -> str:
        return str(self._tokenizer.decode(row.token_ids, skip_special_tokens=True))

    def _join(self, other: _Running) -> None:
        if self._running is None:
            self._running = other
            return
        mine = self._running
        width = max(mine.mask_BT.shape[1], other.mask_BT.shape[1])
        self._running = _Running(
            mine.rows + other.rows,
            [
                (
                    torch.cat([_pad_left(k, width), _pad_left(k2, width)]),
                    torch.cat([_pad_left(v, width), _pad_left(v2, width)]),
                )
                for (k, v), (k2, v2) in zip(mine.key_values, other.key_values, strict=True)
            ],
            torch.cat([_pad_mask(mine.mask_BT, width), _pad_mask(other.mask_BT, width)]),
            torch.cat([mine.last_B, other.last_B]),
        )

    def _retire(self) -> list[Row]:
        """Take the finished rows out, and the columns that only they used."""
        running = self._running
        if running is None:
            return []
        finished = [row for row in running.rows if row.finish_reason]
        if not finished:
            return []
        keep = [b for b, row in enumerate(running.rows) if not row.finish_reason]
        if not keep:
            self._running = None
            return finished
        mask_BT = running.mask_BT[keep]
        first = int(mask_BT.any(dim=0).nonzero()[0])
        self._running = _Running(
            [running.rows[b] for b in keep],
            [(k[keep][:, :, first:], v[keep][:, :, first:]) for k, v in running.key_values],
            mask_BT[:, first:],
            running.last_B[keep],
        )
        return finished


def draw_token(logits_V: torch.Tensor, row: Row) -> int:
    """The next token: the likeliest at temperature 0, else a draw with the row's generator from the nucleus ``top_p``.

    The draw inverts the cumulative distribution at one uniform number, which is the same for any batch.
    """
    if row.allowed_ids is not None:
        allowed = torch.tensor(row.allowed_ids)
        logits_V = torch.full_like(logits_V, -torch.inf).scatter(0, allowed, logits_V[allowed])
    token = _draw(logits_V, row)
    if row.record_log_probs:
        temperature = row.temperature if row.temperature > 0 else 1.0
        row.log_probs.append(float(torch.log_softmax(logits_V / temperature, dim=-1)[token]))
    return token


def _draw(logits_V: torch.Tensor, row: Row) -> int:
    if row.temperature <= 0:
        return int(logits_V.argmax())
    probabilities_V, order_V = torch.softmax(logits_V / row.temperature, dim=-1).sort(descending=True, stable=True)
    cumulative_V = probabilities_V.cumsum(dim=-1)
    nucleus = int((cumulative_V < row.top_p).sum().clamp(max=len(cumulative_V) - 1)) + 1
    uniform = torch.rand(1, generator=row.generator) * cumulative_V[nucleus - 1]
    return int(order_V[min(int(torch.searchsorted(cumulative_V, uniform)), nucleus - 1)])


def shared_prefix_groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Split ``rows`` into groups that share at least ``MIN_SHARED_PREFIX`` tokens beyond what all rows share."""
    ordered = sorted(rows, key=lambda row: row.prompt_ids)
    floor = common_prefix_length([row.prompt_ids for row in ordered]) + MIN_SHARED_PREFIX
    groups: list[list[Row]] = []
    for row in ordered:
        if groups and common_prefix_length([groups[-1][0].prompt_ids, row.prompt_ids]) >= floor:
            groups[-1].append(row)
        else:
            groups.append([row])
    singles = [group[0] for group in groups if len(group) == 1]
    return [group for group in groups if len(group) > 1] + ([singles] if singles else [])


def common_prefix_length(sequences: Sequence[tuple[int, ...]]) -> int:
    """Tokens that all sequences begin with, at least one of each sequence left over."""
    low, high = min(sequences), max(sequences)
    longest = min(len(ids) for ids in sequences) - 1
    return next((i for i in range(longest) if low[i] != high[i]), longest)


def _first_stop(text: str, stop: tuple[str, ...]) -> int | None:
    places = [place for s in stop if (place := text.find(s)) >= 0]
    return min(places) if places else None


def _eos_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in (*ids, tokenizer.eos_token_id) if i is not None)


def _append_ones(mask_BT: torch.Tensor, n: int) -> torch.Tensor:
    return torch.cat([mask_BT, mask_BT.new_ones(len(mask_BT), n)], dim=1)


def _pad_left(tensor: torch.Tensor, width: int) -> torch.Tensor:
    """[B, heads, T, size] -> [B, heads, width, size], zeros on the left."""
    return torch.nn.functional.pad(tensor, (0, 0, width - tensor.shape[2], 0))


def _pad_mask(mask_BT: torch.Tensor, width: int) -> torch.Tensor:
    return torch.nn.functional.pad(mask_BT, (width - mask_BT.shape[1], 0))


def _to_cache(key_values: KeyValues) -> DynamicCache:
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(key_values):
        cache.update(keys, values, layer)
    return cache


def _from_cache(cache: Any) -> KeyValues:
    return [(layer.keys, layer.values) for layer in cache.layers]
