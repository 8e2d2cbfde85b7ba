"""The local client: seeds, independence of batch mates, usage, errors."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch

from aflow_verl.errors import ModelUnavailable, RecipeError
from aflow_verl.models.local import LocalClient, pick_device, pick_dtype
from aflow_verl.types import Message, SamplingParams

SAMPLED = SamplingParams(temperature=1.0, max_tokens=8)


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def client(tiny_model: tuple[Any, Any], **more: Any) -> LocalClient:
    return LocalClient(*tiny_model, "tiny:v1", **more)


async def test_a_reply_does_not_depend_on_its_batch_mates(tiny_model: tuple[Any, Any]) -> None:
    one = client(tiny_model, max_batch=4)
    questions = [f"question {i} " * (i + 1) for i in range(6)]
    alone = [await one.complete(ask(q), SAMPLED) for q in questions]
    together = await asyncio.gather(*(one.complete(ask(q), SAMPLED) for q in reversed(questions)))
    assert [reply.text for reply in together] == [reply.text for reply in reversed(alone)]
    await one.close()


async def test_samples_differ_by_index_and_repeat_by_seed(tiny_model: tuple[Any, Any]) -> None:
    first, same, other = client(tiny_model), client(tiny_model), client(tiny_model, seed=1)
    params = [SamplingParams(temperature=1.0, max_tokens=8, sample_index=i) for i in range(3)]
    texts = [[(await c.complete(ask("vote"), p)).text for p in params] for c in (first, same, other)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert len(set(texts[0])) == 3
    for c in (first, same, other):
        await c.close()


async def test_usage_and_length(tiny_model: tuple[Any, Any]) -> None:
    one = client(tiny_model)
    reply = await one.complete(ask("edit"), SamplingParams(max_tokens=5))
    _, tokenizer = tiny_model
    text = tokenizer.apply_chat_template(ask("edit"), tokenize=False, add_generation_prompt=True)
    assert reply.usage.prompt_tokens == len(tokenizer(text)["input_ids"])
    assert reply.usage.completion_tokens == 5
    assert reply.usage.cost_usd == 0.0
    assert reply.finish_reason == "length"
    await one.close()


async def test_a_prompt_longer_than_the_context_keeps_its_end(tiny_model: tuple[Any, Any]) -> None:
    one = client(tiny_model)
    reply = await one.complete(ask("x y " * 3000), SamplingParams(max_tokens=4))
    assert reply.usage.prompt_tokens == 2048 - 4
    await one.close()


async def test_a_failing_model_is_an_infrastructure_error_and_the_worker_lives_on(tiny_model: tuple[Any, Any]) -> None:
    model, tokenizer = tiny_model
    broken = True

    class Flaky:
        device, config, generation_config = model.device, model.config, model.generation_config

        def __call__(self, **kwargs: Any) -> Any:
            if broken:
                raise RuntimeError("out of memory")
            return model(**kwargs)

    one = LocalClient(Flaky(), tokenizer, "flaky")
    with pytest.raises(ModelUnavailable, match="out of memory"):
        await one.complete(ask("edit"), SAMPLED)
    broken = False
    assert (await one.complete(ask("edit"), SAMPLED)).usage.completion_tokens > 0
    await one.close()


async def test_closed_client_refuses(tiny_model: tuple[Any, Any]) -> None:
    one = client(tiny_model)
    await one.close()
    with pytest.raises(ModelUnavailable, match="closed"):
        await one.complete(ask("edit"), SAMPLED)


async def test_load_and_fingerprint(tiny_policy: Path, tmp_path: Path) -> None:
    one = LocalClient.load(tiny_policy, device="cpu", dtype="float32")
    again = LocalClient.load(tiny_policy, device="cpu", dtype="float32")
    assert one.fingerprint == again.fingerprint
    assert one.fingerprint.startswith("local:")
    assert (await one.complete(ask("edit"), SAMPLED)).text == (await again.complete(ask("edit"), SAMPLED)).text
    await one.close()
    await again.close()
    with pytest.raises(RecipeError, match=r"has no config\.json"):
        LocalClient.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RecipeError, match="can't be loaded"):
        LocalClient.load(tmp_path)


def test_device_and_dtype() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_dtype("auto", torch.device("cuda")) == torch.bfloat16
    assert pick_dtype("float32", torch.device("cpu")) == torch.float32
    with pytest.raises(RecipeError, match="no device"):
        pick_device("toaster")
    with pytest.raises(RecipeError, match="unknown"):
        pick_dtype("int3", torch.device("cpu"))
    if not torch.cuda.is_available():
        with pytest.raises(RecipeError, match="sees no GPU"):
            pick_device("cuda")
