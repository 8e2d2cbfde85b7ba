"""A trained policy as an editor: legal replies alone, and the prior that its own logits give."""

import asyncio

import pytest
import torch

from aflow_verl.env.actions import Offer
from aflow_verl.errors import ModelUnavailable, RecipeError, UserError
from aflow_verl.trained.policy import Policy, load_policy, mean_log_prob

MESSAGES = [{"role": "user", "content": "which edit?"}]
LEGAL = ("1", "4", "A")
TEMPERATURE = 0.7


@pytest.fixture(scope="module")
def loaded(exported):
    return load_policy(exported.folder / "policy", torch.device("cpu"), torch.float32)


@pytest.fixture
async def policy(loaded):
    opened = Policy(*loaded, max_prompt_tokens=512, max_response_tokens=6, temperature=TEMPERATURE, seed=5)
    yield opened
    await opened.close()


def next_logits(loaded, ids):
    with torch.no_grad():
        return loaded[0](torch.tensor([list(ids)])).logits[0, -1]


async def test_replies_are_legal_and_carry_their_prior(policy, loaded):
    offer = Offer(MESSAGES, LEGAL)
    replies = await asyncio.gather(*(policy.reply(offer, draw) for draw in range(24)))
    assert {reply.text for reply in replies} == set(LEGAL), "and each of them comes up"
    assert policy.calls == 24
    ids = policy.tokens.label_ids(LEGAL)
    logits = next_logits(loaded, policy.tokens.prompt_ids(MESSAGES)) / TEMPERATURE
    legal = torch.log_softmax(torch.stack([logits[ids[label]] for label in LEGAL]), dim=0)
    for reply in replies:
        assert reply.log_prob == pytest.approx(float(legal[LEGAL.index(reply.text)]), abs=1e-5)
        assert reply.response_ids == (ids[reply.text], policy.tokens.end_id)


async def test_a_draw_repeats_and_another_one_differs(policy, loaded):
    offer = Offer(MESSAGES, LEGAL)
    first = [await policy.reply(offer, draw) for draw in range(8)]
    assert [await policy.reply(offer, draw) for draw in range(8)] == first
    assert len({reply.text for reply in first}) > 1
    other = Policy(*loaded, max_prompt_tokens=512, max_response_tokens=6, temperature=TEMPERATURE, seed=6)
    assert [await other.reply(offer, draw) for draw in range(8)] != first
    await other.close()
    with pytest.raises(ModelUnavailable):
        await other.reply(offer, 0)


async def test_the_only_legal_reply_says_nothing_of_the_policy(policy):
    reply = await policy.reply(Offer(MESSAGES, ("7",)), 0)
    assert (reply.text, reply.log_prob) == ("7", None)


async def test_free_text_has_the_mean_log_probability_of_its_tokens(policy, loaded):
    reply = await policy.reply(Offer(MESSAGES, None), 3)
    assert 1 <= len(reply.response_ids) <= 6
    ids, expected = list(policy.tokens.prompt_ids(MESSAGES)), []
    for token in reply.response_ids:
        expected.append(float(torch.log_softmax(next_logits(loaded, ids) / TEMPERATURE, dim=-1)[token]))
        ids.append(token)
    assert reply.log_prob == pytest.approx(sum(expected) / len(expected), abs=1e-5)
    assert reply.text == policy.tokens.text(reply.response_ids)


async def test_too_long_a_prompt_gives_way_as_in_training(policy):
    long, short = [{"role": "user", "content": "x" * 2000}], [{"role": "user", "content": "brief"}]
    await policy.reply(Offer(long, ("1",), shorter=(short,)), 0)
    assert policy.tokens.truncated == 0
    await policy.reply(Offer(long, ("1",)), 0)
    assert policy.tokens.truncated == 1


async def test_labels_of_several_tokens_are_refused(policy):
    with pytest.raises(RecipeError, match="one-token labels"):
        await policy.reply(Offer(MESSAGES, ("zz?",)), 0)


def test_no_policy(tmp_path):
    with pytest.raises(UserError, match="can't be loaded as a policy"):
        load_policy(tmp_path, torch.device("cpu"), torch.float32)
    assert mean_log_prob([]) is None
    assert mean_log_prob([-1.0, -3.0]) == -2.0
