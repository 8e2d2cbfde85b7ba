"""Prices: exact names, dates and sources, and nothing that is guessed."""

import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.models.prices import FREE, LongPrompt, Price, load_prices, most_usd, price_of
from aflow_verl.types import Message

PRICE = Price(3.0, 15.0, 3.75, 0.3, LongPrompt(1000, Price(6.0, 22.5, 7.5, 0.6)))


def test_every_entry_has_a_date_and_a_source() -> None:
    table = json.loads(resources.files("aflow_verl.models").joinpath("prices.json").read_text())
    for name, entry in table["models"].items():
        if entry is not None:
            assert entry["as_of"].startswith("20"), name
            assert entry["source"].startswith("https://"), name
            assert all(snapshot.startswith(name) for snapshot in entry.get("snapshots", ()))


def test_names_are_matched_exactly() -> None:
    assert price_of("gpt-4o-mini") == price_of("gpt-4o-mini-2024-07-18") == Price(0.15, 0.6, 0.15, 0.15)
    for unknown in (
        "gpt-4o-mini-x",
        "gpt-4o",
        "gpt-4o-2024-05-13",
        "gpt",
        "",
        "claude-haiku-4-5-20990101",
        "Qwen/Q-7B",
    ):
        assert price_of(unknown) is None
    assert price_of("claude-haiku-4-5-20251001") == Price(1.0, 5.0, 1.25, 0.1)
    assert "claude-sonnet-4-6" in load_prices()
    assert price_of("claude-sonnet-4-6") is None


def test_a_long_prompt_is_never_cheaper() -> None:
    """``Price.most`` relies on it."""
    longs = [(price, price.long_prompt.price) for price in load_prices().values() if price and price.long_prompt]
    assert longs
    for price, long in longs:
        for rate in ("input", "output", "cache_write", "cache_read"):
            assert getattr(long, rate) >= getattr(price, rate)


def test_cost_by_hand() -> None:
    assert PRICE.cost(1000, 100) == pytest.approx((1000 * 3 + 100 * 15) / 1e6)
    assert PRICE.cost(1000, 0, cache_read=600, cache_write=300) == pytest.approx(
        (100 * 3 + 600 * 0.3 + 300 * 3.75) / 1e6
    )
    assert PRICE.cost(1001, 100) == pytest.approx((1001 * 6 + 100 * 22.5) / 1e6)
    assert FREE.cost(10**6, 10**6) == 0.0


@given(st.data(), st.text(max_size=300), st.integers(0, 5000))
def test_no_call_costs_more_than_the_most(data: st.DataObject, text: str, max_tokens: int) -> None:
    """Whatever the tokenizer: at most one token a byte, some for the message, and any of them cached."""
    messages: list[Message] = [{"role": "user", "content": text}]
    prompt = data.draw(st.integers(0, len(text.encode("utf-8", "replace")) + 16))
    read = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - read))
    completion = data.draw(st.integers(0, max_tokens))
    most = most_usd(PRICE, messages, max_tokens)
    assert PRICE.cost(prompt, completion, cache_read=read, cache_write=written) <= most


def test_nothing_is_reserved_for_what_is_free_or_unknown() -> None:
    assert most_usd(None, [{"role": "user", "content": "x"}], 10) == 0.0
    assert most_usd(FREE, [{"role": "user", "content": "x"}], 10) == 0.0
