"""What a call to a paid model costs, from the dated table ``prices.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from aflow_verl.types import Message


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float
    cache_write: float
    """Prompt tokens that the vendor writes to its prompt cache."""
    cache_read: float
    """Prompt tokens that it reads from there."""
    long_prompt: LongPrompt | None = None

    def cost(self, prompt_tokens: int, completion_tokens: int, *, cache_read: int = 0, cache_write: int = 0) -> float:
        """US dollars of one call; both cache counts are part of ``prompt_tokens``."""
        rates = self._rates(prompt_tokens)
        fresh = prompt_tokens - cache_read - cache_write
        prompt = fresh * rates.input + cache_read * rates.cache_read + cache_write * rates.cache_write
        return (prompt + completion_tokens * rates.output) / 1e6

    def most(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The most that a call of at most so many tokens can cost."""
        rates = self._rates(prompt_tokens)
        return (prompt_tokens * max(rates.input, rates.cache_write) + completion_tokens * rates.output) / 1e6

    def _rates(self, prompt_tokens: int) -> Price:
        long = self.long_prompt
        return long.price if long is not None and prompt_tokens > long.above else self


@dataclass(frozen=True, slots=True)
class LongPrompt:
    """What all tokens of a call cost once its prompt has more than ``above`` tokens. Never less than otherwise."""

    above: int
    price: Price


FREE = Price(0.0, 0.0, 0.0, 0.0)
"""Of a model that runs on our own machines."""


MESSAGE_TOKENS = 16
"""What a message's role and separators take, at most, and again for the whole prompt."""


@cache
def load_prices() -> Mapping[str, Price | None]:
    """Model name or snapshot -> price; None where the table says that it is not known."""
    table = json.loads(resources.files("aflow_verl.models").joinpath("prices.json").read_text())
    prices: dict[str, Price | None] = {}
    for name, entry in table["models"].items():
        for alias in (name, *(entry or {}).get("snapshots", ())):
            prices[alias] = _price(entry) if entry else None
    return MappingProxyType(prices)


def price_of(model: str) -> Price | None:
    """The price of exactly this model or listed snapshot; None if unknown.

    Neither prefixes nor dates are guessed: a smaller sister must not be priced as the larger model, and snapshots of
    one model have had different prices.
    """
    return load_prices().get(model)


def most_usd(price: Price | None, messages: Sequence[Message], max_tokens: int) -> float:
    """The most that a call can cost; 0 for an unknown price. A token of a prompt is at least one byte of UTF-8."""
    if price is None or price is FREE:
        return 0.0
    prompt = sum(len(m["content"].encode("utf-8", "replace")) + MESSAGE_TOKENS for m in messages)
    return price.most(prompt + MESSAGE_TOKENS, max_tokens)


def _price(entry: Mapping[str, Any]) -> Price:
    long = entry.get("long_prompt")
    extra = LongPrompt(long["above"], _price(long)) if long else None
    return Price(entry["input"], entry["output"], entry["cache_write"], entry["cache_read"], extra)
