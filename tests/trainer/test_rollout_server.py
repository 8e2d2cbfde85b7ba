"""The transformers rollout server: restricted and free decoding, log-probabilities, seeds, weight updates."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from transformers import AutoModelForCausalLM

from trainer.rollout.server import TransformersServer


@pytest.fixture
def server(tiny_policy: Path) -> TransformersServer:
    config = OmegaConf.create({"load_format": "auto", "dtype": "float32", "max_num_seqs": 8, "response_length": 6})
    return TransformersServer(config, OmegaConf.create({"path": str(tiny_policy)}), replica_rank=0)


async def _ask(server: TransformersServer, prompt: list[int], **params: Any) -> Any:
    return await server.generate(prompt, {"temperature": 1.0, "logprobs": True, **params}, request_id="r")


async def test_restricted_replies_are_legal_and_renormalised(server: TransformersServer, tiny_policy: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_policy)
    prompts = [[11, 12, 13], [14, 15, 16, 17, 18]]
    legal = [[20, 21, 22], [30, 31]]
    outputs = await asyncio.gather(
        *(
            _ask(server, prompt, max_tokens=1, allowed_token_ids=ids, seed=k)
            for k, (prompt, ids) in enumerate(zip(prompts, legal, strict=True))
        )
    )
    for prompt, ids, output in zip(prompts, legal, outputs, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt])).logits[0, -1]
        expected = logits[ids].log_softmax(-1)
        assert len(output.token_ids) == 1
        assert output.token_ids[0] in ids
        assert output.log_probs[0] == pytest.approx(float(expected[ids.index(output.token_ids[0])]), abs=1e-4)


async def test_a_seed_repeats_a_reply_whatever_its_batch_mates(server: TransformersServer) -> None:
    alone = await _ask(server, [11, 12, 13], seed=5)
    together = await asyncio.gather(
        _ask(server, [11, 12, 13], seed=5), _ask(server, [40, 41], seed=6), _ask(server, [50] * 9, seed=7)
    )
    assert together[0].token_ids == alone.token_ids
    assert len(alone.token_ids) == len(alone.log_probs) <= 6


async def test_free_log_probs_are_those_of_the_model(server: TransformersServer, tiny_policy: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_policy)
    output = await _ask(server, [11, 12, 13], seed=1, temperature=0.7)
    ids = [11, 12, 13, *output.token_ids]
    with torch.no_grad():
        log_probs = (model(input_ids=torch.tensor([ids])).logits[0] / 0.7).log_softmax(-1)
    for t, token in enumerate(output.token_ids):
        assert output.log_probs[t] == pytest.approx(float(log_probs[2 + t, token]), abs=1e-4)


async def _sync(server: TransformersServer, named: dict[str, torch.Tensor], step: int) -> float:
    """In two parts, as the adapter sends them."""
    names = list(named)
    await server.receive_weights({name: named[name] for name in names[:3]})
    await server.receive_weights({name: named[name] for name in names[3:]})
    return await server.finish_update(step)


async def test_weights_arrive_and_the_change_is_told(server: TransformersServer, tiny_policy: Path) -> None:
    named = AutoModelForCausalLM.from_pretrained(tiny_policy).state_dict()
    assert await _sync(server, named, 3) == 0.0
    before = await _ask(server, [11, 12, 13], temperature=0.0)
    assert await _sync(server, {name: value * 1.1 for name, value in named.items()}, 4) == pytest.approx(0.1, rel=1e-3)
    assert await server.relative_change() == pytest.approx(0.1, rel=1e-3)
    after = await _ask(server, [11, 12, 13], temperature=0.0)
    assert before.extra_fields["global_steps"] == 3
    assert after.extra_fields["global_steps"] == 4
    assert before.log_probs != after.log_probs


async def test_missing_and_unknown_parameters_are_errors(server: TransformersServer, tiny_policy: Path) -> None:
    named = AutoModelForCausalLM.from_pretrained(tiny_policy).state_dict()
    with pytest.raises(RuntimeError, match=r"unknown \['other'\]"):
        await server.receive_weights({"other": torch.zeros(1)})
    named.pop("model.norm.weight")
    await server.receive_weights(named)
    with pytest.raises(RuntimeError, match=r"missing \['model.norm.weight'\]"):
        await server.finish_update(1)


async def test_requests_wait_while_generation_is_held(server: TransformersServer) -> None:
    await server.abort_all_requests()
    waiting = asyncio.create_task(_ask(server, [11], max_tokens=1))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await server.resume_generation()
    assert len((await waiting).token_ids) == 1


async def test_a_bad_request_fails_alone(server: TransformersServer) -> None:
    with pytest.raises(ValueError, match="top-k"):
        await _ask(server, [11], top_k=5)
    assert len((await _ask(server, [11], max_tokens=1)).token_ids) == 1
