"""The policy as executor: names of weights, waiting while the servers sleep, tokens in and out."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from aflow_verl.errors import ModelUnavailable
from aflow_verl.models.rollout import RolloutClient
from aflow_verl.types import Message, SamplingParams

ASK: list[Message] = [{"role": "user", "content": "vote"}]


class Server:
    """Answers with the ids of a text; a reply waits for ``gate`` where there is one."""

    def __init__(self, tokenizer: Any, text: str = "answer 42. More", *, ended: bool = True) -> None:
        self.reply = [*tokenizer.encode(text), *([tokenizer.eos_token_id] if ended else [])]
        self.asked: list[tuple[list[int], dict[str, Any]]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, prompt_ids: list[int], params: dict[str, Any]) -> list[int]:
        self.asked.append((prompt_ids, params))
        await self.gate.wait()
        return self.reply


@pytest.fixture
def tokenizer(tiny_policy: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_policy)


@pytest.fixture
def client(tokenizer: Any) -> RolloutClient:
    return RolloutClient(tokenizer, "tiny", context_tokens=100, seed=3)


async def test_messages_become_tokens_and_tokens_text(client: RolloutClient, tokenizer: Any) -> None:
    server = Server(tokenizer)
    client.serve(server, "step1/era0")
    reply = await client.complete(ASK, SamplingParams(max_tokens=20, stop=(". ", "xyz")))
    (prompt_ids, params) = server.asked[0]
    assert tokenizer.decode(prompt_ids).endswith("vote<|im_end|>\n<|im_start|>assistant\n")
    assert {**params, "seed": 0} == {"max_tokens": 20, "temperature": 0.0, "top_p": 1.0, "seed": 0}
    assert (reply.text, reply.finish_reason) == ("answer 42", "stop")
    assert reply.usage.prompt_tokens == len(prompt_ids)
    assert reply.usage.cost_usd == 0.0
    await client.close()


async def test_samples_of_a_call_have_seeds_of_their_own_and_repeat_them(client: RolloutClient, tokenizer: Any) -> None:
    server = Server(tokenizer)
    client.serve(server, "step1/era0")
    for index in (0, 1, 0):
        await client.complete(ASK, SamplingParams(temperature=0.7, max_tokens=20, sample_index=index))
    seeds = [params["seed"] for _, params in server.asked]
    assert seeds[0] == seeds[2] != seeds[1]
    assert all(0 <= seed < 2**31 for seed in seeds)


async def test_a_reply_without_its_end_was_cut(client: RolloutClient, tokenizer: Any) -> None:
    server = Server(tokenizer, "12345678", ended=False)
    client.serve(server, "step1/era0")
    cut = await client.complete(ASK, SamplingParams(max_tokens=3))
    assert (cut.text, cut.finish_reason, cut.usage.completion_tokens) == ("123", "length", 3)
    assert (await client.complete(ASK, SamplingParams(max_tokens=50))).finish_reason == "stop"


async def test_an_over_long_prompt_loses_its_beginning(client: RolloutClient, tokenizer: Any) -> None:
    server = Server(tokenizer)
    client.serve(server, "step1/era0")
    await client.complete([{"role": "user", "content": "x" * 500 + "END"}], SamplingParams(max_tokens=40))
    (prompt_ids, _) = server.asked[0]
    assert len(prompt_ids) == 60  # of a context of 100
    assert "END<|im_end|>" in tokenizer.decode(prompt_ids)


async def test_the_fingerprint_names_policy_and_weights(client: RolloutClient, tokenizer: Any) -> None:
    before = client.fingerprint
    client.serve(Server(tokenizer), "step1/era0")
    first = client.fingerprint
    client.serve(Server(tokenizer), "step2/era0")
    assert len({before, first, client.fingerprint}) == 3
    assert "tiny" in first
    assert "step1/era0" in first


async def test_calls_wait_while_nothing_is_served_and_go_on_with_the_same_weights(
    client: RolloutClient, tokenizer: Any
) -> None:
    server = Server(tokenizer)
    client.serve(server, "step1/era0")
    await client.pause()
    waiting = asyncio.create_task(client.complete(ASK, SamplingParams(max_tokens=20)))
    await asyncio.sleep(0.02)
    assert not server.asked
    client.serve(server, "step1/era0")
    assert (await waiting).text == "answer 42. More"


async def test_a_call_never_gets_a_reply_of_other_weights(client: RolloutClient, tokenizer: Any) -> None:
    server = Server(tokenizer)
    client.serve(server, "step1/era0")
    await client.pause()
    waiting = asyncio.create_task(client.complete(ASK, SamplingParams(max_tokens=20)))
    await asyncio.sleep(0)
    client.serve(server, "step2/era0")
    with pytest.raises(ModelUnavailable, match="new weights") as failure:
        await waiting
    assert not failure.value.retryable
    assert not server.asked


async def test_pausing_waits_for_the_calls_under_way(client: RolloutClient, tokenizer: Any) -> None:
    server = Server(tokenizer)
    server.gate.clear()
    client.serve(server, "step1/era0")
    calls = [asyncio.create_task(client.complete(ASK, SamplingParams(max_tokens=20))) for _ in range(2)]
    await asyncio.sleep(0.01)
    pausing = asyncio.create_task(client.pause())
    await asyncio.sleep(0.01)
    assert not pausing.done()
    calls[0].cancel()  # a call given up is under way no longer
    server.gate.set()
    await pausing
    assert (await calls[1]).text == "answer 42. More"
