"""Continuous batching gives what transformers' own generate gives, whatever shares the batch."""

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aflow_verl.models.decoding import (
    MIN_SHARED_PREFIX,
    BatchDecoder,
    Row,
    common_prefix_length,
    draw_token,
    shared_prefix_groups,
)


def row(ids: list[int], temperature: float = 0.0, max_tokens: int = 12, seed: int = 0, **more: Any) -> Row:
    return Row(tuple(ids), temperature, more.pop("top_p", 1.0), max_tokens, torch.Generator().manual_seed(seed), **more)


def run(decoder: BatchDecoder, rows: list[Row]) -> None:
    decoder.admit(rows)
    while decoder.size:
        decoder.step()


def prompts(tokenizer: Any) -> list[list[int]]:
    texts = ["edit", "a much longer prompt about workflows", "vote", "a much longer prompt about work, again and again"]
    return [tokenizer(text)["input_ids"] for text in texts]


def test_greedy_batch_equals_generate_row_by_row(tiny_model: tuple[Any, Any]) -> None:
    model, tokenizer = tiny_model
    rows = [row(ids) for ids in prompts(tokenizer)]
    run(BatchDecoder(model, tokenizer), rows)
    for r in rows:
        ids = torch.tensor([r.prompt_ids])
        mask = torch.ones_like(ids)
        expected = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=12)[0, ids.shape[1] :]
        assert r.token_ids == [int(t) for t in expected if int(t) != tokenizer.eos_token_id]


def test_rows_may_join_a_running_batch(tiny_model: tuple[Any, Any]) -> None:
    model, tokenizer = tiny_model
    alone = [row(ids, temperature=1.0, seed=i) for i, ids in enumerate(prompts(tokenizer))]
    for r in alone:
        run(BatchDecoder(model, tokenizer), [r])
    joined = [row(ids, temperature=1.0, seed=i) for i, ids in enumerate(prompts(tokenizer))]
    decoder = BatchDecoder(model, tokenizer)
    for r in joined:
        decoder.admit([r])
        decoder.step()
    while decoder.size:
        decoder.step()
    assert [r.token_ids for r in joined] == [r.token_ids for r in alone]
    assert len({tuple(r.token_ids) for r in alone}) == len(alone)


def test_a_shared_prefix_changes_nothing(tiny_model: tuple[Any, Any]) -> None:
    model, tokenizer = tiny_model
    shared = tokenizer("a long common beginning of some forty letters: ")["input_ids"]
    assert len(shared) >= MIN_SHARED_PREFIX
    ends = [shared + tokenizer(text)["input_ids"] for text in ("x", "yy and more", "zzz")]
    with_prefix, without = [row(ids) for ids in ends], [row(ids) for ids in ends]
    run(BatchDecoder(model, tokenizer), with_prefix)
    run(BatchDecoder(model, tokenizer, share_prefixes=False), without)
    assert [r.token_ids for r in with_prefix] == [r.token_ids for r in without]


def test_stop_strings_cut_the_reply(tiny_model: tuple[Any, Any]) -> None:
    model, tokenizer = tiny_model
    free = row(prompts(tokenizer)[1], temperature=1.0)
    run(BatchDecoder(model, tokenizer), [free])
    assert free.finish_reason == "length"
    stop = free.text[3:5]
    cut = row(prompts(tokenizer)[1], temperature=1.0, stop=(stop,))
    run(BatchDecoder(model, tokenizer), [cut])
    assert cut.finish_reason == "stop"
    assert cut.text == free.text[: free.text.index(stop)]


def test_nucleus_keeps_the_smallest_set_that_reaches_top_p() -> None:
    logits = torch.log(torch.tensor([0.1, 0.6, 0.3]))
    drawn = {draw_token(logits, row([1], temperature=1.0, seed=seed, top_p=0.85)) for seed in range(200)}
    assert drawn == {1, 2}
    assert {draw_token(logits, row([1], temperature=1.0, seed=seed, top_p=0.5)) for seed in range(50)} == {1}
    assert draw_token(logits, row([1])) == 1


def test_draws_follow_the_distribution() -> None:
    logits = torch.log(torch.tensor([0.1, 0.6, 0.3]))
    r = row([1], temperature=1.0)
    counts = torch.bincount(torch.tensor([draw_token(logits, r) for _ in range(3000)]), minlength=3) / 3000
    assert torch.allclose(counts, torch.tensor([0.1, 0.6, 0.3]), atol=0.03)


def test_common_prefix_leaves_a_token_for_every_row() -> None:
    assert common_prefix_length([(1, 2, 3), (1, 2, 4)]) == 2
    assert common_prefix_length([(1, 2), (1, 2, 4)]) == 1
    assert common_prefix_length([(5, 6, 7)]) == 2


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_grouping_loses_no_row(sequences: list[list[int]]) -> None:
    rows = [row(ids) for ids in sequences]
    grouped = [r for group in shared_prefix_groups(rows) for r in group]
    assert {id(r) for r in grouped} == {id(r) for r in rows}
    assert len(grouped) == len(rows)
